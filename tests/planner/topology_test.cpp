// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/topology.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <random>
#include <set>

#include "support/random_seed.hpp"

using namespace troupe;
using namespace troupe::planner;

namespace {

std::vector<int> nodes_of(const std::vector<bundle_place>& places) {
  std::vector<int> out;
  for (const auto& x : places)
    out.push_back(x.node.value());
  return out;
}

std::vector<int> devices_of(const bundle_place& place) {
  std::vector<int> out;
  for (auto x : place.devices)
    out.push_back(x.value());
  return out;
}

/// `nodes` nodes of 8 devices in link domains of `domain` devices.
cluster with_domains(int nodes, int domain) {
  auto machines = cluster::uniform(nodes, 8);
  for (auto& node : machines.nodes)
    for (std::size_t i = 0; i < node.devices.size(); ++i)
      node.devices[i].link_domain = static_cast<int>(i) / domain;
  return machines;
}

using ints = std::vector<int>;

} // namespace

BOOST_AUTO_TEST_SUITE(topology)

BOOST_AUTO_TEST_CASE(strategies_have_names) {
  for (auto x : {node_strategy::pack, node_strategy::spread,
                 node_strategy::strict_pack, node_strategy::strict_spread}) {
    node_strategy back{};
    BOOST_TEST(from_string(to_string(x), back));
    BOOST_TEST((back == x));
  }
  node_strategy unused{};
  BOOST_TEST(!from_string("pack", unused));
}

BOOST_AUTO_TEST_CASE(pack_uses_few_nodes_and_fills_what_it_began) {
  auto machines = cluster::uniform(3, 8);
  free_resources free{machines};
  std::vector<bundle> four(3, bundle{4, 0});
  auto places = free.take(four, node_strategy::pack);
  BOOST_REQUIRE(places);
  BOOST_TEST((nodes_of(*places) == ints{0, 0, 1}));
  BOOST_TEST((devices_of((*places)[1]) == ints{4, 5, 6, 7}));
  // The half-used node is the tightest one for the next four.
  auto next = free.take(std::vector<bundle>{{4, 0}}, node_strategy::pack);
  BOOST_TEST((nodes_of(*next) == ints{1}));
  BOOST_TEST(free.num_device() == 8);
  BOOST_TEST(free.num_device(node_id{2}) == 8);
}

BOOST_AUTO_TEST_CASE(spread_uses_every_node_before_it_returns_to_one) {
  auto machines = cluster::uniform(3, 8);
  free_resources free{machines};
  std::vector<bundle> two(4, bundle{2, 0});
  auto places = free.take(two, node_strategy::spread);
  BOOST_TEST((nodes_of(*places) == ints{0, 1, 2, 0}));
}

BOOST_AUTO_TEST_CASE(strict_strategies_fail_rather_than_bend) {
  auto machines = cluster::uniform(2, 4);
  free_resources free{machines};
  std::vector<bundle> two(3, bundle{2, 0});
  auto packed = free.take(two, node_strategy::strict_pack);
  BOOST_REQUIRE(!packed);
  BOOST_TEST((packed.error().code() == errc::exhausted));
  BOOST_TEST(packed.error().message().find("need 6 devices")
             != std::string::npos);
  auto spread = free.take(two, node_strategy::strict_spread);
  BOOST_REQUIRE(!spread);
  BOOST_TEST((spread.error().code() == errc::exhausted));
  // A refusal takes nothing.
  BOOST_TEST(free.num_device() == 8);
  two.pop_back();
  BOOST_TEST(
    (nodes_of(*free.take(two, node_strategy::strict_spread)) == ints{0, 1}));
  BOOST_TEST(!free.take(two, node_strategy::strict_pack));
  BOOST_TEST(free.take(two, node_strategy::pack).has_value());
  BOOST_TEST(free.num_device() == 0);
}

BOOST_AUTO_TEST_CASE(a_replica_stays_in_a_link_domain_where_it_fits) {
  auto machines = with_domains(1, 4);
  free_resources free{machines};
  std::vector<bundle> bundles{{1, 0}, {4, 0}, {3, 0}};
  auto places = free.take(bundles, node_strategy::pack);
  BOOST_REQUIRE(places);
  BOOST_TEST((devices_of((*places)[1]) == ints{0, 1, 2, 3}));
  BOOST_TEST((devices_of((*places)[2]) == ints{4, 5, 6}));
  // The one goes where it leaves no larger hole.
  BOOST_TEST((devices_of((*places)[0]) == ints{7}));
  for (const auto& x : *places)
    BOOST_TEST(x.in_one_domain);
}

BOOST_AUTO_TEST_CASE(a_node_with_a_whole_domain_is_preferred) {
  auto machines = with_domains(2, 4);
  free_resources free{machines};
  // Leaves 2 + 2 devices on node 0.
  machines.nodes[0].devices.resize(8);
  std::vector<bundle> first{{3, 0}, {3, 0}};
  BOOST_TEST(
    (nodes_of(*free.take(first, node_strategy::strict_pack)) == ints{0, 0}));
  auto places = free.take(std::vector<bundle>{{2, 0}}, node_strategy::pack);
  BOOST_TEST((nodes_of(*places) == ints{1}));
  BOOST_TEST(places->front().in_one_domain);
  auto wide = free.take(std::vector<bundle>{{6, 0}}, node_strategy::pack);
  BOOST_TEST(!wide->front().in_one_domain);
}

BOOST_AUTO_TEST_CASE(cores_count_where_a_node_says_how_many_it_has) {
  auto machines = cluster::uniform(2, 2, 4);
  free_resources free{machines};
  std::vector<bundle> bundles(3, bundle{0, 3});
  BOOST_TEST(!free.take(bundles, node_strategy::pack));
  bundles.pop_back();
  BOOST_TEST(
    (nodes_of(*free.take(bundles, node_strategy::pack)) == ints{0, 1}));
  auto silent = cluster::uniform(1, 2);
  free_resources unknown{silent};
  BOOST_TEST(unknown.take(bundles, node_strategy::pack).has_value());
}

BOOST_AUTO_TEST_CASE(negative_bundles_are_invalid_and_none_is_fine) {
  auto machines = cluster::uniform(1, 2);
  free_resources free{machines};
  auto bad = free.take(std::vector<bundle>{{-1, 0}}, node_strategy::pack);
  BOOST_REQUIRE(!bad);
  BOOST_TEST((bad.error().code() == errc::invalid));
  BOOST_TEST(free.take({}, node_strategy::strict_pack)->empty());
  constexpr auto huge = std::numeric_limits<std::int32_t>::max();
  std::vector<bundle> much(8, bundle{huge, huge});
  for (auto x : {node_strategy::pack, node_strategy::strict_pack})
    BOOST_TEST(!free.take(much, x));
}

BOOST_AUTO_TEST_CASE(random_groups_keep_the_promise_of_their_strategy) {
  const auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  BOOST_TEST_CONTEXT("seed " << seed) {
    std::mt19937 random{seed};
    auto pick = [&random](int least, int most) {
      return std::uniform_int_distribution<int>{least, most}(random);
    };
    for (int round = 0; round < 2000; ++round) {
      auto machines = with_domains(pick(1, 5), 1 << pick(0, 3));
      free_resources free{machines};
      std::set<int> taken;
      for (int group = 0; group < 4; ++group) {
        std::vector<bundle> bundles;
        for (int i = pick(1, 5); i > 0; --i)
          bundles.push_back({pick(0, 9), pick(0, 3)});
        auto strategy = static_cast<node_strategy>(pick(0, 3));
        auto left = free.num_device();
        auto places = free.take(bundles, strategy);
        if (!places) {
          BOOST_REQUIRE_EQUAL(free.num_device(), left);
          continue;
        }
        std::set<int> nodes;
        for (std::size_t i = 0; i < bundles.size(); ++i) {
          const auto& place = (*places)[i];
          nodes.insert(place.node.value());
          BOOST_REQUIRE_EQUAL(place.devices.size(),
                              static_cast<std::size_t>(bundles[i].devices));
          std::set<int> domains;
          for (auto device : place.devices) {
            BOOST_REQUIRE(taken.insert(device.value()).second);
            BOOST_REQUIRE((machines.node_of(device) == place.node));
            domains.insert(
              machines.nodes[static_cast<std::size_t>(place.node.value())]
                .devices[static_cast<std::size_t>(device.value() % 8)]
                .link_domain);
          }
          BOOST_REQUIRE_EQUAL(place.in_one_domain, domains.size() <= 1);
        }
        if (strategy == node_strategy::strict_pack)
          BOOST_REQUIRE_EQUAL(nodes.size(), 1u);
        if (strategy == node_strategy::strict_spread)
          BOOST_REQUIRE_EQUAL(nodes.size(), bundles.size());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(twelve_thousand_nodes_are_filled_quickly) {
  auto machines = with_domains(12500, 4);
  free_resources free{machines};
  std::vector<bundle> bundles(25000, bundle{4, 0});
  auto begin = std::chrono::steady_clock::now();
  auto places = free.take(bundles, node_strategy::spread);
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  BOOST_REQUIRE(places);
  BOOST_TEST(free.num_device() == 0);
  BOOST_TEST_MESSAGE("100,000 devices in " << took.count() << " s");
  // A quadratic search takes minutes.
  BOOST_TEST(took.count() < 10);
}

BOOST_AUTO_TEST_SUITE_END()
