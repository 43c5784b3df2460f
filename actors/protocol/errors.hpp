// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>

#include <caf/error.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>

#include "troupe/core/error.hpp"

// A category holds at most ten characters.
CAF_ERROR_CODE_ENUM(troupe::errc, "troupe")

namespace troupe::protocol {

/// Our error as CAF carries it: the code in the category "troupe", the sentence
/// as context.
[[nodiscard]] caf::error to_caf(const error& x);

/// CAF's error as ours. Errors of the runtime itself (timeouts, dead targets,
/// unexpected messages) become the code that calls for the same reaction.
[[nodiscard]] error from_caf(const caf::error& x);

/// True if nothing was answered in time, and false for an answer that says that
/// something else was late.
[[nodiscard]] bool is_silence(const error& x) noexcept;

/// True if CAF has dropped a connection while it was being made: its clock ticks
/// once a second, and takes one that has said nothing yet for one that has long
/// been silent. It may be made again at once.
[[nodiscard]] bool is_dropped_early(const error& x) noexcept;

/// The answer of a rank that has waited in vain for another: `errc::aborted`,
/// because `errc::timed_out` would say that it does not answer itself.
[[nodiscard]] error given_up(const error& why);

/// Whether `x` is such an answer, also with places in front of its sentence.
[[nodiscard]] bool has_given_up(const error& x) noexcept;

/// Why a target went down, as a sentence's end: "the process is gone", ...
[[nodiscard]] error from_exit_reason(const caf::error& reason);

/// What an actor ends with that threw `x`: `errc::lost`, with what it says.
[[nodiscard]] error from_exception(const std::exception_ptr& x);

} // namespace troupe::protocol
