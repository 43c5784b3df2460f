// SPDX-License-Identifier: Apache-2.0
// What a device needs for a sync is made by `warm_up`: a first run that makes it
// is slower, and to allocate may wait for all that is on the device.
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <random>
#include <string>

#include "comm/devices/stand_in_beds.hpp"
#include "support/random_seed.hpp"
#include "support/rank_threads.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::comm::transfer;

namespace {

using bed_maker = std::function<test::device_bed(const test::devices_ptr&)>;

/// How often each thing was made or ended, on both processes' runtimes.
std::map<std::string, std::uint64_t> counts(const test::stand_in_devices& of) {
  std::map<std::string, std::uint64_t> out;
  for (const auto& x : {of.runtime, of.other}) {
    out["kernel loads"] += x->kernel_loads();
    for (const char* name :
         {"allocate", "release", "allocate_pinned", "release_pinned",
          "create_event", "create_stream", "import_memory", "export_memory"})
      out[name] += x->calls(name);
  }
  return out;
}

void check_warm(const bed_maker& make, run_mode mode, bool source_digest) {
  std::mt19937_64 random{test::random_seed()};
  auto devices = std::make_shared<test::stand_in_devices>(2, true);
  {
    auto bed = make(devices);
    auto backend = bed.backend();
    test::sample_options options;
    options.buckets = 80;
    options.elements_max = 500;
    test::sync_sample sample{random, options, backend.memory};
    test::sample_group group{sample, backend};
    auto until = deadline::after(60s);
    for (int round = 0; round < 2; ++round) {
      auto warm = test::in_threads(2, [&](std::size_t rank) {
        auto& of = rank == 0 ? group.sources : group.destinations;
        return of[0]->warm_up(mode, until);
      });
      for (const auto& x : warm)
        BOOST_REQUIRE_MESSAGE(x, (x ? "" : to_string(x.error())));
    }
    auto before = counts(*devices);
    BOOST_CHECK_GT(before["kernel loads"], 0u);
    for (int round = 0; round < 3; ++round) {
      auto expected = sample.expected(0);
      run_options how;
      how.mode = mode;
      how.source_digest = source_digest;
      for (const auto& x : group.run(how, until))
        BOOST_REQUIRE_MESSAGE(x, (x ? "" : to_string(x.error())));
      if (mode == run_mode::staged)
        BOOST_REQUIRE(group.destinations[0]->commit(until));
      for (const auto& [name, times] : counts(*devices))
        BOOST_CHECK_MESSAGE(times == before[name],
                            name << " in run " << round << ": "
                                 << times - before[name]);
      if (mode == run_mode::in_place || mode == run_mode::staged)
        BOOST_CHECK(sample.held(0) == expected);
      // `held` brings them here by ways of its own.
      before = counts(*devices);
    }
  }
  test::check_clean(*devices);
}

void check_all(const bed_maker& make) {
  for (auto mode : {run_mode::in_place, run_mode::staged, run_mode::compare})
    for (auto source_digest : {false, true})
      check_warm(make, mode, source_digest);
}

} // namespace

BOOST_AUTO_TEST_SUITE(devices_warm_up)

BOOST_AUTO_TEST_CASE(copies_on_a_device) {
  check_all(test::cuda_bed);
}

BOOST_AUTO_TEST_CASE(memory_of_another_process_in_place) {
  check_all([](const test::devices_ptr& on) {
    return test::cuda_ipc_bed(on, test::ipc_memory::exported);
  });
}

BOOST_AUTO_TEST_CASE(memory_of_another_process_packed) {
  check_all([](const test::devices_ptr& on) {
    return test::cuda_ipc_bed(on, test::ipc_memory::unnamed);
  });
}

BOOST_AUTO_TEST_CASE(between_devices) {
  check_all(test::nccl_bed);
}

BOOST_AUTO_TEST_SUITE_END()
