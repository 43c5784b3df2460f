// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/convert.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#if defined(__x86_64__)
#  define TROUPE_CONVERT_AVX2
#  include <cpuid.h>
#  include <immintrin.h>
#endif

namespace troupe::comm::transfer {

namespace {

/// Elements converted at once, so that what stands between stays in the cache.
constexpr std::size_t block = 512;

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

// -- vectors -------------------------------------------------------------------

/// Each returns how many elements it has done.
#ifdef TROUPE_CONVERT_AVX2

constexpr std::size_t lanes = 8;

bool find_vectors() noexcept {
  // clang 14 does not let one ask for f16c by name.
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) != 0
         && (c & bit_F16C) != 0;
}

/// Asked once: in a virtual machine the answer takes a while.
bool has_vectors() noexcept {
  static const auto found = find_vectors();
  return found;
}

__attribute__((target("avx2"))) std::size_t
widen_bfloat16(float* out, const std::byte* in, std::size_t count) noexcept {
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    auto half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 2 * i));
    auto full = _mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), full);
  }
  return i;
}

__attribute__((target("avx2"))) std::size_t
narrow_bfloat16(std::byte* out, const float* in, std::size_t count) noexcept {
  auto one = _mm256_set1_epi32(1);
  auto bias = _mm256_set1_epi32(0x7fff);
  auto infinity = _mm256_set1_epi32(0x7f800000);
  auto magnitude = _mm256_set1_epi32(0x7fffffff);
  auto quiet = _mm256_set1_epi32(0x0040);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    auto raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i));
    auto upper = _mm256_srli_epi32(raw, 16);
    auto rounding = _mm256_add_epi32(bias, _mm256_and_si256(upper, one));
    auto rounded = _mm256_srli_epi32(_mm256_add_epi32(raw, rounding), 16);
    auto nan = _mm256_cmpgt_epi32(_mm256_and_si256(raw, magnitude), infinity);
    auto bits = _mm256_blendv_epi8(rounded, _mm256_or_si256(upper, quiet), nan);
    auto packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(bits, bits),
                                           0xd8);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * i),
                     _mm256_castsi256_si128(packed));
  }
  return i;
}

__attribute__((target("avx2,f16c"))) std::size_t
widen_float16(float* out, const std::byte* in, std::size_t count) noexcept {
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    auto half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 2 * i));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(half));
  }
  return i;
}

__attribute__((target("avx2,f16c"))) std::size_t
narrow_float16(std::byte* out, const float* in, std::size_t count) noexcept {
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    auto half = _mm256_cvtps_ph(_mm256_loadu_ps(in + i),
                                _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * i), half);
  }
  return i;
}

#endif // TROUPE_CONVERT_AVX2

// -- through float32 -----------------------------------------------------------

void widen(float* out, const std::byte* in, dtype from,
           std::size_t count) noexcept {
  std::size_t i = 0;
  switch (from) {
    case dtype::bfloat16:
#ifdef TROUPE_CONVERT_AVX2
      if (has_vectors())
        i = widen_bfloat16(out, in, count);
#endif
      for (; i < count; ++i)
        out[i] = static_cast<float>(load<bfloat16>(in, i));
      return;
    case dtype::float16:
#ifdef TROUPE_CONVERT_AVX2
      if (has_vectors())
        i = widen_float16(out, in, count);
#endif
      for (; i < count; ++i)
        out[i] = from_float16(load<std::uint16_t>(in, i));
      return;
    case dtype::float64:
      for (; i < count; ++i)
        out[i] = static_cast<float>(load<double>(in, i));
      return;
    default: std::memcpy(out, in, count * sizeof(float));
  }
}

void narrow(std::byte* out, dtype to, const float* in,
            std::size_t count) noexcept {
  std::size_t i = 0;
  switch (to) {
    case dtype::bfloat16:
#ifdef TROUPE_CONVERT_AVX2
      if (has_vectors())
        i = narrow_bfloat16(out, in, count);
#endif
      for (; i < count; ++i)
        store(out, i, bfloat16{in[i]});
      return;
    case dtype::float16:
#ifdef TROUPE_CONVERT_AVX2
      if (has_vectors())
        i = narrow_float16(out, in, count);
#endif
      for (; i < count; ++i)
        store(out, i, to_float16(in[i]));
      return;
    case dtype::float64:
      for (; i < count; ++i)
        store(out, i, static_cast<double>(in[i]));
      return;
    default: std::memcpy(out, in, count * sizeof(float));
  }
}

bool is_floating(dtype x) noexcept {
  return x == dtype::float32 || x == dtype::bfloat16 || x == dtype::float16
         || x == dtype::float64;
}

std::string float_text(double value, std::uint64_t bits) {
  return std::isnan(value) ? fmt::format("nan ({:#x})", bits)
                           : fmt::format("{}", value);
}

} // namespace

bool convertible(dtype from, dtype to) noexcept {
  return (from == to && is_known(from))
         || (is_floating(from) && is_floating(to));
}

void convert(std::byte* out, dtype to, const std::byte* in, dtype from,
             std::size_t count) noexcept {
  if (from == to) {
    std::memcpy(out, in, count * size_of(from));
    return;
  }
  std::array<float, block> middle;
  while (count > 0) {
    auto step = std::min(count, block);
    widen(middle.data(), in, from, step);
    narrow(out, to, middle.data(), step);
    in += step * size_of(from);
    out += step * size_of(to);
    count -= step;
  }
}

std::uint16_t to_float16(float value) noexcept {
  auto raw = std::bit_cast<std::uint32_t>(value);
  auto sign = static_cast<std::uint16_t>((raw >> 16) & 0x8000u);
  auto size = raw & 0x7fffffffu;
  auto with_sign = [sign](std::uint32_t x) {
    return static_cast<std::uint16_t>(sign | x);
  };
  if (size > 0x7f800000u)
    return with_sign(0x7e00u | ((size >> 13) & 0x3ffu));
  // 65520 and more round to infinity.
  if (size >= 0x477ff000u)
    return with_sign(0x7c00u);
  auto rounded = [](std::uint32_t x, std::uint32_t shift) {
    auto half = (1u << (shift - 1)) - 1 + ((x >> shift) & 1u);
    return (x + half) >> shift;
  };
  // Below 2^-14 the exponent is fixed and the leading one is written out.
  if (size < 0x38800000u) {
    auto exponent = size >> 23;
    // Less than half of the least half: 2^-25, which ties to zero.
    if (exponent < 102)
      return sign;
    auto fraction = (size & 0x7fffffu) | 0x800000u;
    return with_sign(rounded(fraction, 126 - exponent));
  }
  return with_sign(rounded(size - 0x38000000u, 13));
}

float from_float16(std::uint16_t bits) noexcept {
  auto sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  std::uint32_t size = bits & 0x7fffu;
  if (size > 0x7c00u)
    return std::bit_cast<float>(sign | 0x7fc00000u | ((size & 0x3ffu) << 13));
  if (size == 0x7c00u)
    return std::bit_cast<float>(sign | 0x7f800000u);
  if (size >= 0x0400u)
    return std::bit_cast<float>(sign | ((size << 13) + 0x38000000u));
  // Exact: a small whole number times a power of two.
  auto value = static_cast<float>(size) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
}

std::string element_text(dtype type, const std::byte* where) {
  switch (type) {
    case dtype::float32: {
      auto x = load<float>(where, 0);
      // By its own type, so that 0.1f does not read 0.10000000149.
      return std::isnan(x) ? float_text(x, std::bit_cast<std::uint32_t>(x))
                           : fmt::format("{}", x);
    }
    case dtype::bfloat16: {
      auto x = load<bfloat16>(where, 0);
      return float_text(static_cast<float>(x), x.bits);
    }
    case dtype::float16: {
      auto x = load<std::uint16_t>(where, 0);
      return float_text(from_float16(x), x);
    }
    case dtype::float64: {
      auto x = load<double>(where, 0);
      return float_text(x, std::bit_cast<std::uint64_t>(x));
    }
    case dtype::int64: return fmt::format("{}", load<std::int64_t>(where, 0));
    case dtype::int32: return fmt::format("{}", load<std::int32_t>(where, 0));
    case dtype::uint8: return fmt::format("{}", load<std::uint8_t>(where, 0));
    case dtype::boolean:
      return load<std::uint8_t>(where, 0) != 0 ? "true" : "false";
  }
  return "?";
}

} // namespace troupe::comm::transfer
