// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/dlpack.hpp"

#include <array>

namespace troupe::dlpack {

namespace {

struct row {
  troupe::dtype type;
  data_type code;
};

constexpr std::array<row, 8> rows{{
  {troupe::dtype::float32, {2, 32, 1}},
  {troupe::dtype::bfloat16, {4, 16, 1}},
  {troupe::dtype::float16, {2, 16, 1}},
  {troupe::dtype::float64, {2, 64, 1}},
  {troupe::dtype::int64, {0, 64, 1}},
  {troupe::dtype::int32, {0, 32, 1}},
  {troupe::dtype::uint8, {1, 8, 1}},
  // PyTorch 1.13 writes a bool as an 8-bit unsigned; 6 is the later code.
  {troupe::dtype::boolean, {6, 8, 1}},
}};

} // namespace

data_type from_dtype(troupe::dtype x) noexcept {
  for (const auto& r : rows)
    if (r.type == x)
      return r.code;
  return {0, 0, 0};
}

bool to_dtype(data_type x, troupe::dtype& out) noexcept {
  for (const auto& r : rows)
    if (r.code.code == x.code && r.code.bits == x.bits && x.lanes == 1) {
      out = r.type;
      return true;
    }
  return false;
}

} // namespace troupe::dlpack
