// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/dtype.hpp"

#include <array>
#include <bit>

namespace troupe {

namespace {

struct dtype_row {
  dtype type;
  std::size_t size;
  std::string_view name;
};

constexpr std::array<dtype_row, 8> rows{{
  {dtype::float32, 4, "float32"},
  {dtype::bfloat16, 2, "bfloat16"},
  {dtype::float16, 2, "float16"},
  {dtype::float64, 8, "float64"},
  {dtype::int64, 8, "int64"},
  {dtype::int32, 4, "int32"},
  {dtype::uint8, 1, "uint8"},
  {dtype::boolean, 1, "boolean"},
}};

const dtype_row* find(dtype x) noexcept {
  for (const auto& row : rows)
    if (row.type == x)
      return &row;
  return nullptr;
}

} // namespace

std::size_t size_of(dtype x) noexcept {
  auto* row = find(x);
  return row ? row->size : 0;
}

std::string_view to_string(dtype x) noexcept {
  auto* row = find(x);
  return row ? row->name : "unknown";
}

bool from_string(std::string_view name, dtype& x) noexcept {
  for (const auto& row : rows)
    if (row.name == name) {
      x = row.type;
      return true;
    }
  return false;
}

bool is_known(dtype x) noexcept {
  return find(x) != nullptr;
}

bfloat16::bfloat16(float value) noexcept {
  auto raw = std::bit_cast<std::uint32_t>(value);
  if ((raw & 0x7fffffffu) > 0x7f800000u) {
    // Rounding could carry a NaN's payload away and leave an infinity.
    bits = static_cast<std::uint16_t>((raw >> 16) | 0x0040u);
    return;
  }
  auto rounding = 0x7fffu + ((raw >> 16) & 1u);
  bits = static_cast<std::uint16_t>((raw + rounding) >> 16);
}

bfloat16::operator float() const noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

} // namespace troupe
