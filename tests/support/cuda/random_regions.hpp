// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "support/random_seed.hpp"
#include "troupe/comm/transfer/region.hpp"
#include "troupe/core/dtype.hpp"

namespace troupe::test {

/// Where a region lies in memory of `bytes`.
struct region_shape {
  dtype type = dtype::float32;
  std::uint64_t begin = 0;
  std::uint64_t elements = 0;
  std::uint64_t run = 0;
  std::vector<memory_loop> loops;
  std::uint64_t bytes = 0;

  [[nodiscard]] comm::transfer::writable_region in(std::byte* memory) const {
    return {memory + begin, type, elements, run, loops};
  }
};

/// Three types: of the source, of the wire, of the destination.
struct type_triple {
  dtype from = dtype::float32;
  dtype wire = dtype::float32;
  dtype to = dtype::float32;
};

/// Random regions; `TROUPE_SEED` repeats them.
class random_regions {
public:
  random_regions() : seed(random_seed()), random_(seed) {
    // nop
  }

  std::uint64_t below(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>{0, bound - 1}(random_);
  }

  bool chance(std::uint64_t one_of) { return below(one_of) == 0; }

  /// `elements` as a product of extents, cut out of a wider tensor. One of
  /// eight begins where its elements are not aligned.
  region_shape shape(dtype type, std::uint64_t elements) {
    region_shape out;
    out.type = type;
    out.elements = elements;
    auto left = elements;
    std::vector<std::uint64_t> extents;
    for (auto tries = below(4); tries > 0 && elements > 0; --tries) {
      auto factor = 1 + below(12);
      if (left % factor == 0) {
        extents.push_back(factor);
        left /= factor;
      }
    }
    out.run = left;
    auto size = size_of(type);
    auto stride = left * size;
    // Runs that vectors fit into are the rule in practice.
    auto step = chance(2) ? size : 16;
    for (auto extent : extents) {
      stride += below(5) * step;
      out.loops.insert(out.loops.begin(), {extent, stride});
      stride *= extent;
    }
    out.begin = chance(8) ? below(32) : below(4) * step;
    out.bytes = out.begin + stride + 16;
    return out;
  }

  /// From few to tens of thousands, mostly with small factors.
  std::uint64_t size() {
    switch (below(4)) {
      case 0: return 1 + below(40);
      case 1: return 8 * (1 + below(2000));
      case 2: return 2520 * (1 + below(12));
      default: return 1 + below(30000);
    }
  }

  dtype floating() {
    constexpr dtype all[] = {dtype::float32, dtype::bfloat16, dtype::float16,
                             dtype::float64};
    return all[below(4)];
  }

  dtype any() { return static_cast<dtype>(1 + below(8)); }

  /// Bits of all kinds: also NaN, infinities and what is subnormal.
  std::vector<std::byte> memory(std::uint64_t bytes) {
    std::vector<std::byte> out(bytes);
    for (auto& x : out)
      x = static_cast<std::byte>(chance(4) ? 0xff * below(2) : random_());
    return out;
  }

  std::uint64_t seed;

private:
  std::mt19937_64 random_;
};

} // namespace troupe::test
