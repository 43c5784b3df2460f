// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <random>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "support/forked_ranks.hpp"
#include "troupe/comm/comm_link.hpp"
#include "troupe/comm/gloo/factory.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/comm/transfer/executor.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::comm::transfer;

namespace {

constexpr std::size_t sending = 0;
constexpr std::size_t receiving = 1;
constexpr std::size_t buckets = 8;
constexpr std::size_t bucket_bytes = 1 << 20;

/// Of the first run, which waits until the other process is there.
constexpr duration first_patience = 60s;

/// What a process ends with that took something torn for good.
constexpr int torn = 95;

enum class carrier { arena, packed, gloo };

deadline ample() {
  return deadline::after(60s);
}

program_channel channel_between(link_kind link) {
  program_channel out{rank_id{0}, link, {}};
  for (std::uint32_t i = 0; i < buckets; ++i) {
    program_part part;
    part.tensor = i;
    part.key = i;
    part.wire_bytes = bucket_bytes;
    part.run_elements = bucket_bytes;
    out.buckets.push_back({dtype::uint8, bucket_bytes, {part}});
  }
  return out;
}

std::vector<local_tensor> list(std::vector<buffer>& memory) {
  std::vector<local_tensor> out;
  for (std::size_t i = 0; i < memory.size(); ++i)
    out.push_back({fmt::format("t{}", i), dtype::uint8, memory[i].bytes()});
  return out;
}

// Both much faster than a copy, so that a strike mostly meets one.
void fill(std::vector<buffer>& memory, std::uint8_t value) {
  for (auto& x : memory)
    std::memset(x.data(), value, x.size());
}

bool all_are(const std::vector<buffer>& memory, std::uint8_t value) {
  return std::ranges::all_of(memory, [&](const auto& x) {
    return *x.data() == std::byte{value}
           && std::memcmp(x.data(), x.data() + 1, x.size() - 1) == 0;
  });
}

comm::link_ptr gloo_end(std::size_t rank, test::pipe_end& parent) {
  auto self = comm::gloo::make_endpoint(rank_id{static_cast<std::int32_t>(
                                          rank)},
                                        2)
                .value();
  auto all = test::exchange(parent, self->address(), ample());
  auto group = self->connect(all, ample()).value();
  return std::make_shared<comm::comm_link>(group,
                                           rank_id{static_cast<std::int32_t>(
                                             1 - rank)},
                                           1, "gloo");
}

/// Sends one number in all tensors after the other, changing the memory as
/// soon as a run has returned, well or not.
int send_until_it_fails(carrier by, int fd, duration patience,
                        test::pipe_end& parent) {
  std::shared_ptr<comm::shm::arena> home;
  if (by == carrier::arena)
    home = comm::shm::arena::create(buckets * bucket_bytes).value();
  std::vector<buffer> memory;
  for (std::size_t i = 0; i < buckets; ++i)
    memory.push_back(home ? home->allocate(bucket_bytes).value()
                          : buffer::allocate(bucket_bytes));
  auto line = by == carrier::gloo ? gloo_end(sending, parent)
              : home              ? comm::shm::make_sender(fd, {home}).value()
                                  : comm::shm::make_sender(fd).value();
  rank_program program;
  program.sends.push_back(
    channel_between(by == carrier::gloo ? link_kind::gloo : link_kind::shm));
  auto x = executor::make(program, list(memory), {line}, {}).value();
  auto limit = first_patience;
  for (std::uint8_t round = 1;; ++round) {
    fill(memory, round);
    auto done = x->run({}, deadline::after(limit));
    fill(memory, 0xff);
    if (!done)
      return static_cast<int>(done.error().code());
    if (round == 1 && !parent.say(bytes(1)))
      return 96;
    limit = patience;
  }
}

/// Receives them, staged, and makes sure that what a commit brings is whole and
/// that without one nothing changes.
int receive_until_it_fails(carrier by, int fd, duration patience,
                           test::pipe_end& parent) {
  std::vector<buffer> memory;
  for (std::size_t i = 0; i < buckets; ++i)
    memory.push_back(buffer::allocate(bucket_bytes));
  fill(memory, 0);
  auto line = by == carrier::gloo ? gloo_end(receiving, parent)
                                  : comm::shm::make_receiver(fd).value();
  rank_program program;
  program.receives.push_back(
    channel_between(by == carrier::gloo ? link_kind::gloo : link_kind::shm));
  auto x = executor::make(program, list(memory), {}, {line}).value();
  auto limit = first_patience;
  for (std::uint8_t round = 1;; ++round) {
    auto done = x->run({run_mode::staged, false}, deadline::after(limit));
    if (!all_are(memory, static_cast<std::uint8_t>(round - 1)))
      return torn;
    if (!x->commit())
      return torn;
    if (!done)
      return all_are(memory, static_cast<std::uint8_t>(round - 1))
               ? static_cast<int>(done.error().code())
               : torn;
    if (!all_are(memory, round))
      return torn;
    if (round == 1 && !parent.say(bytes(1)))
      return 96;
    limit = patience;
  }
}

/// Sends `number` to one end somewhere in a run; the other's exit status.
int strike(carrier by, std::size_t victim, int number, duration patience,
           std::chrono::microseconds after) {
  auto fds = comm::shm::make_sockets().value();
  test::forked_ranks ends{2, [&](std::size_t rank, test::pipe_end& parent) {
                            // Only with the other's copy closed does a dead
                            // end hang up.
                            ::close(rank == sending ? fds.second : fds.first);
                            return rank == sending
                                     ? send_until_it_fails(by, fds.first,
                                                           patience, parent)
                                     : receive_until_it_fails(by, fds.second,
                                                              patience, parent);
                          }};
  ::close(fds.first);
  ::close(fds.second);
  if (by == carrier::gloo && !test::exchange(ends, 2, ample()))
    return -1002;
  for (std::size_t rank = 0; rank < 2; ++rank)
    if (!ends.to(rank).hear(ample()))
      return -1000;
  // Not a wait for something: where in a run it strikes is what varies.
  auto until = deadline::after(after);
  while (!until.passed())
    continue;
  auto start = std::chrono::steady_clock::now();
  ends.signal(victim, number);
  auto status = ends.wait(1 - victim, ample()).value_or(-1001);
  BOOST_CHECK(std::chrono::steady_clock::now() - start < 20s);
  if (number == SIGSTOP) {
    ends.signal(victim, SIGCONT);
    auto thawed = ends.wait(victim, ample()).value_or(-1001);
    BOOST_CHECK_MESSAGE(thawed == static_cast<int>(errc::lost)
                          || thawed == static_cast<int>(errc::timed_out),
                        "the thawed end exits with " << thawed);
  }
  return status;
}

struct seeded {
  seeded() : seed(std::random_device{}()), random(seed) {
    BOOST_TEST_MESSAGE("seed " << seed);
  }

  std::chrono::microseconds moment() {
    return std::chrono::microseconds{random() % 20000};
  }

  unsigned seed;
  std::mt19937 random;
};

const auto carriers = {carrier::arena, carrier::packed, carrier::gloo};

} // namespace

BOOST_AUTO_TEST_SUITE(transfer_killed_peer)

BOOST_AUTO_TEST_CASE(a_killed_peer_is_lost_and_nothing_is_torn) {
  seeded rnd;
  for (auto by : carriers)
    for (auto victim : {sending, receiving})
      for (int round = 0; round < 4; ++round)
        BOOST_CHECK_EQUAL(strike(by, victim, SIGKILL, 60s, rnd.moment()),
                          static_cast<int>(errc::lost));
}

BOOST_AUTO_TEST_CASE(a_frozen_peer_meets_the_deadline_and_tears_nothing) {
  seeded rnd;
  for (auto by : carriers)
    for (auto victim : {sending, receiving})
      for (int round = 0; round < 2; ++round)
        BOOST_CHECK_EQUAL(strike(by, victim, SIGSTOP, 3s, rnd.moment()),
                          static_cast<int>(errc::timed_out));
}

BOOST_AUTO_TEST_SUITE_END()
