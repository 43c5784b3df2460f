// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/digest.hpp"

#include <array>
#include <cstring>

#include <fmt/core.h>

#if defined(__x86_64__)
#  define TROUPE_DIGEST_AVX2
#  include <immintrin.h>
#endif

namespace troupe {

namespace {

constexpr std::uint64_t weyl = 0x9E3779B97F4A7C15u;

constexpr std::size_t word_bytes = sizeof(std::uint64_t);

std::uint64_t mix(std::uint64_t z) noexcept {
  z += weyl;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

std::uint64_t lo(std::uint64_t x) noexcept {
  return x & 0xffffffffu;
}

std::uint64_t hi(std::uint64_t x) noexcept {
  return x >> 32;
}

/// A part under way: what is left of it and the x of its next word.
struct cursor {
  const std::byte* from;
  /// Null if nothing is to be copied.
  std::byte* to;
  std::size_t left;
  std::uint64_t x;
  digest sum;

  void take(std::uint64_t word) noexcept {
    auto key = x + lo(x) * hi(x);
    auto low = lo(word + key);
    auto high = lo(hi(word) + hi(key));
    sum.products += low * high;
    sum.words += word;
    x += weyl;
  }

  void advance(std::size_t bytes) noexcept {
    from += bytes;
    if (to != nullptr)
      to += bytes;
    left -= bytes;
  }

  /// At most `count` whole words.
  void take_words(std::size_t count) noexcept {
    for (; count > 0 && left >= word_bytes; --count) {
      std::uint64_t word = 0;
      std::memcpy(&word, from, word_bytes);
      if (to != nullptr)
        std::memcpy(to, &word, word_bytes);
      take(word);
      advance(word_bytes);
    }
  }

  void take_tail() noexcept {
    if (left == 0)
      return;
    std::uint64_t word = 0;
    std::memcpy(&word, from, left);
    if (to != nullptr)
      std::memcpy(to, &word, left);
    take(word);
    advance(left);
  }
};

#ifdef TROUPE_DIGEST_AVX2

constexpr std::size_t vector_bytes = 32;

/// From here on stores bypass the caches: both sides of the copy together fill
/// a second-level cache, and a copy is mostly one of many.
constexpr std::size_t stream_bytes_min = std::size_t{512} << 10;

enum class stores { none, cached, streaming };

struct lanes {
  __m256i x;
  __m256i products;
  __m256i words;
};

__attribute__((target("avx2"))) inline void take(lanes& at, __m256i word,
                                                 __m256i step) noexcept {
  auto key = _mm256_add_epi64(at.x,
                              _mm256_mul_epu32(at.x,
                                               _mm256_srli_epi64(at.x, 32)));
  auto sums = _mm256_add_epi32(word, key);
  at.products = _mm256_add_epi64(at.products,
                                 _mm256_mul_epu32(sums,
                                                  _mm256_srli_epi64(sums, 32)));
  at.words = _mm256_add_epi64(at.words, word);
  at.x = _mm256_add_epi64(at.x, step);
}

__attribute__((target("avx2"))) inline std::uint64_t sum(__m256i x) noexcept {
  alignas(vector_bytes) std::array<std::uint64_t, 4> parts{};
  _mm256_store_si256(reinterpret_cast<__m256i*>(parts.data()), x);
  return parts[0] + parts[1] + parts[2] + parts[3];
}

/// All whole blocks of four vectors. Each of the four has its own lanes, so
/// that their chains run side by side.
template <stores S>
__attribute__((target("avx2"))) void take_blocks(cursor& at) noexcept {
  constexpr std::size_t unroll = 4;
  constexpr auto block_bytes = unroll * vector_bytes;
  constexpr auto vector_words = vector_bytes / word_bytes;
  auto step = _mm256_set1_epi64x(
    static_cast<long long>(weyl * (unroll * vector_words)));
  std::array<lanes, unroll> all;
  for (std::size_t v = 0; v < unroll; ++v) {
    auto first = at.x + weyl * (v * vector_words);
    all[v].x = _mm256_set_epi64x(static_cast<long long>(first + 3 * weyl),
                                 static_cast<long long>(first + 2 * weyl),
                                 static_cast<long long>(first + weyl),
                                 static_cast<long long>(first));
    all[v].products = _mm256_setzero_si256();
    all[v].words = _mm256_setzero_si256();
  }
  auto blocks = at.left / block_bytes;
  auto* from = at.from;
  auto* to = at.to;
  for (std::size_t b = 0; b < blocks; ++b, from += block_bytes) {
#  pragma GCC unroll 4
    for (std::size_t v = 0; v < unroll; ++v) {
      auto word = _mm256_loadu_si256(
        reinterpret_cast<const __m256i*>(from + v * vector_bytes));
      auto* where = reinterpret_cast<__m256i*>(to + v * vector_bytes);
      if constexpr (S == stores::cached)
        _mm256_storeu_si256(where, word);
      else if constexpr (S == stores::streaming)
        _mm256_stream_si256(where, word);
      take(all[v], word, step);
    }
    if constexpr (S != stores::none)
      to += block_bytes;
  }
  if constexpr (S == stores::streaming)
    _mm_sfence();
  for (const auto& x : all)
    at.sum += {sum(x.products), sum(x.words)};
  at.advance(blocks * block_bytes);
  at.x += weyl * (blocks * unroll * vector_words);
}

void take_vectors(cursor& at) noexcept {
  if (at.to == nullptr)
    return take_blocks<stores::none>(at);
  auto gap = reinterpret_cast<std::uintptr_t>(at.to) % vector_bytes;
  if (at.left < stream_bytes_min || gap % word_bytes != 0)
    return take_blocks<stores::cached>(at);
  if (gap != 0)
    at.take_words((vector_bytes - gap) / word_bytes);
  take_blocks<stores::streaming>(at);
}

#endif // TROUPE_DIGEST_AVX2

digest run(std::byte* target, std::span<const std::byte> data,
           std::uint64_t tensor, std::uint64_t position) noexcept {
  cursor at{data.data(),
            target,
            data.size(),
            mix(tensor) + position / word_bytes * weyl,
            {}};
#ifdef TROUPE_DIGEST_AVX2
  if (__builtin_cpu_supports("avx2"))
    take_vectors(at);
#endif
  at.take_words(data.size());
  at.take_tail();
  return at.sum;
}

} // namespace

std::string to_string(const digest& x) {
  return fmt::format("{:016x}{:016x}", x.products, x.words);
}

digest digest_of(std::span<const std::byte> data, std::uint64_t tensor,
                 std::uint64_t position) noexcept {
  return run(nullptr, data, tensor, position);
}

digest copy_and_digest(std::byte* target, std::span<const std::byte> data,
                       std::uint64_t tensor, std::uint64_t position) noexcept {
  return run(target, data, tensor, position);
}

} // namespace troupe
