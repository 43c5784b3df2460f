// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "comm/nccl/stand_in_ranks.hpp"
#include "troupe/comm/nccl/factory.hpp"

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

BOOST_AUTO_TEST_CASE(rank_0_alone_carries_the_id) {
  stand_in_machine machine{2};
  auto ends = endpoints_of(machine, 2);
  BOOST_CHECK_EQUAL(ends[0]->address().size() - ends[1]->address().size(),
                    sizeof(nccl::unique_id));
  BOOST_CHECK_EQUAL(machine.library->calls("make_id"), 1u);
}

BOOST_AUTO_TEST_CASE(an_id_that_cannot_be_made_is_an_error) {
  stand_in_machine machine{1};
  machine.library->fail_next("make_id", nccl::codes::system_error);
  auto made = nccl::make_endpoint(rank_id{0}, 1, machine.settings_of(0));
  BOOST_REQUIRE(!made);
  BOOST_CHECK(made.error().message().find("stand-in") != std::string::npos);
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
                                    deadline::after(rank == 0 ? 50ms : 60s));
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

BOOST_AUTO_TEST_SUITE_END()
