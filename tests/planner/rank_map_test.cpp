// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/rank_map.hpp"

#include <boost/test/unit_test.hpp>

#include "planner/jobs.hpp"
#include "troupe/planner/job_error.hpp"
#include "troupe/planner/resolved_job.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;

namespace {

rank_pair pair_of(std::int32_t source, std::int32_t replica,
                  std::int32_t destination) {
  return {rank_id{source}, replica_id{replica}, rank_id{destination}};
}

mapped_model model(parallel_sizes sizes, std::int64_t ranks,
                   std::int32_t replicas = 1) {
  mapped_model x;
  x.sizes = sizes;
  x.ranks_per_replica = ranks;
  x.num_replica = replicas;
  return x;
}

using pairs = std::vector<rank_pair>;

} // namespace

BOOST_AUTO_TEST_SUITE(rank_map)

BOOST_AUTO_TEST_CASE(copies_follow_the_megatron_order) {
  parallel_sizes sizes{2, 2, 2, 1, 1};
  auto copies = weight_copies(sizes, 8);
  auto list = [](std::initializer_list<std::int32_t> ranks) {
    weight_copy x;
    for (auto r : ranks)
      x.push_back(rank_id{r});
    return x;
  };
  BOOST_TEST(
    (copies
     == std::vector<weight_copy>{list({0, 1, 4, 5}), list({2, 3, 6, 7})}));
  sizes = {1, 1, 4, 1, 2};
  copies = weight_copies(sizes, 4);
  BOOST_TEST((copies == std::vector<weight_copy>{list({0, 1}), list({2, 3})}));
}

BOOST_AUTO_TEST_CASE(replicas_take_the_copies_in_turn) {
  auto x = map_ranks(model({2, 1, 2, 1, 1}, 4), model({2, 1, 1, 1, 1}, 2, 3));
  BOOST_REQUIRE(x);
  BOOST_TEST((*x
              == pairs{pair_of(0, 0, 0), pair_of(1, 0, 1), pair_of(2, 1, 0),
                       pair_of(3, 1, 1), pair_of(0, 2, 0), pair_of(1, 2, 1)}));
}

BOOST_AUTO_TEST_CASE(two_ranks_feed_two_replicas_across) {
  // policy_trainer with two data-parallel ranks, policy with two replicas.
  rank_map_options colocated{true, placement_order::reversed};
  auto x = map_ranks(model({}, 2), model({}, 1, 2), colocated);
  BOOST_REQUIRE(x);
  BOOST_TEST((*x == pairs{pair_of(1, 0, 0), pair_of(0, 1, 0)}));
  colocated.order = placement_order::aligned;
  x = map_ranks(model({}, 2), model({}, 1, 2), colocated);
  BOOST_REQUIRE(x);
  BOOST_TEST((*x == pairs{pair_of(0, 0, 0), pair_of(1, 1, 0)}));
}

BOOST_AUTO_TEST_CASE(stages_of_the_source_fold_into_those_of_the_destination) {
  auto x = map_ranks(model({2, 2, 1, 1, 1}, 4), model({2, 1, 1, 1, 1}, 2));
  BOOST_REQUIRE(x);
  BOOST_TEST((*x
              == pairs{pair_of(0, 0, 0), pair_of(1, 0, 1), pair_of(2, 0, 0),
                       pair_of(3, 0, 1)}));
}

BOOST_AUTO_TEST_CASE(
  a_replica_with_data_parallelism_has_a_source_for_each_copy) {
  auto x = map_ranks(model({1, 1, 2, 1, 1}, 2), model({1, 1, 3, 1, 1}, 3));
  BOOST_REQUIRE(x);
  BOOST_TEST(
    (*x == pairs{pair_of(0, 0, 0), pair_of(1, 0, 1), pair_of(0, 0, 2)}));
}

BOOST_AUTO_TEST_CASE(layouts_that_differ_are_refused) {
  auto x = map_ranks(model({2}, 2), model({4}, 4));
  BOOST_REQUIRE(!x);
  BOOST_TEST((job_error_of(x.error()) == job_error::layouts_differ));
  x = map_ranks(model({1, 2}, 2), model({1, 4}, 4));
  BOOST_REQUIRE(!x);
  BOOST_TEST((job_error_of(x.error()) == job_error::not_divisible));
  x = map_ranks(model({3}, 4), model({3}, 3));
  BOOST_REQUIRE(!x);
  BOOST_TEST((job_error_of(x.error()) == job_error::not_divisible));
  x = map_ranks(model({0}, 4), model({1}, 3));
  BOOST_REQUIRE(!x);
  BOOST_TEST((job_error_of(x.error()) == job_error::bad_size));
}

BOOST_AUTO_TEST_CASE(an_odd_number_of_copies_meets_nobody) {
  // Reversed copies alone would pair rank 1 with replica 1 on device 1.
  job_spec job;
  job.models = {gpu_model("t", 3, 1, true), gpu_model("p", 3, 3)};
  job.colocation = {{"t", "p"}};
  job.syncs = {{"t", "p", 1}};
  auto machines = cluster::uniform(1, 3);
  auto plan = place(job, machines);
  BOOST_REQUIRE(plan);
  auto x = map_ranks(*plan, job, "t", "p");
  BOOST_REQUIRE(x);
  BOOST_TEST(
    (*x == pairs{pair_of(2, 0, 0), pair_of(0, 1, 0), pair_of(0, 2, 0)}));
  BOOST_TEST(!map_ranks(*plan, job, "t", "nobody").has_value());
}

BOOST_AUTO_TEST_CASE(every_destination_rank_is_fed_and_never_from_its_device) {
  const std::uint32_t seed = 4711;
  BOOST_TEST_MESSAGE("seed " << seed);
  dice roll{seed};
  for (int round = 0; round < 3000; ++round) {
    auto tensor = roll(1, 4);
    auto to_stages = roll(1, 2);
    auto fold = roll(1, 2);
    auto copies = roll(1, 6);
    job_spec job;
    auto t = gpu_model("t", tensor * to_stages * fold * copies, 1, true);
    t.parallel.tensor = tensor;
    t.parallel.pipeline = to_stages * fold;
    auto replicas = roll(1, 8);
    auto p = gpu_model("p", tensor * to_stages * replicas, replicas);
    p.parallel.tensor = tensor;
    p.parallel.pipeline = to_stages;
    job.models = {t, p};
    if (roll.coin())
      job.colocation = {{"t", "p"}};
    job.syncs = {{"t", "p", 1}};
    job.order = roll.coin() ? placement_order::reversed
                            : placement_order::aligned;
    auto machines = cluster::uniform(24, roll(1, 8));
    auto plan = place(job, machines);
    if (!plan)
      continue;
    auto x = map_ranks(*plan, job, "t", "p");
    BOOST_REQUIRE(x);
    // Each destination rank hears from `fold` stages, of the right tensor
    // coordinate, all of one copy.
    std::vector<std::vector<int>> fed(static_cast<std::size_t>(replicas),
                                      std::vector<int>(static_cast<std::size_t>(
                                                         tensor * to_stages),
                                                       0));
    const auto& sources = plan->find("t")->replicas[0].ranks;
    std::vector<bool> met(static_cast<std::size_t>(replicas), false);
    for (const auto& pair : *x) {
      auto r = static_cast<std::size_t>(pair.replica.value());
      auto to = static_cast<std::size_t>(pair.destination.value());
      auto from = static_cast<std::size_t>(pair.source.value());
      ++fed[r][to];
      BOOST_REQUIRE_EQUAL(pair.source.value() % tensor,
                          pair.destination.value() % tensor);
      BOOST_REQUIRE_EQUAL(pair.source.value() / tensor / copies / fold,
                          pair.destination.value() / tensor);
      if (plan->find("p")->replicas[r].ranks[to].devices[0]
          == sources[from].devices[0])
        met[r] = true;
    }
    for (const auto& replica : fed)
      for (auto count : replica)
        BOOST_REQUIRE_EQUAL(count, fold);
    if (job.order == placement_order::aligned)
      continue;
    // A replica that meets its source could not avoid it: every copy of the
    // weights would meet it.
    for (std::size_t r = 0; r < met.size(); ++r) {
      if (!met[r])
        continue;
      const auto& ranks = plan->find("p")->replicas[r].ranks;
      for (std::int32_t copy = 0; copy < copies; ++copy) {
        bool meets = false;
        for (std::size_t i = 0; i < ranks.size(); ++i)
          for (std::int32_t f = 0; f < fold; ++f) {
            auto rank = static_cast<std::int32_t>(i);
            auto stage = rank / tensor * fold + f;
            auto from = rank % tensor + tensor * (copy + copies * stage);
            meets = meets
                    || sources[static_cast<std::size_t>(from)].devices[0]
                         == ranks[i].devices[0];
          }
        BOOST_REQUIRE(meets);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
