// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <set>
#include <thread>

#include "support/cuda/stand_in_fixture.hpp"
#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/cuda/device_guard.hpp"
#include "troupe/comm/cuda/factory.hpp"
#include "troupe/comm/cuda/versions.hpp"

using namespace troupe;
using namespace troupe::comm::cuda;
using test::make_stand_in;

BOOST_AUTO_TEST_SUITE(cuda_check)

BOOST_AUTO_TEST_CASE(an_error_names_call_place_cause_and_rank) {
  auto api = make_stand_in();
  scoped_rank rank{3};
  auto line = __LINE__ + 1;
  auto bad = check(api, codes::out_of_memory, "cudaMalloc(4096)");
  BOOST_REQUIRE(!bad);
  BOOST_CHECK(bad.error().code() == errc::exhausted);
  BOOST_CHECK_EQUAL(bad.error().message(), "cudaMalloc(4096): out of memory "
                                           "(cudaErrorMemoryAllocation) at "
                                           "comm/cuda/check_test.cpp:"
                                             + std::to_string(line)
                                             + " on rank 3");
}

BOOST_AUTO_TEST_CASE(the_text_is_made_only_if_it_is_needed) {
  auto api = make_stand_in();
  int made = 0;
  auto text = [&] {
    ++made;
    return std::string{"cudaFree"};
  };
  BOOST_CHECK(check(*api, codes::success, text));
  BOOST_CHECK_EQUAL(made, 0);
  BOOST_CHECK(!check(*api, codes::invalid_value, text));
  BOOST_CHECK_EQUAL(made, 1);
}

BOOST_AUTO_TEST_CASE(a_failed_call_leaves_no_last_error) {
  auto api = make_stand_in();
  api->fail_next("synchronize_device", codes::invalid_value);
  auto code = api->synchronize_device();
  BOOST_CHECK_EQUAL(code, codes::invalid_value);
  BOOST_CHECK(!check(api, code, "cudaDeviceSynchronize"));
  BOOST_CHECK_EQUAL(api->take_last_error(), codes::success);
}

BOOST_AUTO_TEST_CASE(a_sticky_error_says_that_the_process_must_begin_anew) {
  auto api = make_stand_in();
  stream_handle stream = nullptr;
  BOOST_REQUIRE_EQUAL(api->create_stream(stream), codes::success);
  api->enqueue(stream, "a kernel",
               [](const std::atomic<bool>&) { return codes::illegal_address; });
  BOOST_CHECK_EQUAL(api->synchronize_device(), codes::illegal_address);
  // The call has an error of its own; what matters is the device's.
  auto bad = check(api, codes::invalid_value, "cudaMemsetAsync");
  BOOST_REQUIRE(!bad);
  BOOST_CHECK(bad.error().code() == errc::lost);
  BOOST_CHECK(bad.error().message().find("start it anew") != std::string::npos);
  BOOST_CHECK_EQUAL(api->take_last_error(), codes::illegal_address);
  BOOST_CHECK_EQUAL(api->destroy_stream(stream), codes::illegal_address);
}

BOOST_AUTO_TEST_CASE(errors_are_named_by_the_reaction) {
  BOOST_CHECK(reaction_to(codes::out_of_memory) == errc::exhausted);
  BOOST_CHECK(reaction_to(codes::no_device) == errc::unavailable);
  BOOST_CHECK(reaction_to(codes::invalid_device) == errc::unavailable);
  BOOST_CHECK(reaction_to(codes::insufficient_driver) == errc::unavailable);
  BOOST_CHECK(reaction_to(codes::launch_failure) == errc::lost);
  BOOST_CHECK(reaction_to(codes::invalid_value) == errc::failed);
  BOOST_CHECK(sticky(codes::illegal_address));
  BOOST_CHECK(!sticky(codes::invalid_handle));
  BOOST_CHECK(!sticky(codes::not_ready));
}

// What the machine lacks, not the program.
BOOST_AUTO_TEST_CASE(an_error_of_the_machine_says_what_to_change) {
  auto api = make_stand_in();
  struct row {
    status code;
    errc reaction;
    const char* change;
  };
  const row rows[] = {
    {34, errc::unavailable, "stubs"},
    {codes::insufficient_driver, errc::unavailable, "update the NVIDIA driver"},
    {codes::devices_unavailable, errc::unavailable, "nvidia-smi -c DEFAULT"},
    {codes::no_device, errc::unavailable, "CUDA_VISIBLE_DEVICES"},
    {codes::invalid_device, errc::unavailable, "CUDA_VISIBLE_DEVICES"},
    {209, errc::unavailable, "CMAKE_CUDA_ARCHITECTURES"},
    {214, errc::lost, "Xid"},
    {222, errc::unavailable, "CMAKE_CUDA_ARCHITECTURES"},
    {802, errc::unavailable, "nvidia-fabricmanager"},
    {803, errc::unavailable, "restart the machine"},
    {804, errc::unavailable, "cuda-compat"},
    {805, errc::unavailable, "nvidia-cuda-mps-control"},
    {807, errc::unavailable, "until all its clients have ended"},
    {808, errc::unavailable, "too many clients"},
    {810, errc::lost, "look for the first error"},
    {999, errc::failed, "nvidia-smi"},
  };
  for (const auto& x : rows) {
    auto bad = check(api, x.code, "cudaSetDevice(0)");
    BOOST_REQUIRE(!bad);
    BOOST_TEST_INFO(bad.error().message());
    BOOST_TEST((bad.error().code() == x.reaction));
    BOOST_TEST(bad.error().message().find(x.change) != std::string::npos);
  }
  // A client that MPS has ended has to begin anew.
  BOOST_TEST(sticky(810));
  BOOST_TEST(remedy_for(codes::invalid_value).empty());
  BOOST_TEST(remedy_for(codes::illegal_address).empty());
}

BOOST_AUTO_TEST_CASE(ranks_nest_and_belong_to_a_thread) {
  BOOST_CHECK(scoped_rank::current().empty());
  {
    scoped_rank outer{"actor.0"};
    {
      scoped_rank inner{7};
      BOOST_CHECK_EQUAL(scoped_rank::current(), "rank 7");
      std::string elsewhere = "?";
      std::thread{[&] { elsewhere = scoped_rank::current(); }}.join();
      BOOST_CHECK_EQUAL(elsewhere, "");
    }
    BOOST_CHECK_EQUAL(scoped_rank::current(), "actor.0");
  }
  BOOST_CHECK(scoped_rank::current().empty());
}

BOOST_AUTO_TEST_CASE(a_guard_restores_the_device) {
  auto api = make_stand_in({.devices = {4, 5}});
  api->set_device(0);
  std::int32_t device = -1;
  {
    auto guard = device_guard::enter(*api, 1);
    BOOST_REQUIRE(guard);
    api->current_device(device);
    BOOST_CHECK_EQUAL(device, 1);
    {
      auto inner = device_guard::enter(*api, 0);
      BOOST_REQUIRE(inner);
      auto moved = std::move(*inner);
      api->current_device(device);
      BOOST_CHECK_EQUAL(device, 0);
    }
    api->current_device(device);
    BOOST_CHECK_EQUAL(device, 1);
  }
  api->current_device(device);
  BOOST_CHECK_EQUAL(device, 0);
  auto none = device_guard::enter(*api, 2);
  BOOST_REQUIRE(!none);
  BOOST_CHECK(none.error().code() == errc::unavailable);
  BOOST_CHECK(none.error().message().find("cudaSetDevice(2)")
              != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_guard_begins_no_device_by_going_back_to_it) {
  auto api = make_stand_in({.devices = {4, 5}});
  { auto guard = device_guard::enter(*api, 1); }
  std::int32_t device = -1;
  api->current_device(device);
  BOOST_CHECK_EQUAL(device, 1);
  BOOST_CHECK((api->contexts() == std::set<std::int32_t>{1}));
}

BOOST_AUTO_TEST_CASE(a_guard_of_the_current_device_changes_nothing) {
  auto api = make_stand_in();
  { auto guard = device_guard::enter(*api, 0); }
  BOOST_CHECK_EQUAL(api->calls("set_device"), 0u);
}

BOOST_AUTO_TEST_CASE(a_driver_serves_runtimes_of_its_major_version) {
  BOOST_CHECK_EQUAL(version_text(13020), "13.2");
  BOOST_CHECK(judge_versions(13000, 13000).usable);
  BOOST_CHECK(judge_versions(13010, 13000).usable);
  BOOST_CHECK(judge_versions(12080, 13000).usable);
  auto old = judge_versions(13000, 12080);
  BOOST_CHECK(!old.usable);
  BOOST_CHECK_EQUAL(old.reason,
                    "the NVIDIA driver is too old: it knows CUDA 12.8, this "
                    "build needs 13.0: update the driver, or build with an "
                    "older CUDA toolkit");
  auto none = judge_versions(13000, 0);
  BOOST_CHECK(!none.usable);
  BOOST_CHECK(none.reason.find("no NVIDIA driver") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_mask_is_named_where_there_is_no_device) {
  BOOST_TEST(explain_no_device(nullptr).find("nvidia-smi -L")
             != std::string::npos);
  // Batch systems and people hide all devices in many ways.
  for (const auto* mask : {"", "-1", "NoDevFiles", "7"})
    BOOST_TEST(explain_no_device(mask).starts_with(
      "CUDA_VISIBLE_DEVICES is '" + std::string{mask} + "': unset it"));
}

// On a machine with a device and a build with CUDA both are yes; elsewhere both
// are no for the same reason. Neither may end the process.
BOOST_AUTO_TEST_CASE(probe_and_make_runtime_agree) {
  auto answer = probe();
  BOOST_CHECK(!answer.reason.empty());
  auto made = make_runtime();
  BOOST_CHECK_EQUAL(made.has_value(), answer.usable);
  if (!made) {
    BOOST_CHECK(made.error().code() == errc::unavailable);
    BOOST_CHECK_EQUAL(made.error().message(), answer.reason);
  }
}

BOOST_AUTO_TEST_SUITE_END()
