// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <stdexcept>

#include "troupe/core/error.hpp"

namespace troupe {

/// An error where only an exception gets through: module code, and other code
/// of an application, reports by throwing. Whoever catches it has the error as
/// it was, code and sentence. `what()` is the sentence.
class exception : public std::runtime_error {
public:
  explicit exception(error x);

  [[nodiscard]] const error& why() const noexcept { return why_; }

private:
  error why_;
};

/// What an application's code threw, as an error: that of an `exception` or of
/// a `result` whose `value()` was asked for and which had none, as it was;
/// `errc::exhausted` for std::bad_alloc, and `errc::failed` with what it says,
/// up to 16 KiB of that, for anything else.
[[nodiscard]] error error_from(const std::exception& x);

} // namespace troupe
