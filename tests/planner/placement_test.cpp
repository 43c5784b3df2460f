// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/placement.hpp"

#include <algorithm>
#include <map>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "planner/jobs.hpp"
#include "support/why.hpp"
#include "troupe/planner/job_error.hpp"
#include "troupe/planner/rank_map.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;

namespace {

using lists = std::vector<std::vector<std::int32_t>>;

placement place_soundly(const job_spec& job, const cluster& machines) {
  auto plan = place(job, machines);
  BOOST_REQUIRE_MESSAGE(plan.has_value(), test::why(plan));
  for (const auto& problem : verify(*plan, job, machines))
    BOOST_ERROR(problem);
  return *plan;
}

job_spec colocated(std::vector<model_spec> models) {
  job_spec job;
  job.models = std::move(models);
  auto& group = job.colocation.emplace_back();
  for (const auto& x : job.models)
    group.push_back(x.name);
  return job;
}

} // namespace

BOOST_AUTO_TEST_SUITE(placement)

BOOST_AUTO_TEST_CASE(a_destination_is_reversed_inside_its_nodes) {
  auto job = colocated(
    {gpu_model("trainer", 8, 1, true), gpu_model("policy", 8, 2)});
  job.syncs = {{"trainer", "policy", 1}};
  auto plan = place_soundly(job, cluster::uniform(2, 4));
  BOOST_TEST(
    (devices(*plan.find("trainer")) == lists{{0, 1, 2, 3, 4, 5, 6, 7}}));
  BOOST_TEST(
    (devices(*plan.find("policy")) == lists{{3, 2, 1, 0}, {7, 6, 5, 4}}));
  BOOST_TEST(
    (plan.find("policy")->colocated == std::vector<std::string>{"trainer"}));
  BOOST_TEST(!plan.find("policy")->reasons.empty());
}

BOOST_AUTO_TEST_CASE(aligned_order_reverses_nothing) {
  auto job = colocated(
    {gpu_model("trainer", 2, 1, true), gpu_model("policy", 2, 2)});
  job.syncs = {{"trainer", "policy", 1}};
  job.order = placement_order::aligned;
  auto plan = place_soundly(job, cluster::uniform(1, 2));
  BOOST_TEST((devices(*plan.find("policy")) == lists{{0}, {1}}));
}

BOOST_AUTO_TEST_CASE(a_chain_of_syncs_alternates_the_order) {
  auto job = colocated(
    {gpu_model("a", 4), gpu_model("b", 4), gpu_model("c", 4)});
  job.syncs = {{"a", "b", 1}, {"b", "c", 1}};
  auto plan = place_soundly(job, cluster::uniform(1, 4));
  BOOST_TEST((devices(*plan.find("b")) == lists{{3, 2, 1, 0}}));
  BOOST_TEST((devices(*plan.find("c")) == lists{{0, 1, 2, 3}}));
}

BOOST_AUTO_TEST_CASE(twelve_devices_fit_on_nodes_of_eight) {
  job_spec job;
  job.models = {gpu_model("a", 12, 3)};
  auto plan = place_soundly(job, cluster::uniform(2, 8));
  BOOST_TEST((devices(plan.models[0])
              == lists{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}}));
}

BOOST_AUTO_TEST_CASE(a_replica_may_lie_on_several_nodes_in_any_size) {
  auto job = colocated({gpu_model("t", 24, 1, true), gpu_model("p", 24, 2)});
  job.syncs = {{"t", "p", 1}};
  auto plan = place_soundly(job, cluster::uniform(3, 8));
  BOOST_TEST((devices(*plan.find("p"))
              == lists{{7, 6, 5, 4, 3, 2, 1, 0, 11, 10, 9, 8},
                       {15, 14, 13, 12, 23, 22, 21, 20, 19, 18, 17, 16}}));
}

BOOST_AUTO_TEST_CASE(wide_processes_stay_on_one_node_under_colocation) {
  auto wide = gpu_model("wide", 4, 2);
  wide.gpu_per_process = 2;
  auto job = colocated({gpu_model("narrow", 6), wide});
  auto plan = place_soundly(job, cluster::uniform(3, 3));
  for (const auto& replica : plan.find("wide")->replicas)
    for (const auto& rank : replica.ranks)
      BOOST_TEST(rank.devices.size() == 2u);
  BOOST_TEST((devices(*plan.find("wide")) == lists{{0, 1}, {3, 4}}));
  wide.num_gpu = 6;
  wide.num_replica = 3;
  job.models[1] = wide;
  plan = place_soundly(job, cluster::uniform(3, 3));
  BOOST_TEST((devices(*plan.find("wide")) == lists{{0, 1}, {3, 4}, {6, 7}}));
}

BOOST_AUTO_TEST_CASE(one_device_holds_a_whole_job) {
  auto job = colocated({gpu_model("policy", 1), gpu_model("reference", 1),
                        gpu_model("reward", 1),
                        gpu_model("trainer", 1, 1, true)});
  job.syncs = {{"trainer", "policy", 1}};
  auto plan = place_soundly(job, cluster::uniform(1, 1));
  for (const auto& x : plan.models) {
    BOOST_TEST((devices(x) == lists{{0}}));
    BOOST_TEST(x.colocated.size() == 3u);
  }
}

BOOST_AUTO_TEST_CASE(colocation_means_a_shared_device) {
  // b and c stand side by side, a shares with both; d meets only a and b.
  auto job = colocated({gpu_model("a", 4), gpu_model("b", 2), gpu_model("c", 2),
                        gpu_model("d", 1)});
  auto plan = place_soundly(job, cluster::uniform(1, 4));
  BOOST_TEST((plan.find("d")->colocated == std::vector<std::string>{"a", "b"}));
  BOOST_TEST((plan.find("c")->colocated == std::vector<std::string>{"a"}));
}

BOOST_AUTO_TEST_CASE(groups_that_do_not_fit_into_nodes_are_still_placed) {
  job_spec job;
  job.models = {gpu_model("a", 5), gpu_model("b", 5), gpu_model("c", 5)};
  auto plan = place_soundly(job, cluster::uniform(2, 8));
  BOOST_TEST((devices(plan.models[2]) == lists{{5, 6, 7, 13, 14}}));
  BOOST_TEST(plan.warnings.size() == 2u);
}

BOOST_AUTO_TEST_CASE(the_largest_group_goes_first_where_that_tears_fewer) {
  job_spec job;
  job.models = {gpu_model("a", 2), gpu_model("b", 2), gpu_model("c", 4),
                gpu_model("d", 5), gpu_model("e", 3)};
  auto plan = place_soundly(job, cluster::uniform(2, 8));
  for (const auto& x : plan.models)
    BOOST_TEST(
      (x.replicas[0].ranks.front().node == x.replicas[0].ranks.back().node));
}

BOOST_AUTO_TEST_CASE(cpu_models_go_round_robin_over_the_nodes_in_use) {
  job_spec job;
  job.models = {gpu_model("a", 4), cpu_model("r", 3)};
  auto plan = place_soundly(job, cluster::uniform(4, 2));
  const auto& r = *plan.find("r");
  BOOST_TEST((r.replicas[0].ranks[0].node == node_id{0}));
  BOOST_TEST((r.replicas[1].ranks[0].node == node_id{1}));
  BOOST_TEST((r.replicas[2].ranks[0].node == node_id{0}));
  BOOST_TEST(r.replicas[0].ranks[0].devices.empty());
  job.models = {cpu_model("r", 3)};
  plan = place_soundly(job, cluster::uniform(2, 2));
  BOOST_TEST((plan.models[0].replicas[1].ranks[0].node == node_id{1}));
}

BOOST_AUTO_TEST_CASE(too_few_devices_are_named) {
  job_spec job;
  job.models = {gpu_model("policy", 8), gpu_model("trainer", 8, 1, true)};
  auto plan = place(job, cluster::uniform(1, 8));
  BOOST_REQUIRE(!plan);
  BOOST_TEST((plan.error().code() == errc::exhausted));
  BOOST_TEST((job_error_of(plan.error()) == job_error::not_enough_devices));
  const auto& text = plan.error().message();
  for (const auto* word :
       {"16 devices", "there are 8", "policy 8", "trainer 8"})
    BOOST_TEST(text.find(word) != std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(processes_wider_than_a_node_are_refused) {
  auto wide = gpu_model("wide", 4);
  wide.gpu_per_process = 4;
  job_spec job;
  job.models = {wide};
  auto plan = place(job, cluster::uniform(2, 2));
  BOOST_REQUIRE(!plan);
  BOOST_TEST((job_error_of(plan.error()) == job_error::process_too_wide));
  wide.num_gpu = 8;
  job.models = {wide};
  plan = place(job, cluster::uniform(2, 6));
  BOOST_REQUIRE(plan);
  plan = place(job, cluster::uniform(1, 8));
  BOOST_REQUIRE(plan);
  wide.num_gpu = 12;
  job.models = {wide};
  plan = place(job, cluster::uniform(2, 6));
  BOOST_REQUIRE(!plan);
  BOOST_TEST((job_error_of(plan.error()) == job_error::not_enough_devices));
}

BOOST_AUTO_TEST_CASE(verify_finds_what_is_wrong) {
  auto job = colocated({gpu_model("a", 2), gpu_model("b", 2)});
  auto machines = cluster::uniform(2, 2);
  auto good = place_soundly(job, machines);
  auto broken = [&](auto change) {
    auto plan = good;
    change(plan);
    return !verify(plan, job, machines).empty();
  };
  auto rank = [](planner::placement& plan, int i) -> rank_place& {
    return plan.models[0].replicas[0].ranks[static_cast<std::size_t>(i)];
  };
  BOOST_TEST(broken([&](auto& p) { rank(p, 0).devices.clear(); }));
  BOOST_TEST(broken([&](auto& p) { rank(p, 0).devices[0] = device_id{1}; }));
  BOOST_TEST(broken([&](auto& p) { rank(p, 0).devices[0] = device_id{9}; }));
  BOOST_TEST(broken([&](auto& p) { rank(p, 0).devices[0] = device_id{-1}; }));
  BOOST_TEST(broken([&](auto& p) { rank(p, 1).node = node_id{1}; }));
  BOOST_TEST(broken([&](auto& p) { rank(p, 1).node = node_id{7}; }));
  BOOST_TEST(broken([&](auto& p) { std::swap(rank(p, 0), rank(p, 1)); }));
  BOOST_TEST(broken([](auto& p) { p.models[0].reversed = true; }));
  BOOST_TEST(broken([](auto& p) { p.models[0].colocated.clear(); }));
  BOOST_TEST(broken([](auto& p) { p.models[0].replicas.clear(); }));
  BOOST_TEST(broken([](auto& p) { p.models[0].name = "z"; }));
  BOOST_TEST(broken([](auto& p) { p.models.pop_back(); }));
  auto apart = job;
  apart.colocation.clear();
  BOOST_TEST(!verify(good, apart, machines).empty());
}

BOOST_AUTO_TEST_CASE(random_jobs_are_placed_soundly) {
  const std::uint32_t seed = 7301;
  BOOST_TEST_MESSAGE("seed " << seed);
  dice roll{seed};
  for (int round = 0; round < 4000; ++round) {
    auto x = make_random_case(roll, roll.coin());
    auto plan = place(x.job, x.machines);
    BOOST_REQUIRE_MESSAGE(plan.has_value(), test::why(plan));
    auto problems = verify(*plan, x.job, x.machines);
    BOOST_REQUIRE_MESSAGE(problems.empty(),
                          "round "
                            << round << ": "
                            << fmt::format("{}", fmt::join(problems, "; ")));
    BOOST_REQUIRE((place(x.job, x.machines) == plan));
  }
}

BOOST_AUTO_TEST_CASE(order_of_models_outside_groups_does_not_matter_to_groups) {
  const std::uint32_t seed = 909;
  BOOST_TEST_MESSAGE("seed " << seed);
  dice roll{seed};
  for (int round = 0; round < 1000; ++round) {
    auto x = make_random_case(roll, true);
    // Groups say which models meet; the order of the job's own list of models,
    // of the syncs and of reasons must not change where groups stand.
    auto y = x.job;
    std::reverse(y.models.begin(), y.models.end());
    std::reverse(y.syncs.begin(), y.syncs.end());
    auto a = place(x.job, x.machines);
    auto b = place(y, x.machines);
    BOOST_REQUIRE(a.has_value());
    BOOST_REQUIRE(b.has_value());
    bool retried = false;
    for (const auto* plan : {&*a, &*b})
      for (const auto& text : plan->warnings)
        retried = retried || text.find("largest first") != std::string::npos;
    if (retried)
      continue;
    for (const auto& group : x.job.colocation)
      for (const auto& name : group) {
        const auto& spec = *std::find_if(x.job.models.begin(),
                                         x.job.models.end(),
                                         [&](const auto& m) {
                                           return m.name == name;
                                         });
        if (spec.on_cpu())
          continue;
        BOOST_REQUIRE((a->find(name)->replicas == b->find(name)->replicas));
      }
  }
}

BOOST_AUTO_TEST_SUITE_END()
