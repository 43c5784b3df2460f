// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/candidate.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>

#include "planner/sample_job.hpp"
#include "planner/simple_place.hpp"
#include "support/why.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;

namespace {

plan_problem sample_problem(std::uint64_t memory_bytes) {
  sample_job sample;
  plan_problem x;
  x.job = sample.job;
  x.profiles = sample.profiles;
  x.machines = machines_of(1, 8, memory_bytes);
  return x;
}

result<plan_candidate> evaluate(const plan_problem& x) {
  return evaluate_candidate(x, x.job, x.profiles, simple_place);
}

bool says(const std::vector<std::string>& sentences, std::string_view part) {
  return std::ranges::any_of(sentences, [&](const std::string& x) {
    return x.find(part) != std::string::npos;
  });
}

} // namespace

BOOST_AUTO_TEST_SUITE(candidate)

BOOST_AUTO_TEST_CASE(a_candidate_is_placed_weighed_and_timed) {
  auto x = evaluate(sample_problem(std::uint64_t{80} << 30));
  BOOST_REQUIRE_MESSAGE(x, test::why(x));
  BOOST_TEST(x->plan.models.size() == 3u);
  BOOST_TEST(x->peak_bytes > 0u);
  BOOST_TEST(x->peak_bytes <= (std::uint64_t{80} << 30));
  BOOST_TEST(x->prediction.total() > 0);
}

BOOST_AUTO_TEST_CASE(memory_that_does_not_suffice_names_the_device) {
  auto x = evaluate(sample_problem(std::uint64_t{8} << 30));
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::exhausted));
  BOOST_TEST(x.error().message().find("device ") == 0u);
  BOOST_TEST(
    x.error().message().find("of its " + format_bytes(std::uint64_t{8} << 30))
    != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_candidate_is_like_itself) {
  auto x = evaluate(sample_problem(0));
  BOOST_REQUIRE(x);
  BOOST_TEST(compare_candidates(*x, *x).empty());
}

BOOST_AUTO_TEST_CASE(every_difference_is_a_sentence) {
  auto problem = sample_problem(0);
  auto given = evaluate(problem);
  BOOST_REQUIRE(given);
  auto other = problem;
  other.job.models[1] = spec_of("policy", 1, 1, 8);
  other.job.colocation = {{"policy", "policy_trainer"}};
  other.job.models[2] = problem.job.models[2];
  other.job.order = placement_order::aligned;
  other.profiles[2].offload = !other.profiles[2].offload;
  auto sentences = describe_changes(problem.job, problem.profiles, other.job,
                                    other.profiles);
  BOOST_TEST(says(sentences, "policy: tensor 1, 8 replicas on 8 devices "
                             "instead of tensor 2, 4 replicas"));
  BOOST_TEST(says(sentences, "colocation: {policy, policy_trainer} instead"));
  BOOST_TEST(says(sentences, "placement: aligned instead of reversed"));
  BOOST_TEST(says(sentences, "reference: offload: "));
  BOOST_TEST(sentences.size() == 4u);
}

BOOST_AUTO_TEST_CASE(the_order_inside_a_colocation_says_nothing) {
  auto problem = sample_problem(0);
  auto job = problem.job;
  std::ranges::reverse(job.colocation.front());
  BOOST_TEST(
    describe_changes(problem.job, problem.profiles, job, problem.profiles)
      .empty());
}

BOOST_AUTO_TEST_CASE(what_is_slower_is_said_as_the_price) {
  auto fast = evaluate(sample_problem(0));
  BOOST_REQUIRE(fast);
  auto slow = *fast;
  slow.prediction.training_seconds *= 2;
  BOOST_TEST(says(compare_candidates(slow, *fast), "training takes only"));
  BOOST_TEST(
    says(compare_candidates(*fast, slow), "training takes, in return,"));
}

BOOST_AUTO_TEST_SUITE_END()
