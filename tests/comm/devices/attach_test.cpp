// SPDX-License-Identifier: Apache-2.0
// Slots of an executor whose link goes over NCCL are registered with it.
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <optional>
#include <random>

#include "comm/devices/stand_in_beds.hpp"
#include "support/random_seed.hpp"
#include "support/rank_threads.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::comm::transfer;

namespace {

struct fixture {
  ~fixture() { test::check_clean(*devices); }

  /// Syncs between all of them, three times; then all goes.
  void sync(std::size_t ranks, std::uint64_t registered) {
    auto backend = test::nccl_backend(devices);
    test::sample_options options;
    options.sources = options.destinations = ranks;
    test::sync_sample sample{random, options, backend.memory};
    {
      test::sample_group group{sample, backend};
      BOOST_CHECK_EQUAL(calls("register_memory"), registered);
      for (int round = 0; round < 3; ++round) {
        sample.refill(random);
        for (const auto& x : group.run({}, deadline::after(60s)))
          BOOST_REQUIRE_MESSAGE(x, (x ? "" : to_string(x.error())));
        for (std::size_t rank = 0; rank < ranks; ++rank)
          BOOST_CHECK(sample.held(rank) == sample.expected(rank));
      }
      BOOST_CHECK_EQUAL(calls("register_memory"), registered);
      BOOST_CHECK_EQUAL(calls("deregister"), 0u);
    }
  }

  std::uint64_t calls(const char* function) const {
    return devices->nccl->calls(function);
  }

  test::devices_ptr devices = std::make_shared<test::stand_in_devices>(
    2 * test::ranks_max);
  std::mt19937_64 random{test::random_seed()};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(devices_attach, fixture)

// Memory that goes before it is deregistered, or behind its communicator, is
// noted as misuse.
BOOST_AUTO_TEST_CASE(both_ends_register_their_slots_once) {
  sync(1, 2);
  BOOST_CHECK_EQUAL(calls("deregister"), 2u);
}

BOOST_AUTO_TEST_CASE(every_link_of_a_rank_knows_its_slots) {
  sync(2, 8);
  BOOST_CHECK_EQUAL(calls("deregister"), 8u);
}

BOOST_AUTO_TEST_CASE(a_library_that_refuses_changes_nothing) {
  devices->nccl->fail_next("register_memory", comm::nccl::codes::invalid_usage);
  devices->nccl->fail_next("register_memory",
                           comm::nccl::codes::internal_error);
  sync(1, 2);
  BOOST_CHECK_EQUAL(calls("deregister"), 0u);
}

BOOST_AUTO_TEST_CASE(a_sync_that_was_aborted_leaves_nothing_registered) {
  auto backend = test::nccl_backend(devices);
  test::sync_sample sample{random, {}, backend.memory};
  test::sample_group group{sample, backend};
  BOOST_CHECK_EQUAL(calls("register_memory"), 2u);
  // One of them is alone, and given up.
  auto codes = test::in_threads(2, [&](std::size_t thread) {
    if (thread == 1) {
      group.sources[0]->abort();
      return errc::aborted;
    }
    auto done = group.sources[0]->run({}, deadline::after(60s));
    return done ? errc{} : done.error().code();
  });
  BOOST_CHECK(codes == std::vector<errc>(2, errc::aborted));
}

BOOST_AUTO_TEST_SUITE_END()
