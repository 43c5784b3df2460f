// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/copy_kernel.hpp"

#include <array>
#include <limits>
#include <memory>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/cuda/host_kernel.hpp"
#include "support/cuda/random_regions.hpp"
#include "troupe/comm/cuda/copy_tables.hpp"
#include "troupe/comm/transfer/convert.hpp"
#include "troupe/comm/transfer/kernels.hpp"
#include "troupe/core/buffer.hpp"

using namespace troupe;
using namespace troupe::comm::cuda;
using namespace troupe::test;

namespace transfer = comm::transfer;

namespace {

using octets = std::vector<std::byte>;

constexpr std::array floating{dtype::float32, dtype::bfloat16, dtype::float16,
                              dtype::float64};

/// One copy, in memory that begins at a multiple of 16.
struct sample {
  region_shape from_shape;
  region_shape to_shape;
  buffer from;
  buffer to;
  octets expected;
  std::uint64_t key = 0;

  transfer::region source() const { return from_shape.in(from.data()); }

  transfer::writable_region target() const { return to_shape.in(to.data()); }
};

struct fixture {
  fixture() { BOOST_TEST_MESSAGE("TROUPE_SEED=" << rnd.seed); }

  /// With what `copy_region` makes of it.
  sample make(dtype from, dtype wire, dtype to, std::uint64_t elements,
              digest& sum) {
    sample x;
    x.from_shape = rnd.shape(from, elements);
    x.to_shape = rnd.shape(to, elements);
    x.from = buffer::copy_of(rnd.memory(x.from_shape.bytes));
    auto target = rnd.memory(x.to_shape.bytes);
    x.to = buffer::copy_of(target);
    x.key = rnd.below(1000);
    sum += transfer::copy_region(x.to_shape.in(target.data()), x.source(), wire,
                                 x.key, transfer::digesting::on);
    x.expected = std::move(target);
    return x;
  }

  host_kernel_options cut() {
    return {static_cast<unsigned>(1 + rnd.below(9)),
            static_cast<unsigned>(1 + rnd.below(3) * 40)};
  }

  host_kernel_counts run(const copy_tables& tables, digest* sum) {
    auto where = buffer::allocate(tables.bytes());
    tables.write(where.data());
    auto counts = run_on_host(tables.launch(where.data(), sum), cut());
    BOOST_REQUIRE_EQUAL(counts.misaligned, 0u);
    return counts;
  }

  void check(const std::vector<sample>& all, dtype wire, const digest& sum) {
    copy_tables tables;
    tables.clear(wire, false);
    for (const auto& x : all)
      tables.add(x.source(), x.key);
    digest found;
    run(tables, &found);
    BOOST_REQUIRE_EQUAL(to_string(found), to_string(sum));
    tables.clear(wire, true);
    for (const auto& x : all)
      tables.add(x.target(), x.source(), x.key);
    auto digests = !rnd.chance(3);
    found = {};
    run(tables, digests ? &found : nullptr);
    BOOST_REQUIRE_EQUAL(to_string(found), to_string(digests ? sum : digest{}));
    for (const auto& x : all) {
      octets written(x.to.data(), x.to.data() + x.to.size());
      BOOST_REQUIRE(written == x.expected);
    }
  }

  random_regions rnd;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(cuda_copy_kernel, fixture)

BOOST_AUTO_TEST_CASE(division_is_exact) {
  constexpr auto most = (std::uint64_t{1} << 63) - 1;
  auto look = [](std::uint64_t x, std::uint64_t n) {
    BOOST_REQUIRE_EQUAL(kernel::divide(x, make_divider(n)), x / n);
  };
  for (int i = 0; i < 20000; ++i) {
    auto n = 1 + rnd.below(most) / (std::uint64_t{1} << rnd.below(63));
    auto x = rnd.below(most) / (std::uint64_t{1} << rnd.below(63));
    for (auto value :
         {x, most, x / n * n, std::max(x / n * n, n) - 1, n, n - 1})
      look(value, n);
    look(x, std::uint64_t{1} << rnd.below(63));
  }
}

BOOST_AUTO_TEST_CASE(every_half_converts_as_on_the_cpu) {
  for (auto from : {dtype::bfloat16, dtype::float16})
    for (auto to : floating)
      for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
        std::uint64_t expected = 0;
        std::uint64_t element = bits;
        transfer::convert(reinterpret_cast<std::byte*>(&expected), to,
                          reinterpret_cast<const std::byte*>(&element), from,
                          1);
        BOOST_REQUIRE_EQUAL(kernel::convert_element(bits, from, to), expected);
      }
}

BOOST_AUTO_TEST_CASE(other_elements_convert_as_on_the_cpu) {
  auto look = [](std::uint64_t element, dtype from) {
    if (from == dtype::float32)
      element &= 0xffffffffu;
    for (auto to : floating) {
      std::uint64_t expected = 0;
      transfer::convert(reinterpret_cast<std::byte*>(&expected), to,
                        reinterpret_cast<const std::byte*>(&element), from, 1);
      BOOST_REQUIRE_EQUAL(kernel::convert_element(element, from, to), expected);
    }
  };
  for (std::uint32_t exponent = 0; exponent < 256; ++exponent)
    for (int i = 0; i < 2000; ++i) {
      // Fractions near ties, and any.
      auto fraction = rnd.below(1u << 23);
      if (i % 2 == 0)
        fraction = (fraction & ~std::uint64_t{0x1fff}) + 0xfff + rnd.below(3);
      look((rnd.below(2) << 31) | (exponent << 23) | fraction, dtype::float32);
    }
  for (std::uint64_t exponent = 0; exponent < 2048; ++exponent)
    for (int i = 0; i < 200; ++i)
      look((rnd.below(2) << 63) | (exponent << 52)
             | rnd.below(std::uint64_t{1} << 52),
           dtype::float64);
  for (auto bits : {0x7ff0000000000000u, 0x7ff0000000000001u,
                    0xfff0000020000000u, 0x7ff8000000000000u})
    look(bits, dtype::float64);
}

BOOST_AUTO_TEST_CASE(many_parts_of_one_type_are_copied_and_digested) {
  for (int round = 0; round < 60; ++round) {
    digest sum;
    std::vector<sample> all;
    // Parts of one wire type may be of several tensors only if they convert.
    auto type = rnd.any();
    for (auto parts = rnd.below(12); parts > 0; --parts)
      all.push_back(make(type, type, type, rnd.size(), sum));
    check(all, type, sum);
  }
}

BOOST_AUTO_TEST_CASE(parts_of_all_types_are_converted) {
  for (int round = 0; round < 60; ++round) {
    digest sum;
    std::vector<sample> all;
    auto wire = rnd.floating();
    for (auto parts = rnd.below(8); parts > 0; --parts)
      all.push_back(
        make(rnd.floating(), wire, rnd.floating(), rnd.size(), sum));
    check(all, wire, sum);
  }
}

BOOST_AUTO_TEST_CASE(all_triples_of_types_at_all_small_sizes) {
  for (auto from : floating)
    for (auto wire : floating)
      for (auto to : floating) {
        digest sum;
        std::vector<sample> all;
        for (std::uint64_t size = 0; size < 20; ++size)
          all.push_back(make(from, wire, to, size, sum));
        check(all, wire, sum);
      }
}

BOOST_AUTO_TEST_CASE(each_part_is_digested_to_its_sum) {
  for (int round = 0; round < 40; ++round) {
    auto wire = rnd.floating();
    std::vector<digest> expected(5);
    std::vector<sample> all;
    copy_tables tables;
    tables.clear(wire, true);
    for (auto parts = rnd.below(20); parts > 0; --parts) {
      // In runs, as buckets are, and back to one that was left.
      auto sum = rnd.chance(2) ? rnd.below(expected.size()) : parts / 4;
      sum = std::min<std::uint64_t>(sum, expected.size() - 1);
      all.push_back(make(rnd.chance(2) ? wire : rnd.floating(), wire,
                         rnd.floating(), rnd.size(), expected[sum]));
      tables.digest_to(sum);
      tables.add(all.back().target(), all.back().source(), all.back().key);
    }
    std::vector<digest> found(expected.size());
    run(tables, found.data());
    for (std::size_t i = 0; i < found.size(); ++i)
      BOOST_REQUIRE_EQUAL(to_string(found[i]), to_string(expected[i]));
    for (const auto& x : all) {
      octets written(x.to.data(), x.to.data() + x.to.size());
      BOOST_REQUIRE(written == x.expected);
    }
  }
}

BOOST_AUTO_TEST_CASE(nothing_is_nothing) {
  copy_tables tables;
  tables.clear(dtype::float32, true);
  tables.add(transfer::dense<std::byte>(nullptr, dtype::float32, 0),
             transfer::dense<const std::byte>(nullptr, dtype::float32, 0), 1);
  BOOST_CHECK(tables.empty());
  BOOST_CHECK_EQUAL(tables.launch(nullptr, nullptr).tiles, 0u);
}

BOOST_AUTO_TEST_CASE(a_piece_of_a_region_is_keyed_as_in_the_whole) {
  for (int round = 0; round < 20; ++round) {
    digest sum;
    auto from = rnd.floating();
    auto wire = rnd.floating();
    auto x = make(from, wire, wire, 30000 + rnd.below(9000), sum);
    octets expected(x.from_shape.elements * size_of(wire));
    transfer::copy_region(transfer::dense(expected.data(), wire,
                                          x.from_shape.elements),
                          x.source(), wire, x.key, transfer::digesting::off);
    octets found(expected.size());
    digest pieces;
    for (std::uint64_t skip = 0; skip < x.from_shape.elements;) {
      auto step = std::min(tile_elements * (1 + rnd.below(3)),
                           x.from_shape.elements - skip);
      auto* at = found.data() + skip * size_of(wire);
      copy_tables tables;
      tables.clear(wire, true);
      tables.add(transfer::dense(at, wire, step), x.source(), x.key, skip,
                 step);
      run(tables, &pieces);
      skip += step;
    }
    BOOST_REQUIRE(found == expected);
    BOOST_REQUIRE_EQUAL(to_string(pieces), to_string(sum));
  }
}

// The fast way is taken: 16 bytes at a time, and one by one at most what does
// not fill a vector.
BOOST_AUTO_TEST_CASE(aligned_memory_moves_in_vectors) {
  constexpr std::uint64_t elements = 3 * tile_elements + 5;
  auto from = buffer::copy_of(rnd.memory(elements * 4));
  auto to = buffer::allocate(elements * 4);
  copy_tables tables;
  digest sum;
  auto look = [&](dtype in, dtype wire, dtype out, std::uint64_t loads,
                  std::uint64_t stores, std::uint64_t rest) {
    tables.clear(wire, true);
    tables.add(transfer::dense(to.data(), out, elements),
               transfer::dense<const std::byte>(from.data(), in, elements), 1);
    auto counts = run(tables, &sum);
    BOOST_CHECK_EQUAL(counts.vector_loads, loads);
    BOOST_CHECK_EQUAL(counts.vector_stores, stores);
    BOOST_CHECK_LE(counts.other_loads, rest);
  };
  look(dtype::bfloat16, dtype::bfloat16, dtype::bfloat16, elements / 8,
       elements / 8, 7);
  look(dtype::float32, dtype::float32, dtype::float32, elements / 4,
       elements / 4, 3);
  look(dtype::float32, dtype::bfloat16, dtype::float32, elements / 4,
       elements / 4, 3);
  // Four elements of two bytes are half a vector.
  look(dtype::float32, dtype::bfloat16, dtype::bfloat16, elements / 4, 0, 3);
  // Rows of 1 KiB cut out of rows of 3.
  std::vector<memory_loop> rows{{24, 3072}};
  tables.clear(dtype::bfloat16, true);
  tables.add(transfer::dense(to.data(), dtype::bfloat16, 24 * 512),
             transfer::region{from.data() + 1024, dtype::bfloat16, 24 * 512,
                              512, rows},
             1);
  auto counts = run(tables, &sum);
  BOOST_CHECK_EQUAL(counts.vector_loads, 24u * 64);
  BOOST_CHECK_EQUAL(counts.vector_stores, 24u * 64);
  BOOST_CHECK_EQUAL(counts.other_loads, 0u);
  BOOST_CHECK_EQUAL(counts.other_stores, 0u);
}

BOOST_AUTO_TEST_SUITE_END()
