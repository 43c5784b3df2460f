// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/straggler_watch.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <random>

#include "support/random_seed.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using engine::straggler_watch;
using protocol::rank_time;

namespace {

rank_time took(int rank, std::chrono::microseconds own, int stage = 0,
               int replica = 0) {
  return {{"policy", replica_id{replica}, rank_id{rank}},
          stage,
          static_cast<std::uint64_t>(own.count()),
          0};
}

} // namespace

BOOST_AUTO_TEST_SUITE(engine_straggler_watch)

BOOST_AUTO_TEST_CASE(a_rank_slower_than_its_peers_by_the_factor_is_named) {
  straggler_watch x{4, 500ms};
  auto got = x.look({took(0, 1s), took(1, 1200ms), took(2, 900ms),
                     took(3, 4300ms)},
                    1);
  BOOST_REQUIRE(got.size() == 1u);
  BOOST_TEST(got[0].rank.rank.value() == 3);
  BOOST_TEST((got[0].own == 4300ms));
  BOOST_TEST((got[0].peers == 1s));
}

BOOST_AUTO_TEST_CASE(exactly_the_factor_is_not_slow_yet) {
  straggler_watch x{4, 500ms};
  BOOST_TEST(x.look({took(0, 1s), took(1, 4s)}, 1).empty());
  BOOST_TEST(x.look({took(0, 1s), took(1, 4s + 1us)}, 1).size() == 1u);
}

BOOST_AUTO_TEST_CASE(milliseconds_of_noise_alarm_nobody) {
  straggler_watch x{4, 500ms};
  BOOST_TEST(x.look({took(0, 10us), took(1, 499ms)}, 1).empty());
  BOOST_TEST(x.look({took(0, 0us), took(1, 500ms)}, 1).size() == 1u);
}

BOOST_AUTO_TEST_CASE(who_has_no_peers_is_not_slow) {
  straggler_watch x{4, 1ms};
  BOOST_TEST(x.look({}, 1).empty());
  BOOST_TEST(x.look({took(0, 1h)}, 1).empty());
  // Another stage has other layers.
  BOOST_TEST(x.look({took(0, 1ms), took(1, 1h, 1)}, 1).empty());
}

BOOST_AUTO_TEST_CASE(the_same_rank_of_other_replicas_is_a_peer) {
  straggler_watch x{4, 1ms};
  auto got = x.look({took(0, 10ms), took(0, 1s, 0, 1)}, 1);
  BOOST_REQUIRE(got.size() == 1u);
  BOOST_TEST(got[0].rank.replica.value() == 1);
}

BOOST_AUTO_TEST_CASE(a_factor_of_zero_turns_it_off) {
  straggler_watch x{0, 1ms};
  BOOST_TEST(x.look({took(0, 1ms), took(1, 1h)}, 1).empty());
}

BOOST_AUTO_TEST_CASE(a_rank_is_told_once_in_ten_episodes) {
  straggler_watch x{4, 1ms};
  auto slow = [&](int rank, std::int64_t episode) {
    std::vector<rank_time> times{took(0, 1ms), took(1, 1ms), took(2, 1ms),
                                 took(3, 1ms)};
    times[static_cast<std::size_t>(rank)].own_us = 100'000;
    return x.look(times, episode).size();
  };
  BOOST_TEST(slow(1, 1) == 1u);
  BOOST_TEST(slow(1, 1) == 0u);
  BOOST_TEST(slow(2, 1) == 1u);
  BOOST_TEST(slow(1, straggler_watch::episodes_between) == 0u);
  BOOST_TEST(slow(1, 1 + straggler_watch::episodes_between) == 1u);
  BOOST_TEST(slow(1, 2 + straggler_watch::episodes_between) == 0u);
}

// Against the definition, written out.
BOOST_AUTO_TEST_CASE(random_times_agree_with_the_definition) {
  auto seed = test::random_seed();
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  for (auto round = 0; round < 300; ++round) {
    std::vector<rank_time> times;
    auto count = 2 + random() % 7;
    for (std::size_t i = 0; i < count; ++i)
      times.push_back(took(static_cast<int>(i),
                           std::chrono::microseconds{1 + random() % 20},
                           static_cast<int>(random() % 2)));
    std::vector<int> expected;
    for (const auto& x : times) {
      std::vector<double> peers;
      for (const auto& y : times)
        if (&x != &y && x.stage == y.stage)
          peers.push_back(static_cast<double>(y.own_us));
      if (peers.empty())
        continue;
      std::ranges::sort(peers);
      auto middle = peers.size() / 2;
      auto median = peers.size() % 2 == 1
                      ? peers[middle]
                      : std::floor((peers[middle - 1] + peers[middle]) / 2);
      if (static_cast<double>(x.own_us) > 3 * median)
        expected.push_back(x.rank.rank.value());
    }
    straggler_watch watch{3, 0ms};
    std::vector<int> got;
    for (const auto& x : watch.look(times, 1))
      got.push_back(x.rank.rank.value());
    std::ranges::sort(got);
    BOOST_TEST(got == expected, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_SUITE_END()
