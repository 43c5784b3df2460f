// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/placement.hpp"

#include <fstream>

#include <boost/test/unit_test.hpp>

#include "../../../apps/golden_check/models.hpp"
#include "planner/jobs.hpp"
#include "support/why.hpp"
#include "troupe/planner/placement.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;

namespace {

chatlearn::local_model local(const model_spec& x) {
  chatlearn::local_model out;
  out.name = x.name;
  out.total_gpu = x.num_gpu;
  out.trainable = x.trainable;
  out.num_replica = x.num_replica;
  out.num_gpu_per_replica = x.num_gpu / x.num_replica;
  return out;
}

bool has_chain(const std::vector<sync_pair>& syncs) {
  for (const auto& a : syncs)
    for (const auto& b : syncs)
      if (a.destination == b.source)
        return true;
  return false;
}

} // namespace

BOOST_AUTO_TEST_SUITE(chatlearn_placement)

BOOST_AUTO_TEST_CASE(an_engine_shares_its_replicas_first_gpu) {
  chatlearn::local_model policy{"policy", 2, false, 1, 2, 1, 1, true};
  chatlearn::local_model trainer{"trainer", 2, true, 1, 2, 1, 1, false};
  auto x = chatlearn::place_group({policy, trainer}, {{"trainer", "policy"}},
                                  {1, 2, 8});
  BOOST_REQUIRE(x);
  BOOST_TEST((x->replicas[0][0].gpu == std::vector<std::int64_t>{1, 0}));
  BOOST_TEST(x->replicas[0][0].engine_gpu == 0);
  BOOST_REQUIRE_EQUAL(x->gpus[0].size(), 3u);
  BOOST_TEST(x->gpus[0][1].engine);
  BOOST_TEST(x->gpus[0][1].fraction == 0.25);
  BOOST_TEST((x->plan.revert == std::vector<std::string>{"policy"}));
}

BOOST_AUTO_TEST_CASE(chatlearns_refusals_keep_their_kind) {
  using chatlearn::refusal_kind;
  auto kind = [](std::int64_t total, std::int64_t per_replica,
                 std::int64_t per_process, chatlearn::machines size) {
    chatlearn::local_model x{"a",         total, false, total / per_replica,
                             per_replica, 1,     1,     false};
    x.gpu_per_process = per_process;
    auto placed = chatlearn::place_group({x}, {}, size);
    BOOST_REQUIRE(!placed);
    return placed.error().kind;
  };
  BOOST_TEST((kind(12, 4, 1, {2, 8, 8}) == refusal_kind::assertion));
  BOOST_TEST((kind(4, 4, 2, {2, 8, 8}) == refusal_kind::assertion));
  BOOST_TEST((kind(24, 12, 1, {3, 8, 8}) == refusal_kind::unsound));
  BOOST_TEST((kind(24, 3, 1, {3, 8, 8}) == refusal_kind::unsound));
}

BOOST_AUTO_TEST_CASE(troupe_places_as_chatlearn_where_that_is_sound) {
  const std::uint32_t seed = 6502;
  BOOST_TEST_MESSAGE("seed " << seed);
  dice roll{seed};
  int compared = 0;
  for (int round = 0; round < 6000; ++round) {
    auto per_node = roll(1, 8);
    job_spec job;
    std::vector<chatlearn::local_model> models;
    auto& group = job.colocation.emplace_back();
    for (auto n = roll(1, 6); n > 0; --n) {
      auto replicas = roll(1, 4);
      auto x = gpu_model(std::string(1, static_cast<char>('a' + n)),
                         replicas * roll(1, 8), replicas, roll.coin());
      group.push_back(x.name);
      models.push_back(local(x));
      job.models.push_back(std::move(x));
    }
    std::vector<chatlearn::sync_names> syncs;
    if (group.size() > 1 && roll.coin()) {
      job.syncs.push_back({group[0], group[1], 1});
      syncs.emplace_back(group[0], group[1]);
    }
    auto theirs = chatlearn::place_group(models, syncs, {32, per_node, 8});
    auto machines = cluster::uniform(32, per_node);
    auto ours = place(job, machines);
    BOOST_REQUIRE(ours.has_value());
    BOOST_REQUIRE(verify(*ours, job, machines).empty());
    if (!theirs)
      continue;
    ++compared;
    for (std::size_t i = 0; i < models.size(); ++i) {
      auto list = devices(ours->models[i]);
      for (std::size_t r = 0; r < list.size(); ++r) {
        std::vector<std::int64_t> wide{list[r].begin(), list[r].end()};
        BOOST_REQUIRE((wide == theirs->replicas[i][r].gpu));
      }
    }
  }
  BOOST_TEST(compared > 1000);
}

BOOST_AUTO_TEST_CASE(troupe_places_the_recorded_cases) {
  std::ifstream file{TROUPE_GOLDEN_DIR "/place.json"};
  auto data = nlohmann::json::parse(file, nullptr, false);
  BOOST_REQUIRE(!data.is_discarded());
  int compared = 0;
  for (const auto& x : data["cases"]) {
    const auto& in = x["in"];
    job_spec job;
    job.models = golden::read_model_specs(in);
    auto& group = job.colocation.emplace_back();
    for (const auto& model : job.models)
      group.push_back(model.name);
    for (const auto& [source, destination] : golden::read_syncs(in))
      job.syncs.push_back({source, destination, 1});
    auto size = golden::read_machines(in);
    auto machines = cluster::uniform(static_cast<std::int32_t>(size.num_node),
                                     static_cast<std::int32_t>(
                                       size.gpu_per_node));
    auto plan = place(job, machines);
    BOOST_REQUIRE_MESSAGE(plan.has_value(), x["id"] << test::why(plan));
    BOOST_REQUIRE(verify(*plan, job, machines).empty());
    const auto& out = x["out"];
    if (x.contains("tags") || out.contains("error") || has_chain(job.syncs))
      continue;
    ++compared;
    for (const auto& model : plan->models) {
      auto list = devices(model);
      for (std::size_t r = 0; r < list.size(); ++r)
        if (!list[r].empty())
          BOOST_REQUIRE_MESSAGE(out["replicas"][model.name][r]["gpu"]
                                  == nlohmann::json(list[r]),
                                x["id"] << " " << model.name);
        else if (out.contains("gpus"))
          BOOST_REQUIRE_EQUAL(out["cpu"][model.name][r][1].get<int>(),
                              model.replicas[r].ranks[0].node.value());
    }
  }
  BOOST_TEST(compared > 200);
}

BOOST_AUTO_TEST_SUITE_END()
