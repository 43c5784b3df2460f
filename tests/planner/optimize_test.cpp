// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/optimize.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <random>

#include <fmt/format.h>

#include "planner/sample_job.hpp"
#include "planner/simple_place.hpp"
#include "support/random_seed.hpp"
#include "troupe/planner/search_space.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;
using namespace std::chrono_literals;

namespace {

plan_problem sample_problem(std::int32_t nodes, std::int32_t devices,
                            std::uint64_t memory) {
  sample_job sample;
  plan_problem x;
  x.job = sample.job;
  x.profiles = sample.profiles;
  x.machines = machines_of(nodes, devices, memory);
  return x;
}

deadline soon() {
  return deadline::after(30s);
}

/// Every candidate of the space, placed and predicted, without any bound.
std::vector<double> brute_force(const plan_problem& problem) {
  std::vector<std::vector<size_option>> choices;
  for (const auto& model : problem.job.models)
    choices.push_back(size_options(problem, model));
  std::vector<double> times;
  for (const auto& x : choices)
    if (x.empty())
      return times;
  for (const auto& groups : colocations_of(problem.job))
    for (auto order : {placement_order::reversed, placement_order::aligned}) {
      std::vector<std::size_t> at(choices.size(), 0);
      for (bool more = true; more;) {
        auto job = problem.job;
        job.order = order;
        job.colocation = names_of(problem.job, groups);
        for (std::size_t i = 0; i < at.size(); ++i)
          job.models[i] = choices[i][at[i]].spec;
        auto x = evaluate_candidate(problem, job, problem.profiles,
                                    simple_place);
        if (!x && x.error().code() == errc::exhausted) {
          auto profiles = problem.profiles;
          for (auto& profile : profiles)
            for (const auto& group : job.colocation)
              if (std::count(group.begin(), group.end(), profile.name) > 0)
                profile.offload = true;
          x = evaluate_candidate(problem, job, profiles, simple_place);
        }
        if (x)
          times.push_back(x->prediction.total());
        more = false;
        for (std::size_t i = 0; i < at.size() && !more; ++i) {
          more = ++at[i] < choices[i].size();
          if (!more)
            at[i] = 0;
        }
      }
    }
  std::sort(times.begin(), times.end());
  return times;
}

void check_against_brute_force(const plan_problem& problem) {
  optimize_options options;
  options.keep = 4;
  auto found = planner::optimize(problem, simple_place, soon(), options);
  BOOST_REQUIRE(found);
  BOOST_REQUIRE(found->complete);
  auto times = brute_force(problem);
  if (found->given)
    times.erase(std::lower_bound(times.begin(), times.end(),
                                 found->given->prediction.total()),
                times.end());
  auto want = std::min(times.size(), options.keep);
  BOOST_REQUIRE_EQUAL(found->best.size(), want);
  for (std::size_t i = 0; i < want; ++i)
    BOOST_REQUIRE_EQUAL(found->best[i].prediction.total(), times[i]);
}

} // namespace

BOOST_AUTO_TEST_SUITE(optimize)

BOOST_AUTO_TEST_CASE(partitions_are_all_there_once) {
  auto problem = sample_problem(1, 8, 0);
  // Bell(3) = 5, Bell(4) = 15.
  BOOST_TEST(colocations_of(problem.job).size() == 5u);
  problem.job.models.push_back(spec_of("value", 1, 1, 1));
  BOOST_TEST(colocations_of(problem.job).size() == 15u);
  BOOST_TEST(colocations_of(problem.job).front().front().size() == 3u);
  for (int i = 0; i < 5; ++i)
    problem.job.models.push_back(spec_of(fmt::format("m{}", i), 1, 1, 1));
  BOOST_TEST(colocations_of(problem.job).size() == 3u);
}

BOOST_AUTO_TEST_CASE(the_best_is_that_of_brute_force) {
  for (auto gibs : {0u, 80u, 44u, 30u})
    check_against_brute_force(sample_problem(1, 4, gibs * gib));
}

BOOST_AUTO_TEST_CASE(random_problems_agree_with_brute_force) {
  const auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  BOOST_TEST_CONTEXT("seed " << seed) {
    std::mt19937 random{seed};
    auto pick = [&random](int least, int most) {
      return std::uniform_int_distribution<int>{least, most}(random);
    };
    for (int round = 0; round < 12; ++round) {
      auto problem = sample_problem(pick(1, 2), pick(2, 4),
                                    static_cast<std::uint64_t>(pick(0, 3)) * 25
                                      * gib);
      problem.work.samples = pick(1, 600);
      problem.work.response_tokens = pick(1, 2000);
      problem.work.batches = pick(1, 4);
      problem.costs.domain_bandwidth = 1e9 * pick(1, 400);
      problem.costs.node_bandwidth = 1e9 * pick(1, 400);
      problem.costs.nic_bandwidth = 1e9 * pick(1, 400);
      for (auto& model : problem.job.models)
        model.num_gpu = std::min(model.num_gpu, 4);
      check_against_brute_force(problem);
    }
  }
}

BOOST_AUTO_TEST_CASE(better_plans_say_why) {
  auto problem = sample_problem(1, 8, 80 * gib);
  auto found = planner::optimize(problem, simple_place, soon());
  BOOST_REQUIRE(found);
  BOOST_REQUIRE(found->given);
  BOOST_REQUIRE(!found->best.empty());
  BOOST_TEST_MESSAGE("given " << found->given->prediction.total() << " s, "
                              << found->evaluated << " evaluated, "
                              << found->bounded << " bounded");
  double before = 0;
  for (const auto& x : found->best) {
    BOOST_TEST_MESSAGE(x.prediction.total() << " s");
    for (const auto& reason : x.reasons)
      BOOST_TEST_MESSAGE("  " << reason);
    BOOST_TEST(x.prediction.total() < found->given->prediction.total());
    BOOST_TEST(x.prediction.total() >= before);
    before = x.prediction.total();
    BOOST_TEST(x.reasons.size() >= 2u);
    BOOST_TEST(x.peak_bytes <= 80 * gib);
  }
}

BOOST_AUTO_TEST_CASE(a_plan_that_cannot_run_is_replaced_by_one_that_can) {
  auto problem = sample_problem(1, 8, 48 * gib);
  auto found = planner::optimize(problem, simple_place, soon());
  BOOST_REQUIRE(found);
  BOOST_TEST(!found->given);
  BOOST_TEST(found->given_problem.find("exhausted: device 0")
             != std::string::npos);
  BOOST_REQUIRE(!found->best.empty());
  BOOST_TEST(found->best[0].reasons[0] == "it can run, the given plan cannot");
}

BOOST_AUTO_TEST_CASE(the_same_problem_has_the_same_answer) {
  auto problem = sample_problem(2, 8, 80 * gib);
  optimize_options options;
  options.max_evaluated = 500;
  auto a = planner::optimize(problem, simple_place, soon(), options);
  auto b = planner::optimize(problem, simple_place, soon(), options);
  BOOST_REQUIRE(a && b);
  BOOST_REQUIRE_EQUAL(a->best.size(), b->best.size());
  for (std::size_t i = 0; i < a->best.size(); ++i) {
    BOOST_TEST((a->best[i].job == b->best[i].job));
    BOOST_TEST((a->best[i].plan == b->best[i].plan));
  }
}

BOOST_AUTO_TEST_CASE(what_is_found_is_sound_under_the_real_strategy) {
  auto problem = sample_problem(2, 8, 80 * gib);
  optimize_options options;
  options.max_evaluated = 2000;
  auto found = planner::optimize(problem, planner::place, soon(), options);
  BOOST_REQUIRE(found);
  BOOST_REQUIRE_MESSAGE(found->given, found->given_problem);
  BOOST_TEST(!found->best.empty());
  for (const auto& x : found->best)
    for (const auto& problem_found : verify(x.plan, x.job, problem.machines))
      BOOST_ERROR(problem_found);
}

BOOST_AUTO_TEST_CASE(a_budget_ends_the_search) {
  auto problem = sample_problem(4, 8, 80 * gib);
  optimize_options options;
  options.max_evaluated = 3;
  auto few = planner::optimize(problem, simple_place, soon(), options);
  BOOST_REQUIRE(few);
  BOOST_TEST(few->evaluated <= 3u);
  BOOST_TEST(!few->complete);
  manual_clock clock;
  auto passed = deadline::after(0s, clock);
  auto none = planner::optimize(problem, simple_place, passed);
  BOOST_REQUIRE(none);
  BOOST_TEST(none->evaluated <= 256u);
  BOOST_TEST(!none->complete);
}

BOOST_AUTO_TEST_CASE(impossible_problems_are_errors) {
  auto refused = [](const plan_problem& problem) {
    auto x = planner::optimize(problem, simple_place, soon());
    return !x && x.error().code() == errc::invalid;
  };
  auto problem = sample_problem(1, 8, 0);
  problem.work.samples = -1;
  BOOST_TEST(refused(problem));
  problem = sample_problem(1, 8, 0);
  problem.machines = {};
  BOOST_TEST(refused(problem));
  // Nothing fits: no error, but no candidate either.
  problem = sample_problem(1, 2, gib);
  auto found = planner::optimize(problem, simple_place, soon());
  BOOST_REQUIRE(found);
  BOOST_TEST(!found->given);
  BOOST_TEST(found->best.empty());
}

BOOST_AUTO_TEST_SUITE_END()
