// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <latch>
#include <thread>

#include <sys/socket.h>
#include <unistd.h>

#include "comm/nccl/stand_in_ranks.hpp"
#include "troupe/comm/cuda/memory.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::test;
namespace nccl = troupe::comm::nccl;

namespace {

/// Generous: what is asserted is that nobody waited for `ample`.
constexpr auto at_once = 10s;

} // namespace

BOOST_AUTO_TEST_SUITE(nccl_fault)

BOOST_AUTO_TEST_CASE(an_error_that_nccl_reports_later_ends_the_wait) {
  stand_in_machine machine{2};
  auto group = make_group(machine, 2);
  auto start = std::chrono::steady_clock::now();
  auto codes = in_threads(2, [&](std::size_t rank) {
    if (rank == 0)
      return code_of(group[0]->barrier(ample()));
    auto launched = machine.library->await_launches(0, 1, ample());
    machine.library->break_device(0, nccl::codes::remote_error);
    // The first may still come through here: it had begun on both.
    for (auto done = result<void>{}; launched && done;) {
      done = group[1]->barrier(ample());
      if (!done)
        return done.error().code();
    }
    return errc::internal;
  });
  BOOST_CHECK(codes[0] == errc::lost);
  BOOST_CHECK(codes[1] == errc::lost);
  BOOST_CHECK(std::chrono::steady_clock::now() - start < at_once);
  auto again = group[0]->barrier(ample());
  BOOST_REQUIRE(!again);
  BOOST_CHECK(again.error().message().find("said by the stand-in")
              != std::string::npos);
  group.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(health_finds_what_breaks_between_operations) {
  stand_in_machine machine{2};
  auto group = make_group(machine, 2);
  BOOST_CHECK(group[0]->health());
  machine.library->break_device(0, nccl::codes::unhandled_cuda_error);
  BOOST_CHECK(code_of(group[0]->health()) == errc::failed);
  BOOST_CHECK(!group[0]->alive());
  BOOST_CHECK(code_of(group[0]->barrier(ample())) == errc::failed);
  BOOST_CHECK(code_of(group[1]->health()) == errc::lost);
  BOOST_CHECK(!group[1]->alive());
  group.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(a_call_that_nccl_refuses_is_the_end) {
  stand_in_machine machine{2};
  auto group = make_group(machine, 2);
  machine.library->fail_next("send", nccl::codes::invalid_usage);
  std::vector<std::byte> xs(100);
  auto codes = in_threads(2, [&](std::size_t rank) {
    return code_of(rank == 0 ? group[0]->send(xs, rank_id{1}, 0, ample())
                             : group[1]->barrier(ample()));
  });
  BOOST_CHECK(codes[0] == errc::internal);
  BOOST_CHECK(codes[1] == errc::lost);
  group.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(a_call_that_fails_inside_a_group_closes_the_group) {
  stand_in_machine machine{2};
  auto group = make_group(machine, 2);
  machine.library->fail_next("send", nccl::codes::system_error);
  std::vector<float> xs(100);
  auto codes = in_threads(2, [&](std::size_t rank) {
    std::vector<float> mine(100);
    return code_of(
      group[rank]->all_reduce(std::as_writable_bytes(std::span{mine}),
                              dtype::float32, comm::reduce_op::sum, ample()));
  });
  BOOST_CHECK(codes == std::vector<errc>(2, errc::lost));
  group.clear();
  // Groups made afterwards are not swallowed by one that was left open.
  auto next = make_group(machine, 2);
  auto again = in_threads(2, [&](std::size_t rank) {
    return code_of(next[rank]->barrier(ample()));
  });
  BOOST_CHECK(again == std::vector<errc>(2, errc{}));
  next.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(a_device_that_hangs_meets_the_deadline) {
  stand_in_machine machine{2};
  auto group = make_group(machine, 2);
  machine.runtime->hang();
  auto codes = in_threads(3, [&](std::size_t rank) {
    if (rank == 2) {
      // Kernels that an abort ends can end once the device goes on.
      auto until = ample();
      while ((group[0]->alive() || group[1]->alive()) && !until.passed())
        std::this_thread::yield();
      machine.runtime->resume();
      return errc{};
    }
    std::vector<std::byte> xs(64);
    return code_of(
      group[rank]->broadcast(xs, rank_id{0}, deadline::after(50ms)));
  });
  for (auto i : {0, 1})
    BOOST_CHECK(codes[static_cast<std::size_t>(i)] == errc::timed_out
                || codes[static_cast<std::size_t>(i)] == errc::lost);
  group.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(a_device_error_is_reported_with_cudas_words) {
  stand_in_machine machine{2};
  auto group = make_group(machine, 2);
  machine.runtime->fail_next("record", comm::cuda::codes::launch_failure);
  auto done = group[0]->barrier(ample());
  BOOST_REQUIRE(!done);
  BOOST_CHECK(done.error().code() == errc::lost);
  BOOST_CHECK(!group[0]->alive());
  BOOST_CHECK(code_of(group[1]->barrier(ample())) == errc::lost);
  group.clear();
}

BOOST_AUTO_TEST_CASE(memory_that_is_not_there_is_exhausted) {
  stand_in_machine machine{1};
  auto group = make_group(machine, 1);
  machine.runtime->fail_next("allocate", comm::cuda::codes::out_of_memory);
  std::vector<std::byte> xs(64);
  BOOST_CHECK(code_of(group[0]->broadcast(xs, rank_id{0}, ample()))
              == errc::exhausted);
  group.clear();
  machine.check_clean();
}

// From several threads at once, with an operation in flight: NCCL's
// communicator is ended once, which `misuse` would tell.
BOOST_AUTO_TEST_CASE(aborts_from_everywhere_end_it_once) {
  for (auto round = 0; round < 20; ++round) {
    stand_in_machine machine{2};
    auto group = make_group(machine, 2);
    std::latch inside{5};
    auto codes = in_threads(5, [&](std::size_t i) {
      inside.arrive_and_wait();
      if (i < 2) {
        for (;;) {
          std::vector<std::byte> xs(64);
          auto done = group[i]->all_reduce(xs, dtype::float32,
                                           comm::reduce_op::sum, ample());
          if (!done)
            return done.error().code();
        }
      }
      if (i == 4)
        (void) group[0]->health();
      else
        group[0]->abort();
      return errc{};
    });
    BOOST_CHECK(codes[0] == errc::aborted);
    BOOST_CHECK(codes[1] == errc::lost);
    // Threads of their own end them, which this waits for.
    group.clear();
    BOOST_CHECK_EQUAL(machine.library->calls("abort"), 2u);
    BOOST_CHECK_EQUAL(machine.library->calls("destroy"), 0u);
    machine.check_clean();
  }
}

BOOST_AUTO_TEST_CASE(a_communicator_that_is_done_is_destroyed_not_aborted) {
  stand_in_machine machine{2};
  auto group = make_group(machine, 2);
  auto codes = in_threads(2, [&](std::size_t rank) {
    auto done = code_of(group[rank]->barrier(ample()));
    group[rank].reset();
    return done;
  });
  BOOST_CHECK(codes == std::vector<errc>(2, errc{}));
  BOOST_CHECK_EQUAL(machine.library->calls("destroy"), 2u);
  BOOST_CHECK_EQUAL(machine.library->calls("abort"), 0u);
  machine.check_clean();
}

// The sideband trusts nothing that it reads.
BOOST_AUTO_TEST_CASE(nonsense_beside_nccl_is_a_failed_peer) {
  for (auto kind : {0, 3, 255}) {
    int fds[2] = {-1, -1};
    BOOST_REQUIRE_EQUAL(::socketpair(AF_UNIX,
                                     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                                     0, fds),
                        0);
    comm::socket stranger{fds[1]};
    std::vector<comm::socket> lines(2);
    lines[1] = comm::socket{fds[0]};
    auto peers = nccl::sideband::make(rank_id{0}, std::move(lines)).value();
    BOOST_CHECK(peers->check());
    std::array<std::uint8_t, 24> text{static_cast<std::uint8_t>(kind)};
    BOOST_REQUIRE_EQUAL(::write(stranger.fd(), text.data(), text.size()), 24);
    BOOST_CHECK(code_of(peers->check()) == errc::lost);
    BOOST_CHECK(!peers->take(rank_id{1}));
  }
}

BOOST_AUTO_TEST_SUITE_END()
