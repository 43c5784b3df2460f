// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace troupe {

/// Element types. The values travel between processes and never change.
enum class dtype : std::uint8_t {
  float32 = 1,
  bfloat16 = 2,
  float16 = 3,
  float64 = 4,
  int64 = 5,
  int32 = 6,
  uint8 = 7,
  boolean = 8,
};

/// Bytes of one element; 0 for a foreign value.
[[nodiscard]] std::size_t size_of(dtype x) noexcept;

/// `"float32"`, `"bfloat16"`, ...; `"unknown"` for a foreign value.
[[nodiscard]] std::string_view to_string(dtype x) noexcept;

/// Inverse of `to_string(dtype)`; false for an unknown name.
[[nodiscard]] bool from_string(std::string_view name, dtype& x) noexcept;

/// True for a value that is one of the enumerators: ask before trusting one
/// that came from a file or a peer.
[[nodiscard]] bool is_known(dtype x) noexcept;

/// Upper 16 bits of an IEEE float32. Arithmetic happens in float32; the way
/// back rounds to nearest even and keeps NaN a NaN.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() noexcept = default;
  explicit bfloat16(float value) noexcept;
  explicit operator float() const noexcept;
  bool operator==(const bfloat16&) const noexcept = default;
};

/// The dtype of a C++ element type.
template <class T>
struct dtype_of;

template <>
struct dtype_of<float> {
  static constexpr dtype value = dtype::float32;
};
template <>
struct dtype_of<bfloat16> {
  static constexpr dtype value = dtype::bfloat16;
};
template <>
struct dtype_of<double> {
  static constexpr dtype value = dtype::float64;
};
template <>
struct dtype_of<std::int64_t> {
  static constexpr dtype value = dtype::int64;
};
template <>
struct dtype_of<std::int32_t> {
  static constexpr dtype value = dtype::int32;
};
template <>
struct dtype_of<std::uint8_t> {
  static constexpr dtype value = dtype::uint8;
};

template <class T>
inline constexpr dtype dtype_of_v = dtype_of<T>::value;

} // namespace troupe
