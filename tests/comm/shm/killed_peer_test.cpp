// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <csignal>
#include <cstring>
#include <vector>

#include "support/forked_ranks.hpp"
#include "troupe/comm/shm/factory.hpp"

using namespace std::literals;
using namespace troupe;

namespace {

constexpr std::size_t sending = 0;
constexpr std::size_t receiving = 1;
constexpr std::size_t message_bytes = 16 << 20;

/// Of the first message, which waits until the other process is there.
constexpr duration first_patience = 60s;

deadline ample() {
  return deadline::after(60s);
}

/// Fast also without optimization: the peer's patience runs meanwhile.
bool is_all(std::span<const std::byte> data, std::byte value) {
  return data.front() == value
         && std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0;
}

/// Pushes messages that all hold one number over and over, changing the memory
/// as soon as a push has returned, well or not.
int push_until_it_fails(int fd, bool from_arena, duration patience,
                        test::pipe_end& parent) {
  auto home = comm::shm::arena::create(message_bytes);
  auto end = comm::shm::make_sender(fd, {home.value()});
  if (!end)
    return 97;
  std::vector<std::byte> own(from_arena ? 0 : message_bytes);
  auto data = from_arena ? (*home)->memory() : std::span{own};
  auto limit = first_patience;
  for (std::uint8_t round = 1;; ++round) {
    std::memset(data.data(), round, data.size());
    auto done = (*end)->push(data, deadline::after(limit));
    std::memset(data.data(), 0xff, data.size());
    if (!done)
      return static_cast<int>(done.error().code());
    if (round == 1 && !parent.say(bytes(1)))
      return 96;
    limit = patience;
  }
}

/// Pulls them and makes sure that none is torn.
int pull_until_it_fails(int fd, duration patience, test::pipe_end& parent) {
  auto end = comm::shm::make_receiver(fd);
  if (!end)
    return 97;
  std::vector<std::byte> data(message_bytes);
  auto limit = first_patience;
  for (std::uint8_t round = 1;; ++round) {
    auto done = (*end)->pull(data, deadline::after(limit));
    if (!done)
      return static_cast<int>(done.error().code());
    if (!is_all(data, static_cast<std::byte>(round)))
      return 95;
    if (round == 1 && !parent.say(bytes(1)))
      return 96;
    limit = patience;
  }
}

/// Sends `number` to one end while both are busy; the other's exit status.
int strike(std::size_t victim, int number, bool from_arena, duration patience,
           bool thaw = false) {
  auto fds = comm::shm::make_sockets().value();
  test::forked_ranks ends{2, [&](std::size_t rank, test::pipe_end& parent) {
                            // Only with the other's copy closed does a dead end hang up.
                            ::close(rank == sending ? fds.second : fds.first);
                            return rank == sending
                                     ? push_until_it_fails(fds.first,
                                                           from_arena, patience,
                                                           parent)
                                     : pull_until_it_fails(fds.second, patience,
                                                           parent);
                          }};
  ::close(fds.first);
  ::close(fds.second);
  for (std::size_t rank = 0; rank < 2; ++rank)
    if (!ends.to(rank).hear(ample()))
      return -1000;
  auto start = std::chrono::steady_clock::now();
  ends.signal(victim, number);
  auto status = ends.wait(1 - victim, ample()).value_or(-1001);
  BOOST_CHECK(std::chrono::steady_clock::now() - start < 20s);
  if (thaw) {
    ends.signal(victim, SIGCONT);
    auto thawed = ends.wait(victim, ample()).value_or(-1001);
    // Whatever it was in the middle of, it must not take it for good.
    BOOST_CHECK_MESSAGE(thawed == static_cast<int>(errc::lost)
                          || thawed == static_cast<int>(errc::timed_out),
                        "the thawed end exits with " << thawed);
  }
  return status;
}

} // namespace

BOOST_AUTO_TEST_SUITE(shm_killed_peer)

BOOST_AUTO_TEST_CASE(a_killed_end_is_lost) {
  for (auto from_arena : {true, false})
    for (auto victim : {sending, receiving})
      BOOST_CHECK_EQUAL(strike(victim, SIGKILL, from_arena, 60s),
                        static_cast<int>(errc::lost));
}

BOOST_AUTO_TEST_CASE(a_frozen_end_runs_into_the_deadline_and_tears_nothing) {
  for (auto from_arena : {true, false})
    for (auto victim : {sending, receiving})
      BOOST_CHECK_EQUAL(strike(victim, SIGSTOP, from_arena, 3s, true),
                        static_cast<int>(errc::timed_out));
}

BOOST_AUTO_TEST_SUITE_END()
