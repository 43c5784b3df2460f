// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/search_space.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "planner/sample_job.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;

namespace {

plan_problem sample_problem(std::uint64_t memory_bytes = 0) {
  sample_job sample;
  plan_problem x;
  x.job = sample.job;
  x.profiles = sample.profiles;
  x.machines = machines_of(1, 8, memory_bytes);
  return x;
}

job_spec job_of(std::size_t models) {
  job_spec job;
  for (std::size_t i = 0; i < models; ++i)
    job.models.push_back(spec_of(fmt::format("m{}", i), 1, 1, 1));
  return job;
}

std::set<std::pair<int, int>> sizes(const std::vector<size_option>& options,
                                    bool trained) {
  std::set<std::pair<int, int>> out;
  for (const auto& x : options)
    out.insert({x.spec.parallel.tensor,
                trained ? x.spec.parallel.data : x.spec.num_replica});
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(search_space)

BOOST_AUTO_TEST_CASE(every_partition_is_a_colocation_once) {
  // Bell numbers.
  for (auto [models, count] : {std::pair<std::size_t, std::size_t>{1, 1},
                               {2, 2},
                               {3, 5},
                               {4, 15},
                               {8, 4140}}) {
    auto found = colocations_of(job_of(models));
    BOOST_TEST(found.size() == count);
    std::set<std::vector<std::vector<std::size_t>>> distinct;
    for (auto x : found) {
      for (auto& group : x)
        std::sort(group.begin(), group.end());
      std::sort(x.begin(), x.end());
      distinct.insert(x);
    }
    BOOST_TEST(distinct.size() == count);
  }
}

BOOST_AUTO_TEST_CASE(the_given_colocation_comes_first) {
  auto job = job_of(3);
  job.colocation = {{"m2", "m0"}};
  auto found = colocations_of(job);
  BOOST_REQUIRE(found.size() == 5u);
  BOOST_TEST((names_of(job, found.front()) == job.colocation));
}

BOOST_AUTO_TEST_CASE(many_models_are_tried_together_and_alone) {
  auto found = colocations_of(job_of(max_partitioned_models + 1));
  BOOST_REQUIRE(found.size() == 2u);
  // Given is none together, so the other is all together.
  BOOST_TEST(found[0].size() == max_partitioned_models + 1);
  BOOST_TEST(found[1].size() == 1u);
}

BOOST_AUTO_TEST_CASE(cpu_models_are_in_no_colocation) {
  auto job = job_of(2);
  job.models[1].num_gpu = 0;
  job.models[1].num_cpu = 1;
  BOOST_REQUIRE(job.models[1].on_cpu());
  auto found = colocations_of(job);
  BOOST_TEST(found.size() == 1u);
  BOOST_TEST(found.front().size() == 1u);
}

BOOST_AUTO_TEST_CASE(sizes_are_powers_of_two_that_fit_and_the_given_ones) {
  auto problem = sample_problem();
  auto trained = size_options(problem, problem.job.models[0]);
  std::set<std::pair<int, int>> expected;
  for (int tensor : {1, 2, 4, 8})
    for (int data = 1; tensor * data <= 8; data *= 2)
      expected.insert({tensor, data});
  BOOST_TEST((sizes(trained, true) == expected));
  BOOST_TEST(
    (sizes(size_options(problem, problem.job.models[1]), false) == expected));
  for (const auto& x : trained)
    BOOST_TEST(x.spec.num_gpu == x.spec.parallel.world() * x.spec.num_replica);
  BOOST_TEST(std::is_sorted(trained.begin(), trained.end(),
                            [](const auto& a, const auto& b) {
                              return a.least_seconds < b.least_seconds;
                            }));
}

BOOST_AUTO_TEST_CASE(a_tensor_size_divides_the_attention_heads) {
  auto problem = sample_problem();
  problem.profiles[1].shape->num_attention_heads = 6;
  for (const auto& x : size_options(problem, problem.job.models[1]))
    BOOST_TEST(6 % x.spec.parallel.tensor == 0);
}

BOOST_AUTO_TEST_CASE(sizes_that_fit_no_device_are_left_out) {
  // 8 B parameters with AdamW in mixed precision take about 16 bytes each.
  auto roomy = size_options(sample_problem(), sample_job{}.job.models[0]);
  auto problem = sample_problem(std::uint64_t{48} << 30);
  auto tight = size_options(problem, problem.job.models[0]);
  BOOST_TEST(!tight.empty());
  BOOST_TEST(tight.size() < roomy.size());
  for (const auto& x : tight)
    BOOST_TEST(x.spec.parallel.tensor > 1);
}

BOOST_AUTO_TEST_CASE(a_model_without_profile_keeps_its_sizes) {
  auto problem = sample_problem();
  problem.profiles.clear();
  auto found = size_options(problem, problem.job.models[1]);
  BOOST_REQUIRE(found.size() == 1u);
  BOOST_TEST((found.front().spec == problem.job.models[1]));
}

BOOST_AUTO_TEST_SUITE_END()
