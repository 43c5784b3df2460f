// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/allotment.hpp"

#include <algorithm>
#include <set>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "planner/jobs.hpp"
#include "support/why.hpp"
#include "troupe/planner/job_error.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;

namespace {

using lists = std::vector<std::vector<std::int32_t>>;

/// Nodes of `sizes` devices in link domains of `domain` devices; neighbours are
/// in different domains if `interleaved`.
cluster with_domains(const std::vector<std::int32_t>& sizes,
                     std::int32_t domain, bool interleaved = false) {
  cluster machines;
  for (auto size : sizes) {
    auto& node = machines.nodes.emplace_back();
    node.devices.resize(static_cast<std::size_t>(size));
    auto count = (size + domain - 1) / domain;
    for (std::int32_t i = 0; i < size; ++i)
      node.devices[static_cast<std::size_t>(i)].link_domain = interleaved
                                                                ? i % count
                                                                : i / domain;
  }
  return machines;
}

placement place_soundly(const job_spec& job, const cluster& machines) {
  auto plan = place(job, machines);
  BOOST_REQUIRE_MESSAGE(plan.has_value(), test::why(plan));
  for (const auto& problem : verify(*plan, job, machines))
    BOOST_ERROR(problem);
  return *plan;
}

std::set<std::int32_t> nodes_of(const replica_place& x) {
  std::set<std::int32_t> out;
  for (const auto& rank : x.ranks)
    out.insert(rank.node.value());
  return out;
}

std::set<std::pair<std::int32_t, std::int32_t>>
domains_of(const replica_place& x, const cluster& machines) {
  std::set<std::pair<std::int32_t, std::int32_t>> out;
  for (const auto& rank : x.ranks)
    for (auto device : rank.devices) {
      auto at = device.value();
      for (std::int32_t n = 0; n < rank.node.value(); ++n)
        at -= static_cast<std::int32_t>(
          machines.nodes[static_cast<std::size_t>(n)].devices.size());
      out.emplace(rank.node.value(),
                  machines.nodes[static_cast<std::size_t>(rank.node.value())]
                    .devices[static_cast<std::size_t>(at)]
                    .link_domain);
    }
  return out;
}

bool says(const std::vector<std::string>& texts, std::string_view part) {
  return std::any_of(texts.begin(), texts.end(), [part](const auto& x) {
    return x.find(part) != std::string::npos;
  });
}

} // namespace

BOOST_AUTO_TEST_SUITE(allotment)

BOOST_AUTO_TEST_CASE(replicas_stay_inside_link_domains) {
  job_spec job;
  job.models = {gpu_model("a", 6, 2)};
  auto plan = place_soundly(job, with_domains({8}, 4));
  BOOST_TEST((devices(plan.models[0]) == lists{{0, 1, 2}, {4, 5, 6}}));
  BOOST_TEST(says(plan.models[0].reasons,
                  "replica 1 stays inside link domain 1 of node 0"));
  plan = place_soundly(job, with_domains({8}, 4, true));
  BOOST_TEST((devices(plan.models[0]) == lists{{0, 2, 4}, {1, 3, 5}}));
}

BOOST_AUTO_TEST_CASE(small_replicas_stay_inside_domains_under_a_large_one) {
  job_spec job;
  job.models = {gpu_model("t", 8, 1, true), gpu_model("p", 8, 2)};
  job.colocation = {{"t", "p"}};
  job.syncs = {{"t", "p", 1}};
  auto plan = place_soundly(job, with_domains({8}, 4, true));
  BOOST_TEST((devices(plan.models[1]) == lists{{6, 4, 2, 0}, {7, 5, 3, 1}}));
  BOOST_TEST(
    says(plan.models[0].reasons, "replica 0 spans link domains 0 and 1"));
}

BOOST_AUTO_TEST_CASE(nodes_of_different_sizes_hold_whole_replicas) {
  job_spec job;
  job.models = {gpu_model("a", 12, 3)};
  cluster machines = with_domains({6, 8}, 8);
  auto plan = place_soundly(job, machines);
  for (const auto& replica : plan.models[0].replicas)
    BOOST_TEST(nodes_of(replica).size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_replica_larger_than_a_node_spans_nodes_and_says_so) {
  job_spec job;
  job.models = {gpu_model("a", 12)};
  auto plan = place_soundly(job, cluster::uniform(2, 8));
  BOOST_TEST(says(plan.models[0].reasons,
                  "replica 0 spans nodes 0 and 1: 12 devices, nodes have 8"));
}

BOOST_AUTO_TEST_CASE(spread_uses_every_node) {
  job_spec job;
  job.models = {gpu_model("a", 8, 4)};
  job.strategy = node_strategy::spread;
  auto plan = place_soundly(job, cluster::uniform(3, 8));
  BOOST_TEST(
    (devices(plan.models[0]) == lists{{0, 1}, {8, 9}, {16, 17}, {2, 3}}));
  BOOST_TEST(
    says(plan.models[0].reasons, "SPREAD: its 4 replicas stand on 3 nodes"));
}

BOOST_AUTO_TEST_CASE(strict_strategies_hold_or_are_refused) {
  job_spec job;
  job.models = {gpu_model("a", 6, 3)};
  job.strategy = node_strategy::strict_spread;
  auto plan = place_soundly(job, cluster::uniform(3, 4));
  BOOST_TEST((devices(plan.models[0]) == lists{{0, 1}, {4, 5}, {8, 9}}));
  auto refused = [&](const cluster& machines) {
    auto bad = place(job, machines);
    BOOST_REQUIRE(!bad);
    BOOST_TEST((bad.error().code() == errc::exhausted));
    BOOST_TEST((job_error_of(bad.error()) == job_error::strategy_cannot_hold));
    return bad.error().message();
  };
  BOOST_TEST(refused(cluster::uniform(2, 4)).find("3 nodes with 2 free devices")
             != std::string::npos);
  job.strategy = node_strategy::strict_pack;
  BOOST_TEST(refused(cluster::uniform(2, 4)).find("6 devices are required")
             != std::string::npos);
  plan = place_soundly(job, cluster::uniform(1, 8));
  BOOST_TEST((devices(plan.models[0]) == lists{{0, 1}, {2, 3}, {4, 5}}));
}

BOOST_AUTO_TEST_CASE(verify_finds_broken_promises) {
  job_spec job;
  job.models = {gpu_model("a", 4, 2)};
  auto machines = cluster::uniform(2, 4);
  auto packed = place_soundly(job, machines);
  job.strategy = node_strategy::strict_spread;
  BOOST_TEST(!verify(packed, job, machines).empty());
  auto spread = place_soundly(job, machines);
  job.strategy = node_strategy::strict_pack;
  BOOST_TEST(!verify(spread, job, machines).empty());
  BOOST_TEST(verify(packed, job, machines).empty());
}

BOOST_AUTO_TEST_CASE(random_jobs_keep_the_promise_of_their_strategy) {
  const std::uint32_t seed = 4417;
  BOOST_TEST_MESSAGE("seed " << seed);
  dice roll{seed};
  int placed = 0;
  for (int round = 0; round < 2000; ++round) {
    auto x = make_random_case(roll, roll.coin());
    auto domain = roll(1, 4);
    for (auto& node : x.machines.nodes)
      for (std::size_t i = 0; i < node.devices.size(); ++i)
        node.devices[i].link_domain = static_cast<std::int32_t>(i) / domain;
    x.job.strategy = static_cast<node_strategy>(roll(0, 3));
    auto plan = place(x.job, x.machines);
    if (!plan) {
      auto code = job_error_of(plan.error());
      BOOST_REQUIRE_MESSAGE(code == job_error::strategy_cannot_hold
                              || code == job_error::not_enough_devices,
                            plan.error().message());
      continue;
    }
    ++placed;
    auto problems = verify(*plan, x.job, x.machines);
    BOOST_REQUIRE_MESSAGE(problems.empty(),
                          "round "
                            << round << ": "
                            << fmt::format("{}", fmt::join(problems, "; ")));
  }
  BOOST_TEST(placed > 500);
}

BOOST_AUTO_TEST_CASE(replicas_that_tile_the_domains_stay_inside_them) {
  const std::uint32_t seed = 5512;
  BOOST_TEST_MESSAGE("seed " << seed);
  dice roll{seed};
  for (int round = 0; round < 2000; ++round) {
    auto nodes = roll(1, 6);
    auto machines = with_domains(std::vector<
                                   std::int32_t>(static_cast<std::size_t>(
                                                   nodes),
                                                 8),
                                 4, roll.coin());
    job_spec job;
    for (auto left = 8 * nodes; left > 0 && job.models.size() < 6;) {
      auto width = 1 << roll(0, 2);
      auto count = std::min(roll(1, 4), left / width);
      if (count == 0)
        break;
      job.models.push_back(gpu_model("m" + std::to_string(job.models.size()),
                                     count * width, count));
      left -= count * width;
    }
    auto plan = place(job, machines);
    BOOST_REQUIRE_MESSAGE(plan.has_value(), test::why(plan));
    for (const auto& model : plan->models)
      for (const auto& replica : model.replicas)
        BOOST_REQUIRE_MESSAGE(domains_of(replica, machines).size() == 1u,
                              "round " << round << ": " << model.name);
  }
}

BOOST_AUTO_TEST_SUITE_END()
