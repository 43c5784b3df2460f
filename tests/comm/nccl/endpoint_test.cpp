// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <sys/socket.h>

#include "comm/nccl/stand_in_ranks.hpp"
#include "support/scratch.hpp"
#include "troupe/comm/nccl/factory.hpp"
#include "troupe/comm/nccl/meeting.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::test;
namespace nccl = troupe::comm::nccl;

namespace {

std::vector<comm::endpoint_ptr> endpoints_of(const stand_in_machine& on,
                                             std::int32_t size) {
  std::vector<comm::endpoint_ptr> out;
  for (std::int32_t rank = 0; rank < size; ++rank)
    out.push_back(
      nccl::make_endpoint(rank_id{rank}, size, on.settings_of(rank)).value());
  return out;
}

std::vector<bytes> addresses_of(const std::vector<comm::endpoint_ptr>& xs) {
  std::vector<bytes> out;
  for (const auto& x : xs)
    out.push_back(x->address());
  return out;
}

/// Whether somebody can be called there.
bool listens(const comm::gloo::contact& x) {
  comm::socket line{
    ::socket(x.where.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  return ::connect(line.fd(), x.where.raw(), x.where.length) == 0;
}

} // namespace

BOOST_AUTO_TEST_SUITE(nccl_endpoint)

BOOST_AUTO_TEST_CASE(ranks_outside_the_group_are_invalid) {
  stand_in_machine machine{1};
  auto config = machine.settings_of(0);
  BOOST_CHECK(!nccl::make_endpoint(rank_id{2}, 2, config));
  BOOST_CHECK(!nccl::make_endpoint(rank_id{-1}, 2, config));
  BOOST_CHECK(!nccl::make_endpoint(rank_id{0}, 0, config));
  config.library.reset();
  auto made = nccl::make_endpoint(rank_id{0}, 1, config);
  BOOST_REQUIRE(!made);
  BOOST_CHECK(made.error().code() == errc::invalid);
}

// NCCL keeps a thread and a socket for an id until all of its ranks have come.
BOOST_AUTO_TEST_CASE(an_id_is_made_when_all_ranks_are_there) {
  stand_in_machine machine{3};
  {
    auto ends = endpoints_of(machine, 3);
    auto addresses = addresses_of(ends);
    auto late = ends[0]->connect(addresses, deadline::after(20ms));
    BOOST_REQUIRE(!late);
    BOOST_CHECK(late.error().code() == errc::timed_out);
  }
  BOOST_CHECK_EQUAL(machine.library->calls("make_id"), 0u);
  auto ends = endpoints_of(machine, 3);
  auto addresses = addresses_of(ends);
  auto made = in_threads(3, [&](std::size_t rank) {
    return ends[rank]->connect(addresses, ample()).has_value() ? 1 : 0;
  });
  BOOST_CHECK(made == std::vector<int>(3, 1));
  BOOST_CHECK_EQUAL(machine.library->calls("make_id"), 1u);
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(an_id_that_cannot_be_made_ends_it_for_all) {
  stand_in_machine machine{2};
  machine.library->fail_next("make_id", nccl::codes::system_error);
  auto ends = endpoints_of(machine, 2);
  auto addresses = addresses_of(ends);
  auto said = in_threads(2, [&](std::size_t rank) {
    auto made = ends[rank]->connect(addresses, ample());
    // What was connected is closed, as a rank that failed would do.
    ends[rank].reset();
    return made ? std::string{} : made.error().message();
  });
  BOOST_CHECK(said[0].find("making a unique id") != std::string::npos);
  BOOST_CHECK(said[0].find("stand-in") != std::string::npos);
  BOOST_CHECK_EQUAL(said[1], "rank 0 went before it told NCCL's id");
}

BOOST_AUTO_TEST_CASE(who_waits_for_the_id_is_stopped_or_meets_the_deadline) {
  for (auto stopped : {true, false}) {
    stand_in_machine machine{2};
    std::vector<std::unique_ptr<nccl::meeting_point>> places;
    std::vector<comm::gloo::contact> ranks;
    for (std::int32_t rank = 0; rank < 2; ++rank) {
      places.push_back(
        nccl::meeting_point::make(machine.settings_of(rank)).value());
      ranks.push_back(places.back()->self(rank_id{rank}, 2));
    }
    std::latch ended{1};
    auto said = in_threads(3, [&](std::size_t i) -> std::string {
      if (i == 2) {
        if (!stopped)
          return {};
        // Who has met all others listens no more.
        while (listens(ranks[1]))
          std::this_thread::yield();
        places[1]->stop();
        return {};
      }
      auto make_id = [&]() -> result<nccl::unique_id> {
        ended.wait();
        return fail(errc::failed, "too late");
      };
      auto until = i == 1 && !stopped ? deadline::after(5s) : ample();
      auto met = places[i]->meet_with_id(rank_id{static_cast<std::int32_t>(i)},
                                         ranks, make_id, until);
      if (i == 1)
        ended.count_down();
      return met ? std::string{} : met.error().message();
    });
    BOOST_CHECK_EQUAL(said[0], "too late");
    BOOST_CHECK_EQUAL(said[1], stopped ? "the rendezvous was aborted"
                                       : "rank 0 did not tell NCCL's id");
  }
}

BOOST_AUTO_TEST_CASE(a_device_that_is_not_there_is_unavailable) {
  stand_in_machine machine{1};
  auto made = nccl::make_endpoint(rank_id{0}, 1, machine.settings_of(7));
  BOOST_REQUIRE(!made);
  BOOST_CHECK(made.error().code() == errc::unavailable);
}

BOOST_AUTO_TEST_CASE(nccl_that_never_gets_ready_meets_the_deadline) {
  stand_in_machine machine{2};
  machine.library->hold_init();
  auto ends = endpoints_of(machine, 2);
  auto addresses = addresses_of(ends);
  auto codes = in_threads(2, [&](std::size_t rank) {
    auto made = ends[rank]->connect(addresses,
                                    deadline::after(rank == 0 ? 1s : 60s));
    return made ? errc{} : made.error().code();
  });
  BOOST_CHECK(codes[0] == errc::timed_out);
  // The first to give up takes the other along.
  BOOST_CHECK(codes[1] == errc::lost);
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(abort_ends_nccls_own_part_of_connect) {
  stand_in_machine machine{2};
  machine.library->hold_init();
  auto ends = endpoints_of(machine, 2);
  auto addresses = addresses_of(ends);
  auto codes = in_threads(3, [&](std::size_t rank) {
    if (rank == 2) {
      // Both are past the rendezvous once both have called NCCL.
      auto until = ample();
      while (machine.library->calls("init") < 2 && !until.passed())
        std::this_thread::yield();
      ends[0]->abort();
      return errc{};
    }
    auto made = ends[rank]->connect(addresses, ample());
    return made ? errc{} : made.error().code();
  });
  BOOST_CHECK(codes[0] == errc::aborted);
  BOOST_CHECK(codes[1] == errc::lost);
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(an_init_that_fails_says_nccls_words) {
  stand_in_machine machine{1};
  auto ends = endpoints_of(machine, 1);
  machine.library->fail_next("init", nccl::codes::unhandled_cuda_error);
  auto made = ends[0]->connect(addresses_of(ends), ample());
  BOOST_REQUIRE(!made);
  BOOST_CHECK(made.error().code() == errc::failed);
  BOOST_CHECK(made.error().message().find("said by the stand-in")
              != std::string::npos);
  machine.check_clean();
}

// -- versions -----------------------------------------------------------------

BOOST_AUTO_TEST_CASE(versions_are_compared_as_people_need_it) {
  BOOST_CHECK(nccl::check_versions(22809, 22809));
  BOOST_CHECK(nccl::check_versions(22809, 22801));
  BOOST_CHECK(nccl::check_versions(22100, 22809));
  auto old = nccl::check_versions(22100, 21805);
  BOOST_REQUIRE(!old);
  BOOST_CHECK(old.error().code() == errc::unavailable);
  BOOST_CHECK_EQUAL(old.error().message(),
                    "NCCL 2.18.5 is too old: install 2.19.0 or newer");
  BOOST_CHECK(!nccl::check_versions(22809, 22703));
  BOOST_CHECK(!nccl::check_versions(22809, 30000));
}

BOOST_AUTO_TEST_CASE(two_nccls_in_a_process_are_found) {
  BOOST_CHECK(nccl::one_nccl({}));
  BOOST_CHECK(nccl::one_nccl({"/lib/libc.so.6", "/a/libnccl.so.2"}));
  BOOST_CHECK(nccl::one_nccl({"/a/libnccl.so.2", "/a/libnccl-net.so"}));
  auto both = nccl::one_nccl({"/a/libnccl.so.2", "/torch/libnccl.so.2"});
  BOOST_REQUIRE(!both);
  BOOST_CHECK(both.error().code() == errc::invalid);
  BOOST_CHECK(both.error().message().find("/torch/libnccl.so.2")
              != std::string::npos);
  BOOST_CHECK(!nccl::loaded_images().empty());
}

// Where the order would be one of ends, or none, a person is told.
BOOST_AUTO_TEST_CASE(launches_are_ordered_only_if_they_may_overlap) {
  ::unsetenv("NCCL_LAUNCH_ORDER_IMPLICIT");
  auto old_nccl = nccl::order_launches(22504, 13000);
  BOOST_CHECK(old_nccl.find("NCCL 2.25.4") != std::string::npos);
  auto old_cuda = nccl::order_launches(22809, 12020);
  BOOST_CHECK(old_cuda.find("CUDA 12.2 ") != std::string::npos);
  BOOST_CHECK(old_cuda.find("left unset") != std::string::npos);
  BOOST_CHECK(::getenv("NCCL_LAUNCH_ORDER_IMPLICIT") == nullptr);
  ::setenv("NCCL_LAUNCH_ORDER_IMPLICIT", "1", 1);
  auto chosen = nccl::order_launches(22809, 12020);
  BOOST_CHECK(chosen.find("unset NCCL_LAUNCH_ORDER_IMPLICIT")
              != std::string::npos);
  ::unsetenv("NCCL_LAUNCH_ORDER_IMPLICIT");
}

BOOST_AUTO_TEST_CASE(what_the_user_set_stays) {
  ::unsetenv("NCCL_LAUNCH_ORDER_IMPLICIT");
  ::unsetenv("NCCL_LAUNCH_RACE_FATAL");
  BOOST_CHECK_EQUAL(nccl::order_launches(22600, 12030), "");
  BOOST_CHECK_EQUAL(::getenv("NCCL_LAUNCH_ORDER_IMPLICIT"), "1");
  BOOST_CHECK_EQUAL(::getenv("NCCL_LAUNCH_RACE_FATAL"), "0");
  ::setenv("NCCL_LAUNCH_ORDER_IMPLICIT", "0", 1);
  ::setenv("NCCL_LAUNCH_RACE_FATAL", "1", 1);
  BOOST_CHECK_EQUAL(nccl::order_launches(22809, 13000), "");
  BOOST_CHECK_EQUAL(::getenv("NCCL_LAUNCH_ORDER_IMPLICIT"), "0");
  BOOST_CHECK_EQUAL(::getenv("NCCL_LAUNCH_RACE_FATAL"), "1");
  ::unsetenv("NCCL_LAUNCH_ORDER_IMPLICIT");
  ::unsetenv("NCCL_LAUNCH_RACE_FATAL");
  ::unsetenv("NCCL_DEBUG_FILE");
  nccl::route_debug_output("logs/nccl");
  BOOST_CHECK_EQUAL(::getenv("NCCL_DEBUG_FILE"), "logs/nccl.%h.%p.log");
  nccl::route_debug_output("elsewhere");
  BOOST_CHECK_EQUAL(::getenv("NCCL_DEBUG_FILE"), "logs/nccl.%h.%p.log");
  ::unsetenv("NCCL_DEBUG_FILE");
}

// NCCL lets the environment win over its files, so what we put there would hide
// what stands in one.
BOOST_AUTO_TEST_CASE(what_stands_in_nccls_files_stays) {
  constexpr const char* ours[] = {"NCCL_LAUNCH_ORDER_IMPLICIT",
                                  "NCCL_LAUNCH_RACE_FATAL", "NCCL_DEBUG_FILE"};
  for (const auto* name : ours)
    ::unsetenv(name);
  test::scratch folder;
  auto file = folder.path() / "nccl.conf";
  std::ofstream{file} << "# NCCL_DEBUG_FILE=no\n\nNCCL_DEBUG_FILE\n"
                         "NCCL_DEBUG_FILES=no\nNCCL_DEBUG_FILE=/logs/a=b.%p\r\n"
                         "NCCL_DEBUG_FILE=second\n"
                         "NCCL_LAUNCH_ORDER_IMPLICIT=0\n"
                         "NCCL_LAUNCH_RACE_FATAL=1";
  ::setenv("NCCL_CONF_FILE", file.c_str(), 1);
  BOOST_CHECK(nccl::chosen_setting("NCCL_DEBUG_FILE")
              == std::optional<std::string>{"/logs/a=b.%p"});
  BOOST_CHECK(!nccl::chosen_setting("NCCL_DEBUG_FIL"));
  nccl::route_debug_output("logs/nccl");
  BOOST_CHECK_EQUAL(nccl::order_launches(22809, 13000), "");
  for (const auto* name : ours)
    BOOST_CHECK_MESSAGE(::getenv(name) == nullptr, name);
  // The environment comes first.
  ::setenv("NCCL_DEBUG_FILE", "mine", 1);
  BOOST_CHECK(nccl::chosen_setting("NCCL_DEBUG_FILE")
              == std::optional<std::string>{"mine"});
  std::ofstream{file} << "NCCL_LAUNCH_ORDER_IMPLICIT=1\n";
  BOOST_CHECK(
    nccl::order_launches(22809, 12020).find("unset NCCL_LAUNCH_ORDER_IMPLICIT")
    != std::string::npos);
  for (const auto* name : ours)
    ::unsetenv(name);
  ::unsetenv("NCCL_CONF_FILE");
}

BOOST_AUTO_TEST_SUITE_END()
