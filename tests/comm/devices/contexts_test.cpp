// SPDX-License-Identifier: Apache-2.0
// A context takes some hundred MiB of its device. A thread that chose none
// stands on device 0, and nearly every call of CUDA there makes one: hosts of
// other devices must not fill that of the first.
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <random>
#include <set>

#include "comm/devices/stand_in_beds.hpp"
#include "support/random_seed.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::comm::transfer;

namespace {

using numbers = std::set<std::int32_t>;

/// Makes everything, syncs, and lets go, in threads that never chose.
void sync_once(const test::device_bed& bed) {
  std::mt19937_64 random{test::random_seed()};
  auto backend = bed.backend();
  test::sync_sample sample{random, {}, backend.memory};
  test::sample_group group{sample, backend};
  auto expected = sample.expected(0);
  auto until = deadline::after(60s);
  run_options how;
  how.mode = run_mode::staged;
  for (const auto& x : group.run(how, until))
    BOOST_REQUIRE_MESSAGE(x, (x ? "" : to_string(x.error())));
  BOOST_REQUIRE(group.destinations[0]->commit(until));
  BOOST_CHECK(sample.held(0) == expected);
}

struct fixture {
  fixture() { devices->first = 1; }

  ~fixture() { check_clean(*devices); }

  test::devices_ptr devices = std::make_shared<test::stand_in_devices>(3);
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(devices_contexts, fixture)

BOOST_AUTO_TEST_CASE(copies_within_a_device_use_that_one) {
  sync_once(test::cuda_bed(devices));
  BOOST_CHECK(devices->runtime->contexts() == numbers{1});
}

BOOST_AUTO_TEST_CASE(memory_of_another_process_is_read_on_that_device) {
  for (auto memory : {test::ipc_memory::exported, test::ipc_memory::unnamed}) {
    sync_once(test::cuda_ipc_bed(devices, memory));
    BOOST_CHECK(devices->runtime->contexts() == numbers{1});
    BOOST_CHECK(devices->other->contexts() == numbers{1});
  }
}

BOOST_AUTO_TEST_CASE(nccl_uses_the_devices_that_it_joins) {
  sync_once(test::nccl_bed(devices));
  BOOST_CHECK((devices->runtime->contexts() == numbers{1, 2}));
}

BOOST_AUTO_TEST_SUITE_END()
