// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>

#include "troupe/core/error.hpp"

namespace troupe::comm {

class device;

} // namespace troupe::comm

namespace troupe::model {

/// What a rank has met on its way, as its answer: as it was, but for one who
/// found others missing (`errc::timed_out`, `errc::lost`). It gives up for want
/// of them, which is `errc::aborted`: as the answer of a rank the other two would
/// say that the rank itself does not answer or is gone.
///
/// What looks like a lost peer may be the process's own device: `own`, if there
/// is one, is asked, and if that is lost it is `errc::failed`: its process has
/// to end.
[[nodiscard]] error as_answer(const error& why,
                              const comm::device* own = nullptr);

/// What a module threw, as its rank's answer.
///
/// `errc::exhausted`, with what this process holds by now, if it says that
/// memory ran out: std::bad_alloc, or an allocator of libtorch that says so in
/// words, because its type is not known here. Else the error that it carries
/// (core/exception.hpp), `as_answer`.
[[nodiscard]] error failure_of(const std::exception& x,
                               const comm::device* own = nullptr);

} // namespace troupe::model
