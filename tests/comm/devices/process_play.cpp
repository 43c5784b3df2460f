// SPDX-License-Identifier: Apache-2.0
#include "comm/devices/process_play.hpp"

#include <chrono>
#include <csignal>
#include <optional>
#include <utility>

#include <boost/test/unit_test.hpp>
#include <unistd.h>

#include "support/random_seed.hpp"
#include "troupe/comm/shm/factory.hpp"

namespace troupe::test {

namespace {

/// Device, context and communicator are made anew for each play.
deadline ample() {
  return deadline::after(std::chrono::seconds{120});
}

constexpr int could_not_say = 90;

std::size_t check_all(const fault_player& play, std::size_t count,
                      const std::vector<fault_kind>& kinds) {
  auto seed = random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::size_t fired = 0;
  for (const auto& what : make_faults(seed, count, kinds)) {
    BOOST_TEST_MESSAGE(what.text());
    auto seen = play(what);
    BOOST_CHECK_MESSAGE(seen.wrong.empty(), what.text() << ": " << seen.wrong);
    fired += seen.fired ? 1 : 0;
  }
  return fired;
}

} // namespace

// -- two processes -------------------------------------------------------------

play_result process_play::play(const fault& what) const {
  std::pair<int, int> ends{-1, -1};
  if (sockets)
    ends = comm::shm::make_sockets().value();
  auto run = [&](std::size_t rank, pipe_end& parent) {
    play_side side;
    side.side = rank == 0 ? sync_side::source : sync_side::destination;
    side.vanish = [] { ::raise(SIGKILL); };
    auto [mine, other] = ends;
    if (rank != 0)
      std::swap(mine, other);
    // Or nobody would learn that the other one is gone.
    if (sockets)
      ::close(other);
    connect(side, rank, parent, mine);
    auto seen = test::play(std::move(side), what);
    return parent.say(seen.encode()) ? 0 : could_not_say;
  };
  forked_ranks group{2, run};
  if (sockets) {
    ::close(ends.first);
    ::close(ends.second);
  } else if (!exchange(group, 2, ample())) {
    return {"a rank did not come", false};
  }
  std::optional<side_report> seen[2];
  for (std::size_t rank = 0; rank < 2; ++rank) {
    auto killed = what.kind == fault_kind::drop
                  && rank == static_cast<std::size_t>(what.side);
    auto said = group.to(rank).hear(ample());
    if (said)
      seen[rank] = side_report::decode(*said);
    else if (!killed)
      return {"a rank is gone", false};
  }
  auto of = [&](std::size_t rank) {
    return seen[rank] ? &*seen[rank] : nullptr;
  };
  auto fired = !seen[0] || !seen[1] || seen[0]->fired || seen[1]->fired;
  return {judge(what, of(0), of(1)), fired};
}

// -- one process ---------------------------------------------------------------

play_result play_in_one(const std::function<device_bed()>& make,
                        const fault& what) {
  auto run = [&](std::size_t, pipe_end& parent) {
    auto seen = play_both(make(), nullptr, nullptr, what);
    bytes message;
    encoder to{message};
    to.put(std::uint8_t{seen.fired});
    to.put(std::string_view{seen.wrong});
    return parent.say(message) ? 0 : could_not_say;
  };
  forked_ranks group{1, run};
  auto said = group.to(0).hear(ample());
  if (!said)
    return {"the process is gone", false};
  std::uint8_t fired = 0;
  play_result out;
  decoder from{*said};
  if (!from.get(fired) || !from.get(out.wrong))
    return {"the process does not say what it saw", false};
  out.fired = fired != 0;
  return out;
}

// -- many ----------------------------------------------------------------------

void check_syncs(const fault_player& play) {
  (void) check_all(play, 10, {fault_kind::none});
}

void check_faults(const fault_player& play,
                  const std::vector<fault_kind>& kinds) {
  constexpr std::size_t at_least = 20;
  // Half as many more, because not all of them find their moment.
  auto fired = check_all(play, at_least * 3 / 2, kinds);
  BOOST_CHECK_MESSAGE(fired >= at_least, fired << " faults");
}

} // namespace troupe::test
