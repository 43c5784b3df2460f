// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace troupe {

/// What went wrong, named by the reaction it calls for. A new value is added
/// only if some code reacts to it specifically; values are never renumbered,
/// because they travel between processes.
enum class errc : std::uint8_t {
  /// The input is wrong: say what to change; trying again cannot help.
  invalid = 1,
  /// Too little of something (devices, memory, ports, queue room): ask for
  /// less or free some.
  exhausted = 2,
  /// Not ready at the moment: try again later.
  unavailable = 3,
  /// A deadline passed: abort the group, report who is missing.
  timed_out = 4,
  /// Somebody aborted the operation on purpose: a consequence, look for the
  /// cause elsewhere.
  aborted = 5,
  /// The peer is gone: rebuild the communicator or re-resolve the handle.
  lost = 6,
  /// Bytes are not what was sent: discard them and send again.
  corrupt = 7,
  /// The other side does not accept us (stale incarnation, wrong version,
  /// missing rights): give up.
  refused = 8,
  /// The user's module failed: report model, replica, rank and function.
  failed = 9,
  /// A bug of ours: report it with the context and give up.
  internal = 10,
};

/// The name of `x`, e.g. `"timed_out"`; `"unknown"` for a foreign value.
[[nodiscard]] std::string_view to_string(errc x) noexcept;

/// Inverse of `to_string(errc)`; false for an unknown name.
[[nodiscard]] bool from_string(std::string_view name, errc& x) noexcept;

/// An error as a value: the reaction it calls for and a sentence for people
/// that says what happened and, where possible, what to change.
class error {
public:
  error() = default;

  error(errc code, std::string message)
    : code_(code),
      message_(std::move(message)) {
    // nop
  }

  [[nodiscard]] errc code() const noexcept { return code_; }

  [[nodiscard]] const std::string& message() const noexcept { return message_; }

  /// The same error seen from further out: `where` and a colon stand before
  /// the message.
  [[nodiscard]] error within(std::string_view where) const;

  bool operator==(const error&) const = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, error& x) {
    return f(x.code_, x.message_);
  }

private:
  errc code_ = errc::internal;
  std::string message_;
};

/// `code: message`, the form used in logs.
[[nodiscard]] std::string to_string(const error& x);

/// A value or the error that prevented it.
template <class T>
using result = tl::expected<T, error>;

/// Builds the error side of a `result`.
[[nodiscard]] inline tl::unexpected<error> fail(errc code,
                                                std::string message) {
  return tl::unexpected<error>{error{code, std::move(message)}};
}

/// Passes an error on, unchanged.
[[nodiscard]] inline tl::unexpected<error> fail(error what) {
  return tl::unexpected<error>{std::move(what)};
}

} // namespace troupe
