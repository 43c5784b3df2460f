// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>

#include "troupe/core/dtype.hpp"

// Elements as bits, converted exactly as comm/transfer/convert.hpp does, NaN
// included, by code that compiles for the device too. The hardware's own
// conversions would turn every NaN into the same one.

#ifdef __CUDACC__
#  define TROUPE_HOST_DEVICE __host__ __device__
#else
#  define TROUPE_HOST_DEVICE
#endif

#ifdef __CUDA_ARCH__
#  define TROUPE_UNROLL _Pragma("unroll")
#  define TROUPE_NO_UNROLL _Pragma("unroll 1")
#else
#  define TROUPE_UNROLL
#  define TROUPE_NO_UNROLL
#endif

namespace troupe::comm::cuda::kernel {

/// As `size_of`, for known types.
TROUPE_HOST_DEVICE constexpr unsigned bytes_of(dtype x) noexcept {
  switch (x) {
    case dtype::bfloat16:
    case dtype::float16: return 2;
    case dtype::float32:
    case dtype::int32: return 4;
    case dtype::float64:
    case dtype::int64: return 8;
    default: return 1;
  }
}

template <class To, class From>
TROUPE_HOST_DEVICE inline To bits_as(From from) noexcept {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}

// -- to float32 ----------------------------------------------------------------

TROUPE_HOST_DEVICE inline std::uint32_t
widen_bfloat16(std::uint32_t bits) noexcept {
  return bits << 16;
}

TROUPE_HOST_DEVICE inline std::uint32_t
widen_float16(std::uint32_t bits) noexcept {
  auto sign = (bits & 0x8000u) << 16;
  auto size = bits & 0x7fffu;
  if (size >= 0x7c00u)
    return sign | 0x7f800000u | ((size & 0x3ffu) << 13)
           | (size > 0x7c00u ? 0x00400000u : 0);
  if (size >= 0x0400u)
    return sign | ((size << 13) + 0x38000000u);
  // Exact: a small whole number times a power of two.
  return sign | bits_as<std::uint32_t>(static_cast<float>(size) * 0x1p-24f);
}

TROUPE_HOST_DEVICE inline std::uint32_t
narrow_float64(std::uint64_t bits) noexcept {
  constexpr auto infinity = std::uint64_t{0x7ff} << 52;
  if ((bits & ~(std::uint64_t{1} << 63)) > infinity)
    return static_cast<std::uint32_t>(bits >> 32 & 0x80000000u) | 0x7fc00000u
           | (static_cast<std::uint32_t>(bits >> 29) & 0x3fffffu);
  return bits_as<std::uint32_t>(static_cast<float>(bits_as<double>(bits)));
}

// -- from float32 --------------------------------------------------------------

TROUPE_HOST_DEVICE inline std::uint32_t
narrow_bfloat16(std::uint32_t raw) noexcept {
  auto rounded = (raw + 0x7fffu + ((raw >> 16) & 1u)) >> 16;
  return (raw & 0x7fffffffu) > 0x7f800000u ? (raw >> 16) | 0x0040u : rounded;
}

TROUPE_HOST_DEVICE inline std::uint32_t
narrow_float16(std::uint32_t raw) noexcept {
  auto sign = (raw >> 16) & 0x8000u;
  auto size = raw & 0x7fffffffu;
  // 65520 and more round to infinity.
  if (size >= 0x477ff000u)
    return size > 0x7f800000u ? sign | 0x7e00u | ((size >> 13) & 0x3ffu)
                              : sign | 0x7c00u;
  // 2^-14 and more: the exponent moves, and the fraction is rounded.
  if (size >= 0x38800000u) {
    auto x = size - 0x38000000u;
    return sign | ((x + 0xfffu + ((x >> 13) & 1u)) >> 13);
  }
  // Less than half of the least half: 2^-25, which ties to zero.
  auto exponent = size >> 23;
  if (exponent < 102)
    return sign;
  auto fraction = (size & 0x7fffffu) | 0x800000u;
  auto shift = 126 - exponent;
  auto half = (1u << (shift - 1)) - 1 + ((fraction >> shift) & 1u);
  return sign | ((fraction + half) >> shift);
}

TROUPE_HOST_DEVICE inline std::uint64_t
widen_to_float64(std::uint32_t bits) noexcept {
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<std::uint64_t>(bits & 0x80000000u) << 32
           | (std::uint64_t{0xfff} << 51)
           | static_cast<std::uint64_t>(bits & 0x7fffffu) << 29;
  return bits_as<std::uint64_t>(static_cast<double>(bits_as<float>(bits)));
}

// -- elements ------------------------------------------------------------------

/// One element, in the lowest bits.
TROUPE_HOST_DEVICE inline std::uint64_t
convert_element(std::uint64_t element, dtype from, dtype to) noexcept {
  if (from == to)
    return element;
  auto bits = static_cast<std::uint32_t>(element);
  switch (from) {
    case dtype::bfloat16: bits = widen_bfloat16(bits); break;
    case dtype::float16: bits = widen_float16(bits); break;
    case dtype::float64: bits = narrow_float64(element); break;
    default: break;
  }
  switch (to) {
    case dtype::bfloat16: return narrow_bfloat16(bits);
    case dtype::float16: return narrow_float16(bits);
    case dtype::float64: return widen_to_float64(bits);
    default: return bits;
  }
}

/// Items of four elements that lie dense in each item's words: the types are
/// asked once for all of them.
template <unsigned Items>
TROUPE_HOST_DEVICE inline void convert_items(std::uint64_t (&all)[Items][4],
                                             dtype from, dtype to) noexcept {
  if (from == to)
    return;
  std::uint32_t middle[Items][4];
  auto half = [&](unsigned k, unsigned i) {
    return static_cast<std::uint32_t>(all[k][0] >> (16 * i)) & 0xffffu;
  };
  auto each = [&](auto f) {
    TROUPE_UNROLL
    for (unsigned k = 0; k < Items; ++k) {
      TROUPE_UNROLL
      for (unsigned i = 0; i < 4; ++i)
        f(k, i);
    }
  };
  switch (from) {
    case dtype::bfloat16:
      each([&](unsigned k, unsigned i) {
        middle[k][i] = widen_bfloat16(half(k, i));
      });
      break;
    case dtype::float16:
      each([&](unsigned k, unsigned i) {
        middle[k][i] = widen_float16(half(k, i));
      });
      break;
    case dtype::float64:
      each([&](unsigned k, unsigned i) {
        middle[k][i] = narrow_float64(all[k][i]);
      });
      break;
    default:
      each([&](unsigned k, unsigned i) {
        middle[k][i] = static_cast<std::uint32_t>(all[k][i / 2]
                                                  >> (32 * (i % 2)));
      });
  }
  auto clear = [&](unsigned k, unsigned i) { all[k][i] = 0; };
  switch (to) {
    case dtype::bfloat16:
      each(clear);
      each([&](unsigned k, unsigned i) {
        all[k][0] |= static_cast<std::uint64_t>(narrow_bfloat16(middle[k][i]))
                     << (16 * i);
      });
      break;
    case dtype::float16:
      each(clear);
      each([&](unsigned k, unsigned i) {
        all[k][0] |= static_cast<std::uint64_t>(narrow_float16(middle[k][i]))
                     << (16 * i);
      });
      break;
    case dtype::float64:
      each([&](unsigned k, unsigned i) {
        all[k][i] = widen_to_float64(middle[k][i]);
      });
      break;
    default:
      each(clear);
      each([&](unsigned k, unsigned i) {
        all[k][i / 2] |= static_cast<std::uint64_t>(middle[k][i])
                         << (32 * (i % 2));
      });
  }
}

} // namespace troupe::comm::cuda::kernel
