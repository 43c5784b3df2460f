// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/wire_type.hpp"

namespace troupe::planner::weights {

namespace {

bool is_floating(dtype x) noexcept {
  return x == dtype::float32 || x == dtype::bfloat16 || x == dtype::float16
         || x == dtype::float64;
}

} // namespace

bool convertible(dtype from, dtype to) noexcept {
  return from == to || (is_floating(from) && is_floating(to));
}

dtype wire_type(dtype source, dtype destination) noexcept {
  return size_of(destination) <= size_of(source) ? destination : source;
}

dtype wider(dtype a, dtype b) noexcept {
  if (a == b)
    return a;
  if (size_of(a) != size_of(b))
    return size_of(a) > size_of(b) ? a : b;
  // bfloat16 has the range, float16 the digits.
  return dtype::float32;
}

} // namespace troupe::planner::weights
