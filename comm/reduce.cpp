// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/reduce.hpp"

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace troupe::comm {

namespace {

/// IEEE binary16, for conversions only.
struct half {
  std::uint16_t bits = 0;

  half() noexcept = default;

  explicit half(float value) noexcept {
    auto raw = std::bit_cast<std::uint32_t>(value);
    auto sign = static_cast<std::uint16_t>((raw >> 16) & 0x8000u);
    auto magnitude = raw & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
      bits = static_cast<std::uint16_t>(sign | 0x7e00u);
    } else if (magnitude >= 0x477ff000u) {
      // 65520 and above round to infinity.
      bits = static_cast<std::uint16_t>(sign | 0x7c00u);
    } else if (magnitude >= 0x38800000u) {
      auto rounding = 0x0fffu + ((magnitude >> 13) & 1u);
      auto rebiased = magnitude + rounding - (112u << 23);
      bits = static_cast<std::uint16_t>(sign | (rebiased >> 13));
    } else {
      // Subnormal: adding 0.5 lets the FPU round at the right bit.
      auto sum = std::bit_cast<float>(magnitude) + 0.5f;
      auto low = std::bit_cast<std::uint32_t>(sum) - 0x3f000000u;
      bits = static_cast<std::uint16_t>(sign | low);
    }
  }

  explicit operator float() const noexcept {
    auto sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
    auto exponent = (bits >> 10) & 0x1fu;
    auto fraction = static_cast<std::uint32_t>(bits & 0x3ffu);
    if (exponent == 0) {
      auto magnitude = static_cast<float>(fraction) * 0x1p-24f;
      return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude)
                                  | sign);
    }
    auto widened = exponent == 31 ? 255u : exponent + 112u;
    return std::bit_cast<float>(sign | (widened << 23) | (fraction << 13));
  }
};

template <class T>
struct wide_of {
  using type = T;
};
template <>
struct wide_of<bfloat16> {
  using type = float;
};
template <>
struct wide_of<half> {
  using type = float;
};

// Spans from outside may be unaligned; the copies vanish in vector loads.
template <class T>
T load(const std::byte* from, std::size_t index) noexcept {
  T value;
  std::memcpy(&value, from + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(std::byte* to, std::size_t index, T value) noexcept {
  std::memcpy(to + index * sizeof(T), &value, sizeof(T));
}

struct add {
  template <class T>
  T operator()(T x, T y) const noexcept {
    if constexpr (std::is_integral_v<T>) {
      using raw = std::make_unsigned_t<T>;
      return static_cast<T>(
        static_cast<raw>(static_cast<raw>(x) + static_cast<raw>(y)));
    } else {
      return x + y;
    }
  }
};

// Comparing a NaN with itself is what lets it through.
struct larger {
  template <class T>
  T operator()(T x, T y) const noexcept {
    return (x > y || x != x) ? x : y;
  }
};

struct smaller {
  template <class T>
  T operator()(T x, T y) const noexcept {
    return (x < y || x != x) ? x : y;
  }
};

template <class T, class Op>
void combine_as(std::byte* sum, const std::byte* in, std::size_t count, Op op) {
  using wide = typename wide_of<T>::type;
  for (std::size_t i = 0; i < count; ++i)
    store(sum, i, op(load<wide>(sum, i), static_cast<wide>(load<T>(in, i))));
}

template <class T>
void combine_as(std::byte* sum, const std::byte* in, reduce_op op,
                std::size_t count) {
  switch (op) {
    case reduce_op::sum: combine_as<T>(sum, in, count, add{}); break;
    case reduce_op::max: combine_as<T>(sum, in, count, larger{}); break;
    case reduce_op::min: combine_as<T>(sum, in, count, smaller{}); break;
  }
}

template <class To, class From>
void convert(const std::byte* in, std::byte* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    store(out, i, To{load<From>(in, i)});
}

} // namespace

dtype wide_type(dtype x) noexcept {
  return x == dtype::bfloat16 || x == dtype::float16 ? dtype::float32 : x;
}

bool is_reducible(dtype x, reduce_op op) noexcept {
  return is_known(x) && op <= reduce_op::min
         && (x != dtype::boolean || op != reduce_op::sum);
}

void widen(const std::byte* in, dtype x, std::byte* out, std::size_t count) {
  if (x == dtype::bfloat16)
    convert<float, bfloat16>(in, out, count);
  else if (x == dtype::float16)
    convert<float, half>(in, out, count);
  else if (count > 0)
    std::memcpy(out, in, count * size_of(x));
}

void narrow(const std::byte* in, dtype x, std::byte* out, std::size_t count) {
  if (x == dtype::bfloat16)
    convert<bfloat16, float>(in, out, count);
  else if (x == dtype::float16)
    convert<half, float>(in, out, count);
  else if (count > 0)
    std::memcpy(out, in, count * size_of(x));
}

void combine(std::byte* sum, const std::byte* in, dtype x, reduce_op op,
             std::size_t count) {
  switch (x) {
    case dtype::float32: combine_as<float>(sum, in, op, count); break;
    case dtype::bfloat16: combine_as<bfloat16>(sum, in, op, count); break;
    case dtype::float16: combine_as<half>(sum, in, op, count); break;
    case dtype::float64: combine_as<double>(sum, in, op, count); break;
    case dtype::int64: combine_as<std::int64_t>(sum, in, op, count); break;
    case dtype::int32: combine_as<std::int32_t>(sum, in, op, count); break;
    case dtype::uint8:
    case dtype::boolean: combine_as<std::uint8_t>(sum, in, op, count); break;
  }
}

} // namespace troupe::comm
