// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "troupe/core/error.hpp"

namespace troupe::test {

/// Why `x` failed; empty if it did not. Boost.Test evaluates the message of a
/// check that passes too, and a result that is good has no error to read.
template <class T>
std::string why(const result<T>& x) {
  return x ? std::string{} : x.error().message();
}

} // namespace troupe::test
