// SPDX-License-Identifier: Apache-2.0
// The batch store between processes.
#include <boost/test/unit_test.hpp>

#include <future>
#include <optional>

#include <signal.h>

#include "actors/process/harness.hpp"
#include "troupe/actors/process/batch_store.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;

namespace {

/// A node with a store and one host with another.
struct two_stores {
  node_harness node;
  std::optional<batch_store> store;
  host_process host;

  two_stores() {
    auto started = node.start(0);
    BOOST_REQUIRE(started);
    host = *started;
    store.emplace(store_settings{}, node.mesh);
  }

  batch_part put_there(std::int64_t rows, std::uint64_t scope = 1) {
    auto answer = node.call(0, put_order(rows, scope));
    decoder in{answer.message};
    batch_part part;
    BOOST_REQUIRE(get(in, part));
    return part;
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(shared_batch)

BOOST_AUTO_TEST_CASE(a_hundred_megabytes_cross_without_being_copied) {
  two_stores x;
  constexpr std::int64_t rows = 100 * mib / 16;
  auto part = x.put_there(rows);
  BOOST_TEST(!part.is_inline());
  BOOST_TEST(part.payload.empty());
  auto got = x.store->get(part, soon());
  BOOST_REQUIRE(got);
  BOOST_TEST(is_numbered(*got, rows));
  // The lease's end and the owner's take nothing from who has the bytes.
  x.node.call(0, simple_order(order::release, 1));
  BOOST_REQUIRE(x.node.guard->kill(0, SIGKILL));
  BOOST_REQUIRE(x.node.next_exit(soon()));
  BOOST_TEST(is_numbered(*got, rows));
}

BOOST_AUTO_TEST_CASE(a_part_of_the_rows_crosses_both_ways) {
  two_stores x;
  auto part = x.put_there(10'000);
  part.row_begin = 1'000;
  part.row_end = 1'005;
  auto got = x.store->get(part, soon());
  BOOST_REQUIRE(got);
  BOOST_TEST(is_numbered(*got, 5, 1'000));
  auto ours = x.store->put(numbered_batch(20'000), 1);
  BOOST_REQUIRE(ours);
  auto said = x.node.call(0, get_order(*ours)).message;
  BOOST_REQUIRE(said.size() == 2u);
  BOOST_TEST(static_cast<int>(said[1]) == 1);
}

BOOST_AUTO_TEST_CASE(what_was_released_is_unavailable) {
  two_stores x;
  auto part = x.put_there(10'000, 5);
  x.node.call(0, simple_order(order::release, 5));
  auto got = x.store->get(part, soon());
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(batches_of_a_killed_host_are_lost_also_after_its_restart) {
  two_stores x;
  auto part = x.put_there(10'000);
  BOOST_REQUIRE(x.node.guard->kill(0, SIGKILL));
  BOOST_REQUIRE(x.node.next_exit(soon()));
  auto got = x.store->get(part, soon());
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::lost));
  BOOST_REQUIRE(x.node.start(0, 2));
  auto stale = x.store->get(part, soon());
  BOOST_REQUIRE(!stale);
  BOOST_TEST((stale.error().code() == errc::lost));
  BOOST_TEST(x.store->get(x.put_there(10'000), soon()).has_value());
}

BOOST_AUTO_TEST_CASE(
  a_frozen_host_costs_the_deadline_and_its_end_ends_the_wait) {
  two_stores x;
  auto part = x.put_there(10'000);
  BOOST_REQUIRE(freeze(x.host.pid));
  auto got = x.store->get(part, deadline::after(std::chrono::milliseconds{50}));
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::timed_out));
  auto pending = std::async(std::launch::async, [&] {
    return x.store->get(part, deadline::after(std::chrono::minutes{1}));
  });
  ::kill(x.host.pid, SIGKILL);
  BOOST_REQUIRE(
    (pending.wait_for(std::chrono::seconds{10}) == std::future_status::ready));
  auto lost = pending.get();
  BOOST_REQUIRE(!lost);
  BOOST_TEST((lost.error().code() == errc::lost));
}

BOOST_AUTO_TEST_CASE(fetching_leaks_no_descriptor) {
  two_stores x;
  auto part = x.put_there(10'000);
  BOOST_REQUIRE(x.store->get(part, soon()));
  auto before = open_descriptors();
  for (int i = 0; i < 100; ++i)
    BOOST_REQUIRE(x.store->get(part, soon()));
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_SUITE_END()
