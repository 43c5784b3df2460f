// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/prediction.hpp"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <limits>
#include <random>

#include "planner/sample_job.hpp"
#include "planner/simple_place.hpp"
#include "support/random_seed.hpp"
#include "support/why.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;

namespace {

iteration_prediction predict(const sample_job& sample, const cluster& machines,
                             const workload& work = {},
                             const cost_model& costs = {}) {
  auto plan = simple_place(sample.job, machines);
  BOOST_REQUIRE_MESSAGE(plan, test::why(plan));
  auto x = predict_iteration(*plan, sample.job, machines, sample.profiles, work,
                             costs);
  BOOST_REQUIRE_MESSAGE(x, test::why(x));
  return *x;
}

bool close(double a, double b) {
  return std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b));
}

constexpr auto on(link_class x) {
  return static_cast<std::size_t>(x);
}

} // namespace

BOOST_AUTO_TEST_SUITE(prediction)

BOOST_AUTO_TEST_CASE(scoring_takes_two_flops_a_parameter_and_token) {
  auto spec = spec_of("m", 1, 1, 4);
  auto profile = profile_of("m", model_role::score);
  workload work;
  cost_model costs;
  auto machines = machines_of(1, 8, 0);
  auto seconds = model_seconds(spec, profile, work, costs, machines.nodes[0]);
  auto n = static_cast<double>(profile.parameters.total());
  BOOST_TEST(close(seconds, 2 * n * 128 * 1536 / (989e12 * 0.5)));
}

BOOST_AUTO_TEST_CASE(decoding_reads_weights_and_cache_for_each_token) {
  auto spec = spec_of("m", 1, 1, 8);
  auto profile = profile_of("m", model_role::generate);
  workload work;
  cost_model costs;
  auto machines = machines_of(1, 8, 0);
  auto n = static_cast<double>(profile.parameters.total());
  auto step = (2 * n + 128.0 * 1024 * 64 * (512 + 512)) / (3.35e12 * 0.6);
  auto prefill = 2 * n * 64 * 512 / (989e12 * 0.5);
  BOOST_TEST(close(model_seconds(spec, profile, work, costs, machines.nodes[0]),
                   1024 * step + prefill));
  // Twice the samples: twice the waves.
  work.samples *= 2;
  BOOST_TEST(close(model_seconds(spec, profile, work, costs, machines.nodes[0]),
                   2 * (1024 * step + prefill)));
}

BOOST_AUTO_TEST_CASE(slower_links_take_longer) {
  auto spec = spec_of("m", 4, 2, 1);
  workload work;
  cost_model costs;
  auto machines = machines_of(1, 8, 0);
  for (auto role :
       {model_role::generate, model_role::score, model_role::train}) {
    auto profile = profile_of("m", role);
    double before = 0;
    for (auto link :
         {link_class::domain, link_class::node, link_class::network}) {
      auto now = model_seconds(spec, profile, work, costs, machines.nodes[0],
                               {link, link});
      BOOST_TEST(now > before);
      before = now;
    }
  }
}

BOOST_AUTO_TEST_CASE(full_recomputation_costs_a_third_more) {
  auto spec = spec_of("m", 1, 1, 1);
  auto profile = profile_of("m", model_role::train);
  workload work;
  cost_model costs;
  costs.memory_bandwidth = 1e30;
  auto machines = machines_of(1, 1, 0);
  auto selective = model_seconds(spec, profile, work, costs, machines.nodes[0]);
  profile.recompute = recompute_policy::full;
  auto full = model_seconds(spec, profile, work, costs, machines.nodes[0]);
  BOOST_TEST(close(full, selective * 8 / 6));
}

BOOST_AUTO_TEST_CASE(aligned_ranks_copy_on_their_device) {
  sample_job sample;
  sample.job.models[1] = spec_of("policy", 4, 1, 2);
  auto machines = machines_of(1, 8, 0);
  auto reversed = predict(sample, machines).syncs.front();
  BOOST_TEST(reversed.bytes_by_link[on(link_class::device)] == 0u);
  BOOST_TEST((reversed.slowest == link_class::domain));
  sample.job.order = placement_order::aligned;
  auto aligned = predict(sample, machines).syncs.front();
  BOOST_TEST(aligned.bytes == reversed.bytes);
  BOOST_TEST(aligned.bytes_by_link[on(link_class::device)] == aligned.bytes);
  BOOST_TEST(aligned.seconds < reversed.seconds);
  auto n = static_cast<double>(sample.profiles[1].parameters.total());
  BOOST_TEST(static_cast<double>(aligned.bytes) >= 4 * n);
  BOOST_TEST(static_cast<double>(aligned.bytes) < 4.01 * n);
}

BOOST_AUTO_TEST_CASE(the_network_is_used_only_where_no_holder_is_near) {
  sample_job sample;
  sample.job.models = {spec_of("policy_trainer", 8, 1, 1),
                       spec_of("policy", 8, 1, 2)};
  sample.job.colocation.clear();
  auto machines = machines_of(3, 8, 0);
  auto far = predict(sample, machines).syncs.front();
  BOOST_TEST(far.bytes_by_link[on(link_class::network)] == far.bytes);
  BOOST_TEST((far.slowest == link_class::network));
  // Both replicas leave through the one NIC of the trainer's node.
  BOOST_TEST(close(far.seconds, 5e-3 + static_cast<double>(far.bytes) / 45e9));
  machines.nodes[0].num_nic = 8;
  auto wider = predict(sample, machines).syncs.front();
  BOOST_TEST(
    close(wider.seconds, 5e-3 + static_cast<double>(far.bytes) / 2 / 45e9));
}

BOOST_AUTO_TEST_CASE(models_on_one_device_take_turns_others_do_not) {
  sample_job sample;
  auto machines = machines_of(3, 8, 0);
  auto together = predict(sample, machines);
  auto time = [&together](std::size_t i) { return together.models[i].total(); };
  BOOST_TEST(close(together.generation_seconds, time(1) + time(2)));
  BOOST_TEST(close(together.training_seconds, time(0)));
  BOOST_TEST(close(together.sync_seconds, together.syncs[0].seconds));
  workload streamed;
  streamed.batches = 4;
  BOOST_TEST(close(predict(sample, machines, streamed).generation_seconds,
                   time(1) + time(2)));
  sample.job.colocation.clear();
  auto apart = predict(sample, machines, streamed);
  auto slower = std::max(time(1), time(2));
  BOOST_TEST(
    close(apart.generation_seconds, (time(1) + time(2)) / 4 + slower * 3 / 4));
}

BOOST_AUTO_TEST_CASE(offload_costs_the_way_there_and_back) {
  sample_job sample;
  auto machines = machines_of(1, 8, 0);
  auto resident = predict(sample, machines);
  for (auto& profile : sample.profiles)
    profile.offload = true;
  auto away = predict(sample, machines);
  BOOST_TEST(resident.models[1].offload_seconds == 0.0);
  // 2 bytes a parameter, cut by a tensor size of 2, twice over 40 GB/s.
  auto n = static_cast<double>(sample.profiles[1].parameters.total());
  BOOST_TEST(away.models[1].offload_seconds > 2 * n / 40e9);
  BOOST_TEST(away.models[1].offload_seconds < 2.01 * n / 40e9);
  BOOST_TEST(away.total() > resident.total());
}

BOOST_AUTO_TEST_CASE(gradients_do_not_travel_in_an_offload) {
  auto spec = spec_of("m", 1, 1, 1);
  auto profile = profile_of("m", model_role::train);
  profile.offload = true;
  cost_model costs;
  // bfloat16 weights, and Adam with its float32 master copy; no gradients.
  auto bytes = (2 + 12) * static_cast<double>(profile.parameters.total());
  BOOST_TEST(close(offload_seconds(spec, profile, costs), 2 * bytes / 40e9));
  profile.gradients = dtype::bfloat16;
  BOOST_TEST(close(offload_seconds(spec, profile, costs), 2 * bytes / 40e9));
}

BOOST_AUTO_TEST_CASE(a_kv_cache_does_not_travel_in_an_offload) {
  auto spec = spec_of("m", 1, 1, 1);
  auto profile = profile_of("m", model_role::generate);
  profile.offload = true;
  cost_model costs;
  auto bytes = 2 * static_cast<double>(profile.parameters.total());
  BOOST_TEST(close(offload_seconds(spec, profile, costs), 2 * bytes / 40e9));
}

BOOST_AUTO_TEST_CASE(wrong_numbers_are_errors) {
  sample_job sample;
  auto machines = machines_of(1, 8, 0);
  auto plan = *simple_place(sample.job, machines);
  auto refused = [&](workload work, cost_model costs) {
    auto x = predict_iteration(plan, sample.job, machines, sample.profiles,
                               work, costs);
    return !x && x.error().code() == errc::invalid;
  };
  workload work;
  work.samples = 0;
  BOOST_TEST(refused(work, {}));
  cost_model costs;
  costs.nic_bandwidth = -1;
  BOOST_TEST(refused({}, costs));
  costs.nic_bandwidth = std::numeric_limits<double>::quiet_NaN();
  BOOST_TEST(refused({}, costs));
  BOOST_TEST(refused({}, cost_model{}) == false);
  plan.models[0].replicas[0].ranks.pop_back();
  BOOST_TEST(refused({}, {}));
  BOOST_TEST(!predict_iteration(plan, sample.job, {}, sample.profiles, {}));
}

BOOST_AUTO_TEST_CASE(random_syncs_move_what_the_destination_holds) {
  const auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  BOOST_TEST_CONTEXT("seed " << seed) {
    std::mt19937 random{seed};
    auto pick = [&random](std::int32_t most) {
      return std::uniform_int_distribution<std::int32_t>{1, most}(random);
    };
    auto machines = machines_of(16, 8, 0);
    for (int round = 0; round < 500; ++round) {
      sample_job sample;
      sample.job.models = {spec_of("policy_trainer", pick(4), pick(3), 1),
                           spec_of("policy", pick(6), 1, pick(4))};
      for (auto& model : sample.job.models) {
        model.parallel.pipeline = pick(3);
        model.num_gpu *= model.parallel.pipeline;
      }
      sample.job.colocation.clear();
      if (pick(2) == 1)
        sample.job.colocation.push_back({"policy_trainer", "policy"});
      auto x = predict(sample, machines).syncs.front();
      const auto& to = sample.job.models[1];
      std::uint64_t held = 0;
      for (std::int32_t stage = 0; stage < to.parallel.pipeline; ++stage)
        held += parameters_of_rank(sample.profiles[1].parameters, to.parallel,
                                   stage)
                  .total();
      auto ranks = static_cast<std::uint64_t>(to.parallel.tensor)
                   * static_cast<std::uint64_t>(to.num_replica);
      BOOST_REQUIRE_LE(std::abs(static_cast<double>(x.bytes)
                                - static_cast<double>(2 * held * ranks)),
                       8.0);
      std::uint64_t sum = 0;
      for (auto bytes : x.bytes_by_link)
        sum += bytes;
      BOOST_REQUIRE_LE(sum > x.bytes ? sum - x.bytes : x.bytes - sum, 4u);
      BOOST_REQUIRE_GT(x.seconds, 0);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
