// SPDX-License-Identifier: Apache-2.0
// The syncs of sync_run_test.cpp between models whose weights lie on a device,
// which the stand-in runtime plays. Every wait has a deadline.
#include "actors/sync/sync_run_fixture.hpp"
#include "support/cuda/host_kernel.hpp"
#include "support/cuda/stand_in_fixture.hpp"
#include "troupe/comm/devices/cuda_device.hpp"

using namespace troupe;
using namespace troupe::protocol;

namespace {

struct with_device {
  std::shared_ptr<test::stand_in_runtime> cuda = test::make_stand_in();
  comm::device_ptr device;

  with_device() {
    cuda->execute_with(test::host_kernel);
    device = comm::devices::cuda_device::make(cuda, 0, nullptr, "no NCCL here")
               .value();
  }
};

struct fixture : with_device, test::sync_run_fixture {
  fixture() : sync_run_fixture(device) {
    // nop
  }

  /// How many errors whoever watches the job has seen.
  std::uint64_t errors_told() {
    auto known = ask<error_history>(errors, get_errors{});
    BOOST_REQUIRE(known);
    return known->errors;
  }

  /// Nothing was used after it was given back or before it was there.
  void is_clean() {
    auto hazards = cuda->hazards();
    BOOST_TEST(hazards.empty(), test::lines(hazards));
  }
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(sync_device_sync, fixture)

BOOST_AUTO_TEST_CASE(weights_go_from_place_to_place_on_the_device) {
  for (const auto* mode : test::sync_modes) {
    options.mode = mode;
    auto group = join();
    for (auto i = 1; i <= 3; ++i) {
      set("a", i, 10 * i);
      runs(group, i == 3);
      holds("b", i, 10 * i);
    }
  }
  is_clean();
}

BOOST_AUTO_TEST_CASE(the_plan_names_the_link) {
  auto group = ask<sync_plan>(join(), prepare_sync{held["a"], held["b"],
                                                   options, 5000});
  BOOST_REQUIRE(group);
  BOOST_REQUIRE(!group->links.empty());
  BOOST_TEST(contains(group->links.front(), "over cuda"), group->links.front());
}

BOOST_AUTO_TEST_CASE(memory_may_move_at_either_end) {
  for (const auto* mode : test::sync_modes) {
    options.mode = mode;
    auto group = join();
    set("a", 1, 1);
    runs(group);
    for (const auto* moves : {"a", "b"}) {
      BOOST_REQUIRE(call(moves, "move"));
      set("a", 5, 6);
      runs(group);
      holds("b", 5, 6);
    }
  }
  is_clean();
}

BOOST_AUTO_TEST_CASE(models_that_give_their_memory_back_sync_too) {
  make("c", 1, 2, true);
  // As the engine has it for such models.
  options.warm_up = false;
  options.free_groups = true;
  for (const auto* mode : test::sync_modes) {
    options.mode = mode;
    auto in = join("a", "c");
    auto out = join("c", "b");
    std::uint64_t used = 0;
    for (auto i = 1; i <= 5; ++i) {
      set("a", i, 10 * i);
      runs(in, i == 3);
      runs(out, i == 4);
      holds("c", i, 10 * i);
      holds("b", i, 10 * i);
      // What it had is not there twice, nor anything of the links.
      auto now = device->memory().value().used_bytes;
      if (i > 1)
        BOOST_TEST(now == used);
      used = now;
    }
  }
  is_clean();
}

BOOST_AUTO_TEST_CASE(a_commit_that_fails_is_made_good_by_the_next_sync) {
  options.mode = "staged";
  auto group = join();
  set("a", 1, 1);
  runs(group);
  set("a", 2, 2);
  told["b"]->throw_on_sync = true;
  auto got = run(group);
  BOOST_REQUIRE(!got);
  BOOST_TEST(contains(got.error().message(), "no room for the cache"),
             got.error().message());
  told["b"]->throw_on_sync = false;
  set("a", 3, 3);
  runs(group);
  holds("b", 3, 3);
  is_clean();
}

BOOST_AUTO_TEST_CASE(a_launch_that_fails_fails_the_sync_and_the_next_goes_on) {
  options.mode = "staged";
  auto group = join();
  set("a", 1, 1);
  runs(group);
  set("a", 2, 2);
  cuda->fail_next("launch", comm::cuda::codes::invalid_value);
  auto got = run(group);
  BOOST_REQUIRE(!got);
  BOOST_TEST(contains(got.error().message(), "over cuda"),
             got.error().message());
  // Nothing was taken over.
  holds("b", 1, 1);
  runs(group);
  holds("b", 2, 2);
}

// Nobody ends a job because of what was only tried.
BOOST_AUTO_TEST_CASE(memory_that_lacks_to_stage_is_no_error_in_place) {
  for (auto warm_up : {true, false}) {
    options.mode = "auto";
    options.warm_up = warm_up;
    options.free_groups = !warm_up;
    auto lacks = [&] {
      cuda->fail_next("allocate", comm::cuda::codes::out_of_memory);
    };
    if (warm_up)
      lacks();
    auto group = join();
    set("a", 1, 2);
    if (!warm_up)
      lacks();
    runs(group);
    holds("b", 1, 2);
    BOOST_TEST(errors_told() == 0u);
  }
  is_clean();
}

BOOST_AUTO_TEST_CASE(memory_that_lacks_where_staged_is_asked_for_is_an_error) {
  options.mode = "staged";
  options.warm_up = false;
  auto group = join();
  cuda->fail_next("allocate", comm::cuda::codes::out_of_memory);
  auto got = run(group);
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::exhausted));
  BOOST_TEST(errors_told() > 0u);
}

BOOST_AUTO_TEST_CASE(the_host_s_memory_and_a_device_s_are_not_mixed) {
  auto group = system.spawn<sync::sync_group>("mixed", made["a"], made["b"]);
  groups.push_back(group);
  for (auto& x : held["b"].items)
    x.device.clear();
  auto got = prepare(group, "a", "b");
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::invalid));
  BOOST_TEST(contains(got.error().message(), "on a device"),
             got.error().message());
}

BOOST_AUTO_TEST_SUITE_END()
