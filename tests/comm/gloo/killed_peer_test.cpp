// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <csignal>
#include <functional>
#include <vector>

#include "support/forked_ranks.hpp"
#include "troupe/comm/gloo/factory.hpp"

using namespace std::literals;
using namespace troupe;

namespace {

constexpr std::size_t ranks = 4;
constexpr std::size_t victim = 2;

deadline ample() {
  return deadline::after(60s);
}

using call = std::function<result<void>(comm::communicator&, deadline)>;

comm::communicator_ptr join(std::size_t rank, test::pipe_end& parent) {
  auto self = comm::gloo::make_endpoint(rank_id{static_cast<std::int32_t>(
                                          rank)},
                                        ranks);
  if (!self)
    return nullptr;
  auto all = test::exchange(parent, (*self)->address(), ample());
  return (*self)->connect(all, ample()).value_or(nullptr);
}

/// Calls `f` until it fails and exits with the error's code.
int until_it_fails(std::size_t rank, test::pipe_end& parent, const call& f,
                   duration patience) {
  auto group = join(rank, parent);
  if (!group)
    return 97;
  for (auto first = true;; first = false) {
    // The first waits until all are there.
    auto done = f(*group, first ? ample() : deadline::after(patience));
    if (!done)
      return static_cast<int>(done.error().code());
    // The parent strikes once all have been through it.
    if (first && !parent.say(bytes(1)))
      return 96;
  }
}

/// Runs `f` over and over in four processes and sends one of them a signal.
void strike(const call& f, int number, duration patience,
            std::vector<errc> allowed) {
  test::forked_ranks group{ranks, [&](std::size_t rank, test::pipe_end& up) {
                             return until_it_fails(rank, up, f, patience);
                           }};
  BOOST_REQUIRE(test::exchange(group, ranks, ample()));
  for (std::size_t rank = 0; rank < ranks; ++rank)
    BOOST_REQUIRE(group.to(rank).hear(ample()));
  auto start = std::chrono::steady_clock::now();
  group.signal(victim, number);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    if (rank == victim)
      continue;
    auto status = group.wait(rank, ample());
    BOOST_REQUIRE(status);
    auto as_allowed = std::any_of(allowed.begin(), allowed.end(), [&](errc x) {
      return *status == static_cast<int>(x);
    });
    BOOST_CHECK_MESSAGE(as_allowed,
                        "rank " << rank << " ended with " << *status);
  }
  BOOST_CHECK(std::chrono::steady_clock::now() - start < 20s);
}

void kill_in(const call& f) {
  strike(f, SIGKILL, 60s, {errc::lost});
}

std::vector<std::byte>& memory(std::size_t size) {
  static std::vector<std::byte> out;
  out.resize(size);
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(gloo_killed_peer)

BOOST_AUTO_TEST_CASE(killed_in_a_small_all_reduce) {
  kill_in([](auto& x, auto until) {
    return x.all_reduce(memory(64), dtype::float32, comm::reduce_op::sum,
                        until);
  });
}

BOOST_AUTO_TEST_CASE(killed_in_a_large_all_reduce) {
  kill_in([](auto& x, auto until) {
    return x.all_reduce(memory(32 << 20), dtype::float32, comm::reduce_op::sum,
                        until);
  });
}

BOOST_AUTO_TEST_CASE(killed_in_a_large_broadcast) {
  kill_in([](auto& x, auto until) {
    return x.broadcast(memory(64 << 20), rank_id{victim}, until);
  });
}

BOOST_AUTO_TEST_CASE(killed_in_a_barrier) {
  kill_in([](auto& x, auto until) { return x.barrier(until); });
}

// One message of many megabytes: Gloo itself tells nobody when a peer dies
// while such a message is half received.
BOOST_AUTO_TEST_CASE(killed_in_one_large_message) {
  kill_in([](auto& x, auto until) -> result<void> {
    auto rank = x.rank().value();
    auto& data = memory(64 << 20);
    if (rank == 1)
      return x.recv(data, rank_id{victim}, 7, until);
    if (rank == static_cast<int>(victim))
      return x.send(data, rank_id{1}, 7, until);
    // These two wait for the dead one, too.
    auto peer = rank_id{rank == 0 ? 3 : 0};
    return rank == 0 ? x.send(data, peer, 7, until)
                     : x.recv(data, peer, 7, until);
  });
}

BOOST_AUTO_TEST_CASE(a_frozen_peer_runs_into_the_deadline) {
  strike(
    [](auto& x, auto until) {
      return x.all_reduce(memory(1 << 20), dtype::float32, comm::reduce_op::sum,
                          until);
    },
    SIGSTOP, 3s, {errc::timed_out, errc::lost});
}

BOOST_AUTO_TEST_CASE(killed_before_it_connects) {
  test::forked_ranks
    group{ranks, [&](std::size_t rank, test::pipe_end& parent) {
            auto self = comm::gloo::make_endpoint(rank_id{static_cast<
                                                    std::int32_t>(rank)},
                                                  ranks);
            if (!self)
              return 97;
            auto all = test::exchange(parent, (*self)->address(), ample());
            if (rank == victim)
              ::raise(SIGKILL);
            auto made = (*self)->connect(all, deadline::after(5s));
            return made ? 0 : static_cast<int>(made.error().code());
          }};
  BOOST_REQUIRE(test::exchange(group, ranks, ample()));
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    if (rank == victim)
      continue;
    auto status = group.wait(rank, ample());
    BOOST_REQUIRE(status);
    BOOST_CHECK(*status == static_cast<int>(errc::lost)
                || *status == static_cast<int>(errc::timed_out));
  }
}

BOOST_AUTO_TEST_SUITE_END()
