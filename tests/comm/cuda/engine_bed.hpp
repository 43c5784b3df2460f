// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/cuda/random_regions.hpp"
#include "troupe/comm/transfer/copy_engine.hpp"

namespace troupe::test {

namespace transfer = comm::transfer;

using transfer::digesting;

using octets = std::vector<std::byte>;

using engine_ptr = std::unique_ptr<transfer::copy_engine>;

/// The same bytes on the device and here.
struct tensor {
  region_shape shape;
  buffer device;
  octets host;

  transfer::writable_region there() const { return shape.in(device.data()); }

  transfer::writable_region here() { return shape.in(host.data()); }
};

struct one_copy {
  tensor to;
  tensor from;
  std::uint64_t key = 0;
};

/// An engine beside that of the host, which says what is right.
struct engine_bed {
  explicit engine_bed(engine_ptr subject)
    : engine(std::move(subject)),
      host(transfer::make_host_engine()) {
    BOOST_TEST_MESSAGE("TROUPE_SEED=" << rnd.seed);
  }

  static deadline soon() { return deadline::after(std::chrono::seconds{10}); }

  /// The message is made before it is known to be needed.
  template <class T>
  static void require(const result<T>& x) {
    auto text = x ? std::string{} : to_string(x.error());
    BOOST_REQUIRE_MESSAGE(x.has_value(), text);
  }

  template <class T>
  static T take(result<T> x) {
    require(x);
    return std::move(*x);
  }

  static void ok(const result<void>& x) { require(x); }

  tensor make(dtype type, std::uint64_t elements) {
    tensor x;
    x.shape = rnd.shape(type, elements);
    x.host = rnd.memory(x.shape.bytes);
    x.device = take(engine->allocate(x.shape.bytes));
    ok(engine->put(x.device.data(), x.host, soon()));
    return x;
  }

  std::vector<one_copy> make_bucket(dtype wire, std::uint64_t parts) {
    std::vector<one_copy> out;
    while (parts-- > 0) {
      auto elements = rnd.size();
      auto to = make(rnd.floating(), elements);
      out.push_back({std::move(to),
                     make(rnd.chance(2) ? wire : rnd.floating(), elements),
                     rnd.below(1000)});
    }
    return out;
  }

  /// Enqueues a bucket, and does the same here.
  void copy(std::vector<one_copy>& bucket, dtype wire, digesting digests,
            digest& sum, digest& expected) {
    std::vector<transfer::keyed_copy> there;
    std::vector<transfer::keyed_copy> here;
    for (auto& x : bucket) {
      there.push_back({x.to.there(), x.from.there(), x.key});
      here.push_back({x.to.here(), x.from.here(), x.key});
    }
    ok(engine->copy(there, wire, digests, sum, soon()));
    ok(host->copy(here, wire, digests, expected, soon()));
  }

  void check(const tensor& x) {
    octets now(x.host.size());
    ok(engine->get(now, x.device.data(), soon()));
    BOOST_REQUIRE(now == x.host);
  }

  /// Random buckets, of several types and sums.
  void check_buckets() {
    for (int round = 0; round < 6; ++round) {
      std::vector<std::vector<one_copy>> buckets;
      std::vector<dtype> wires;
      for (int i = 0; i < 4; ++i) {
        wires.push_back(rnd.floating());
        buckets.push_back(make_bucket(wires.back(), rnd.below(6)));
      }
      // Two channels, and one that is not digested.
      std::vector<digest> sums(3, digest{1, 2});
      auto expected = sums;
      for (std::size_t i = 0; i < buckets.size(); ++i)
        copy(buckets[i], wires[i], i == 2 ? digesting::off : digesting::on,
             sums[i % 3], expected[i % 3]);
      ok(engine->finish(soon()));
      for (std::size_t i = 0; i < sums.size(); ++i)
        BOOST_CHECK_EQUAL(to_string(sums[i]), to_string(expected[i]));
      for (auto& bucket : buckets)
        for (auto& x : bucket)
          check(x.to);
      // Once more: what was added is not added again.
      ok(engine->finish(soon()));
      BOOST_CHECK_EQUAL(to_string(sums[0]), to_string(expected[0]));
    }
  }

  random_regions rnd;
  engine_ptr engine;
  engine_ptr host;
};

} // namespace troupe::test
