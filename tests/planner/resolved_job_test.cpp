// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/resolved_job.hpp"

#include <limits>

#include <boost/test/unit_test.hpp>

#include "planner/jobs.hpp"
#include "troupe/planner/job_error.hpp"
#include "troupe/planner/placement.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;

namespace {

constexpr auto huge = std::numeric_limits<std::int32_t>::max();

job_spec good_job() {
  job_spec job;
  job.models = {gpu_model("trainer", 4, 1, true), gpu_model("policy", 4, 2),
                gpu_model("critic", 2), cpu_model("reward", 2)};
  job.colocation = {{"trainer", "policy"}};
  job.syncs = {{"trainer", "policy", 1}};
  return job;
}

/// The code that a changed job is refused with; the message must say more than
/// the code.
template <class F>
std::string refused(F change) {
  auto job = good_job();
  change(job);
  auto plan = place(job, cluster::uniform(1, 8));
  if (plan)
    return "placed";
  auto code = job_error_of(plan.error());
  if (!code)
    return plan.error().message();
  BOOST_TEST((plan.error().code() == reaction(*code)));
  BOOST_TEST(plan.error().message().size() > 30u);
  return std::string{to_string(*code)};
}

} // namespace

BOOST_AUTO_TEST_SUITE(resolved_job)

BOOST_AUTO_TEST_CASE(a_good_job_is_resolved) {
  auto jobs = resolve(good_job());
  BOOST_REQUIRE(jobs);
  BOOST_TEST(jobs->groups.size() == 3u);
  BOOST_TEST(jobs->required == 6);
  BOOST_TEST(jobs->num_colocation == 1);
}

BOOST_AUTO_TEST_CASE(names_must_be_unique_and_known) {
  BOOST_TEST(refused([](auto& j) { j.models[0].name.clear(); })
             == "empty-name");
  BOOST_TEST(refused([](auto& j) { j.models[2].name = "policy"; })
             == "duplicate-name");
  BOOST_TEST(refused([](auto& j) { j.colocation[0].push_back("polcy"); })
             == "unknown-model");
  BOOST_TEST(refused([](auto& j) { j.syncs[0].source = "trainr"; })
             == "unknown-model");
  BOOST_TEST(refused([](auto& j) { j.colocation.push_back({"policy"}); })
             == "in-two-groups");
  BOOST_TEST(refused([](auto& j) { j.colocation[0].push_back("policy"); })
             == "in-two-groups");
  BOOST_TEST(refused([](auto& j) { j.colocation.emplace_back(); })
             == "empty-group");
}

BOOST_AUTO_TEST_CASE(sizes_must_be_possible) {
  BOOST_TEST(refused([](auto& j) { j.models[0].num_gpu = -4; }) == "bad-size");
  BOOST_TEST(refused([](auto& j) { j.models[3].num_cpu = -1; }) == "bad-size");
  BOOST_TEST(refused([](auto& j) { j.models[1].num_replica = 0; })
             == "bad-size");
  BOOST_TEST(refused([](auto& j) { j.models[1].gpu_per_process = 0; })
             == "bad-size");
  BOOST_TEST(refused([](auto& j) { j.models[1].parallel.tensor = 0; })
             == "bad-size");
  BOOST_TEST(refused([](auto& j) { j.models[1].parallel.expert = -1; })
             == "bad-size");
  BOOST_TEST(refused([](auto& j) { j.models[3].cpu_per_process = 9; })
             == "bad-size");
  BOOST_TEST(refused([](auto& j) { j.models[0].num_gpu = 0; })
             == "no-processor");
}

BOOST_AUTO_TEST_CASE(sizes_must_divide) {
  BOOST_TEST(refused([](auto& j) { j.models[1].num_replica = 3; })
             == "not-divisible");
  BOOST_TEST(refused([](auto& j) { j.models[0].parallel.tensor = 3; })
             == "not-divisible");
  BOOST_TEST(refused([](auto& j) { j.models[0].parallel.expert = 3; })
             == "not-divisible");
  BOOST_TEST(refused([](auto& j) { j.models[0].gpu_per_process = 3; })
             == "not-divisible");
}

BOOST_AUTO_TEST_CASE(sizes_must_not_overflow) {
  BOOST_TEST(refused([](auto& j) {
               j.models[0].parallel = {huge, huge, huge, huge, 1};
             })
             == "size-overflow");
  BOOST_TEST(refused([](auto& j) {
               j.models[3].num_replica = huge;
               j.models[3].cpu_per_process = 0;
             })
             == "size-overflow");
  BOOST_TEST(refused([](auto& j) { j.models[2].num_gpu = huge; })
             == "size-overflow");
}

BOOST_AUTO_TEST_CASE(devices_must_suffice) {
  BOOST_TEST(refused([](auto& j) { j.models[2].num_gpu = 5; })
             == "not-enough-devices");
  job_spec job;
  job.models = {cpu_model("reward", 1)};
  BOOST_TEST(!place(job, cluster{}).has_value());
}

BOOST_AUTO_TEST_CASE(syncs_must_make_sense) {
  BOOST_TEST(refused([](auto& j) { j.syncs[0].frequency = -1; })
             == "negative-frequency");
  BOOST_TEST(refused([](auto& j) { j.syncs.push_back(j.syncs[0]); })
             == "duplicate-sync");
  BOOST_TEST(refused([](auto& j) { j.syncs[0].source = "policy"; })
             == "sync-with-itself");
  BOOST_TEST(refused([](auto& j) {
               j.syncs.push_back({"policy", "critic", 1});
               j.syncs.push_back({"critic", "trainer", 1});
             })
             == "sync-cycle");
}

BOOST_AUTO_TEST_CASE(a_cycle_is_spelled_out) {
  auto job = good_job();
  job.syncs = {{"trainer", "reward", 1},
               {"policy", "critic", 1},
               {"critic", "policy", 1},
               {"critic", "trainer", 1}};
  auto plan = place(job, cluster::uniform(1, 8));
  BOOST_REQUIRE(!plan);
  const auto& text = plan.error().message();
  auto has = [&](const char* part) {
    return text.find(part) != std::string::npos;
  };
  BOOST_TEST((has("critic -> policy -> critic")
              || has("policy -> critic -> policy")),
             text);
}

BOOST_AUTO_TEST_CASE(hostile_jobs_never_crash) {
  const std::uint32_t seed = 31337;
  BOOST_TEST_MESSAGE("seed " << seed);
  dice roll{seed};
  auto number = [&]() -> std::int32_t {
    constexpr std::int32_t values[] = {std::numeric_limits<std::int32_t>::min(),
                                       -1,
                                       0,
                                       1,
                                       1,
                                       1,
                                       2,
                                       3,
                                       8,
                                       1 << 16,
                                       huge};
    return values[roll(0, 10)];
  };
  int placed = 0;
  for (int round = 0; round < 20000; ++round) {
    job_spec job;
    for (auto n = roll(0, 3); n > 0; --n) {
      model_spec x;
      x.name = std::string(1, static_cast<char>('a' + roll(0, 4)));
      x.num_gpu = number();
      x.num_replica = roll.coin() ? 1 : number();
      x.gpu_per_process = roll.coin() ? 1 : number();
      x.num_cpu = roll.coin() ? 0 : number();
      x.cpu_per_process = roll.coin() ? 0 : number();
      if (roll.coin())
        x.parallel = {number(), number(), number(), number(), number()};
      job.models.push_back(x);
    }
    for (auto n = roll(0, 2); n > 0; --n)
      job.colocation.push_back({std::string(1, static_cast<char>('a' + n))});
    if (roll.coin())
      job.syncs.push_back({"a", "b", number()});
    auto machines = cluster::uniform(roll(0, 3), roll(0, 9));
    auto plan = place(job, machines);
    if (!plan) {
      BOOST_REQUIRE(job_error_of(plan.error()).has_value());
      continue;
    }
    ++placed;
    BOOST_REQUIRE(verify(*plan, job, machines).empty());
  }
  BOOST_TEST(placed > 100);
}

BOOST_AUTO_TEST_SUITE_END()
