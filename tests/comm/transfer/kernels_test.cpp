// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/kernels.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "troupe/comm/transfer/convert.hpp"

using namespace troupe;
using namespace troupe::comm::transfer;

namespace {

using octets = std::vector<std::byte>;

/// A tensor with a random region in it.
struct sample {
  octets memory;
  dtype type = dtype::float32;
  std::uint64_t begin = 0;
  std::uint64_t elements = 1;
  std::uint64_t run = 1;
  std::vector<memory_loop> loops;

  writable_region where() {
    return {memory.data() + begin, type, elements, run, loops};
  }

  std::uint64_t offset(std::uint64_t index) const {
    return begin + region_offset(index, run, loops, type);
  }
};

struct seeded {
  seeded() : seed(std::random_device{}()), random(seed) {
    BOOST_TEST_MESSAGE("seed " << seed);
  }

  std::uint64_t below(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>{0, bound - 1}(random);
  }

  /// `elements` as a product of extents, cut out of a wider tensor.
  sample make(dtype type, std::uint64_t elements) {
    sample x;
    x.type = type;
    x.elements = elements;
    auto left = elements;
    std::vector<std::uint64_t> extents;
    for (auto tries = below(4); tries > 0; --tries) {
      auto factor = 1 + below(12);
      if (left % factor == 0) {
        extents.push_back(factor);
        left /= factor;
      }
    }
    x.run = left;
    auto stride = left * size_of(type);
    for (auto extent : extents) {
      stride += below(5) * size_of(type);
      x.loops.insert(x.loops.begin(), {extent, stride});
      stride *= extent;
    }
    x.begin = below(3) * size_of(type);
    x.memory.resize(x.begin + stride + 16);
    for (auto& b : x.memory)
      b = static_cast<std::byte>(random());
    return x;
  }

  unsigned seed;
  std::mt19937_64 random;
};

octets one_by_one(const sample& x, dtype wire) {
  octets out(x.elements * size_of(wire));
  for (std::uint64_t i = 0; i < x.elements; ++i)
    convert(out.data() + i * size_of(wire), wire, x.memory.data() + x.offset(i),
            x.type, 1);
  return out;
}

const std::vector<std::array<dtype, 3>> types{
  {dtype::float32, dtype::float32, dtype::float32},
  {dtype::bfloat16, dtype::bfloat16, dtype::bfloat16},
  {dtype::uint8, dtype::uint8, dtype::uint8},
  {dtype::float32, dtype::bfloat16, dtype::bfloat16},
  {dtype::float32, dtype::float32, dtype::bfloat16},
  {dtype::bfloat16, dtype::bfloat16, dtype::float32},
  {dtype::float64, dtype::float16, dtype::float32},
};

const std::vector<std::uint64_t> sizes{1,    7,    60,    1024,  1025,
                                       2520, 7560, 36288, 100003};

} // namespace

BOOST_AUTO_TEST_SUITE(transfer_kernels)

BOOST_AUTO_TEST_CASE(a_copy_is_what_elements_one_by_one_are) {
  seeded rnd;
  for (const auto& [from, wire, to] : types)
    for (auto size : sizes)
      for (int round = 0; round < 4; ++round) {
        auto source = rnd.make(from, size);
        auto target = rnd.make(to, size);
        auto expected = target.memory;
        auto on_wire = one_by_one(source, wire);
        for (std::uint64_t i = 0; i < size; ++i)
          convert(expected.data() + target.offset(i), to,
                  on_wire.data() + i * size_of(wire), wire, 1);
        auto sum = copy_region(target.where(), source.where(), wire, 11,
                               digesting::on);
        BOOST_REQUIRE(target.memory == expected);
        BOOST_REQUIRE(sum == digest_of(on_wire, 11, 0));
        BOOST_REQUIRE(digest_region(source.where(), wire, 11) == sum);
        auto packed = octets(on_wire.size());
        BOOST_REQUIRE(copy_region(dense(packed.data(), wire, size),
                                  source.where(), wire, 11, digesting::on)
                      == sum);
        BOOST_REQUIRE(packed == on_wire);
        std::ranges::fill(target.memory, std::byte{0x5a});
        copy_region(target.where(), dense(packed.data(), wire, size), wire, 11,
                    digesting::off);
        for (std::uint64_t i = 0; i < size; ++i)
          BOOST_REQUIRE(std::memcmp(target.memory.data() + target.offset(i),
                                    expected.data() + target.offset(i),
                                    size_of(to))
                        == 0);
      }
}

BOOST_AUTO_TEST_CASE(a_large_copy_is_exact) {
  seeded rnd;
  for (std::uint64_t size : {3000000u, 3000001u}) {
    auto source = rnd.make(dtype::bfloat16, size);
    octets target(size * 2);
    auto sum = copy_region(dense(target.data(), dtype::bfloat16, size),
                           source.where(), dtype::bfloat16, 3, digesting::on);
    auto expected = one_by_one(source, dtype::bfloat16);
    BOOST_CHECK(target == expected);
    BOOST_CHECK(sum == digest_of(expected, 3, 0));
  }
}

BOOST_AUTO_TEST_CASE(comparing_names_the_first_difference) {
  seeded rnd;
  for (auto size : {1u, 60u, 2520u, 36288u}) {
    auto source = rnd.make(dtype::float32, size);
    auto target = rnd.make(dtype::bfloat16, size);
    auto written = copy_region(target.where(), source.where(), dtype::float32,
                               5, digesting::on);
    digest sum;
    BOOST_CHECK(!compare_region(target.where(), source.where(), dtype::float32,
                                5, digesting::on, sum));
    BOOST_CHECK(sum == written);
    auto first = rnd.below(size);
    for (auto at : {first, first + rnd.below(size - first)})
      target.memory[target.offset(at)] ^= std::byte{1};
    sum = {};
    auto found = compare_region(target.where(), source.where(), dtype::float32,
                                5, digesting::on, sum);
    // Twice the same element is none.
    if (!found)
      continue;
    BOOST_CHECK_EQUAL(found->element, first);
    BOOST_CHECK_NE(found->here, found->there);
    BOOST_CHECK(sum == written);
  }
}

BOOST_AUTO_TEST_CASE(impossible_regions_have_no_extent) {
  using loops = std::vector<memory_loop>;
  auto extent = [](std::uint64_t elements, std::uint64_t run, loops all,
                   dtype type = dtype::float32) {
    return region_extent(elements, run, all, type);
  };
  BOOST_CHECK_EQUAL(extent(6, 6, {}).value(), 24u);
  BOOST_CHECK_EQUAL(extent(6, 2, {{3, 40}}).value(), 88u);
  BOOST_CHECK_EQUAL(extent(0, 0, {}).value(), 0u);
  BOOST_CHECK(!extent(6, 2, {{2, 40}}));
  BOOST_CHECK(!extent(6, 0, {{3, 40}}));
  BOOST_CHECK(!extent(0, 0, {{3, 40}}));
  BOOST_CHECK(!extent(6, 6, {}, dtype{99}));
  BOOST_CHECK(!extent(6, 6, loops(loops_max + 1, {1, 0})));
  BOOST_CHECK(!extent(~0ull, ~0ull, {}));
  BOOST_CHECK(!extent(2, 1, {{2, ~0ull}}));
  BOOST_CHECK(!extent(0, 1, {{0, 8}}));
  BOOST_CHECK(!extent(6, 1ull << 62, {{6, 8}, {1ull << 2, 8}}));
}

BOOST_AUTO_TEST_SUITE_END()
