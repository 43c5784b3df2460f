// SPDX-License-Identifier: Apache-2.0
// The copy kernel on a real device, beside what the host makes of the same
// elements: bytes and digests must be equal. TROUPE_SEED repeats a run that was
// printed, TROUPE_TEST_COUNT says how many rounds there are.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <utility>

#include <boost/test/unit_test.hpp>

#include "comm/cuda/engine_bed.hpp"
#include "comm/nccl/gpu/one_device.hpp"
#include "troupe/comm/cuda/copy_engine.hpp"
#include "troupe/comm/cuda/factory.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

constexpr std::array floating{dtype::float32, dtype::bfloat16, dtype::float16,
                              dtype::float64};

int rounds() {
  const auto* text = std::getenv("TROUPE_TEST_COUNT");
  return text == nullptr ? 60 : std::max(1, std::atoi(text));
}

struct fixture : engine_bed {
  fixture() : engine_bed(make_engine()) {
    // nop
  }

  static engine_ptr make_engine() {
    return take(comm::cuda::device_engine_maker{runtime(), 0}.make());
  }

  static comm::cuda::runtime_ptr runtime() {
    static const auto made = take(comm::cuda::make_runtime());
    return made;
  }

  /// Dense, on both sides.
  one_copy make_dense(dtype from, dtype to, const octets& bytes) {
    auto elements = bytes.size() / size_of(from);
    one_copy x;
    auto fill = [&](tensor& what, dtype type, octets content) {
      what.shape.type = type;
      what.shape.elements = elements;
      what.shape.run = elements;
      what.shape.bytes = content.size();
      what.host = std::move(content);
      what.device = take(engine->allocate(what.host.size()));
      ok(engine->put(what.device.data(), what.host, soon()));
    };
    fill(x.from, from, bytes);
    fill(x.to, to, octets(elements * size_of(to)));
    return x;
  }

  void check_copy(std::vector<one_copy>& bucket, dtype wire) {
    digest sum;
    digest expected;
    copy(bucket, wire, digesting::on, sum, expected);
    ok(engine->finish(soon()));
    BOOST_CHECK_EQUAL(to_string(sum), to_string(expected));
    for (auto& x : bucket)
      check(x.to);
  }
};

} // namespace

BOOST_GLOBAL_FIXTURE(device_or_skip);

BOOST_FIXTURE_TEST_SUITE(cuda_gpu_engine, fixture)

BOOST_AUTO_TEST_CASE(buckets_are_as_the_host_makes_them) {
  for (int i = 0; i < rounds(); ++i)
    check_buckets();
}

// Every half, and floats and doubles of all exponents, through every type.
BOOST_AUTO_TEST_CASE(elements_convert_as_on_the_host) {
  for (auto from : floating) {
    octets bytes;
    auto add = [&](std::uint64_t bits) {
      const auto* begin = reinterpret_cast<const std::byte*>(&bits);
      bytes.insert(bytes.end(), begin, begin + size_of(from));
    };
    if (size_of(from) == 2)
      for (std::uint64_t bits = 0; bits < 0x10000u; ++bits)
        add(bits);
    else
      for (int i = 0; i < 1 << 18; ++i)
        add((rnd.below(1u << 31) << 33) | (rnd.below(1u << 31) << 2)
            | rnd.below(4));
    for (auto wire : floating)
      for (auto to : floating) {
        std::vector<one_copy> bucket;
        bucket.push_back(make_dense(from, to, bytes));
        check_copy(bucket, wire);
      }
  }
}

// Enough tiles that every block takes several, of many parts and sums.
BOOST_AUTO_TEST_CASE(large_launches_are_right) {
  for (auto type : {dtype::bfloat16, dtype::float32}) {
    auto memory = rnd.memory(64 * mib);
    std::vector<one_copy> whole;
    whole.push_back(make_dense(type, type, memory));
    check_copy(whole, type);
    std::vector<std::vector<one_copy>> buckets(40);
    std::vector<digest> sums(buckets.size());
    auto expected = sums;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      auto bytes = rnd.memory((i % 5 + 1) * 600 * kib);
      buckets[i].push_back(make_dense(type, dtype::bfloat16, bytes));
      buckets[i].back().key = i;
      copy(buckets[i], dtype::bfloat16, digesting::on, sums[i], expected[i]);
    }
    ok(engine->finish(soon()));
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      BOOST_CHECK_EQUAL(to_string(sums[i]), to_string(expected[i]));
      check(buckets[i].back().to);
    }
  }
}

BOOST_AUTO_TEST_CASE(differences_are_found) {
  for (std::uint64_t elements : {1u, 2520u, 3000000u}) {
    auto one = make(dtype::float32, elements);
    auto there = one.there();
    digest sum;
    auto look = [&](const transfer::region& other) {
      return take(engine->compare(there, other, dtype::float32, 1,
                                  digesting::on, sum, soon()));
    };
    BOOST_CHECK(!look(there));
    auto copy = take(engine->allocate(one.shape.bytes));
    octets bytes = one.host;
    auto wrong = rnd.below(elements);
    bytes[one.shape.begin
          + transfer::region_offset(wrong, one.shape.run, one.shape.loops,
                                    dtype::float32)] ^= std::byte{1};
    ok(engine->put(copy.data(), bytes, soon()));
    auto found = look(one.shape.in(copy.data()));
    BOOST_REQUIRE(found);
    BOOST_CHECK_EQUAL(found->element, wrong);
  }
}

BOOST_AUTO_TEST_SUITE_END()
