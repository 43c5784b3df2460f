// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/one_more.hpp"

#include <random>

#include <boost/test/unit_test.hpp>
#include <fmt/core.h>

using namespace troupe;
using planner::cluster;
using planner::job_spec;
using planner::model_spec;
using planner::place_one_more;

namespace {

model_spec on_devices(std::string name, std::int32_t replicas,
                      std::int32_t tensor = 1, std::int32_t each = 1) {
  model_spec x;
  x.name = std::move(name);
  x.num_replica = replicas;
  x.parallel.tensor = tensor;
  x.gpu_per_process = each;
  x.num_gpu = replicas * tensor * each;
  return x;
}

std::vector<std::int32_t> devices_of(const planner::replica_place& x) {
  std::vector<std::int32_t> out;
  for (const auto& rank : x.ranks)
    for (auto device : rank.devices)
      out.push_back(device.value());
  return out;
}

using numbers = std::vector<std::int32_t>;

} // namespace

BOOST_AUTO_TEST_SUITE(one_more)

BOOST_AUTO_TEST_CASE(free_devices_come_first) {
  job_spec job;
  job.models = {on_devices("trainer", 2), on_devices("policy", 1)};
  auto machines = cluster::uniform(1, 4);
  auto plan = planner::place(job, machines).value();
  auto held = devices_of(plan.find("policy")->replicas.front());
  auto more = place_one_more(plan, job, machines, "policy").value();
  BOOST_TEST(devices_of(more) == (numbers{3}),
             boost::test_tools::per_element());
  BOOST_TEST(held.front() != 3);
}

BOOST_AUTO_TEST_CASE(a_device_is_shared_with_other_models_if_none_is_free) {
  job_spec job;
  job.models = {on_devices("trainer", 1), on_devices("policy", 1)};
  auto machines = cluster::uniform(1, 2);
  auto plan = planner::place(job, machines).value();
  auto held = devices_of(plan.find("trainer")->replicas.front());
  auto more = place_one_more(plan, job, machines, "policy").value();
  BOOST_TEST(devices_of(more) == held, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_device_never_holds_a_model_twice) {
  job_spec job;
  job.models = {on_devices("policy", 2)};
  auto machines = cluster::uniform(1, 2);
  auto plan = planner::place(job, machines).value();
  auto more = place_one_more(plan, job, machines, "policy");
  BOOST_REQUIRE(!more);
  BOOST_TEST((more.error().code() == errc::exhausted));
  BOOST_TEST(more.error().message()
             == "another replica of policy needs a device that holds none "
                "already, and there is none");
}

BOOST_AUTO_TEST_CASE(a_replica_stays_on_one_node) {
  job_spec job;
  job.models = {on_devices("policy", 1, 2)};
  auto machines = cluster::uniform(2, 3);
  auto plan = planner::place(job, machines).value();
  // One device is left on the first node, three on the second.
  auto more = place_one_more(plan, job, machines, "policy").value();
  BOOST_TEST(devices_of(more) == (numbers{3, 4}),
             boost::test_tools::per_element());
  for (const auto& rank : more.ranks)
    BOOST_TEST(rank.node.value() == 1);
}

BOOST_AUTO_TEST_CASE(a_cpu_model_goes_where_it_stands_least) {
  job_spec job;
  model_spec reward;
  reward.name = "reward";
  reward.num_cpu = 1;
  reward.cpu_per_process = 1;
  job.models = {reward};
  auto machines = cluster::uniform(2, 1, 4);
  auto plan = planner::place(job, machines).value();
  auto first = plan.models.front().replicas.front().ranks.front().node.value();
  auto more = place_one_more(plan, job, machines, "reward").value();
  BOOST_TEST(more.ranks.front().node.value() == 1 - first);
  BOOST_TEST(more.ranks.front().devices.empty());
}

BOOST_AUTO_TEST_CASE(a_model_that_is_not_there_is_an_error) {
  auto more = place_one_more({}, {}, cluster::uniform(1, 1), "policy");
  BOOST_REQUIRE(!more);
  BOOST_TEST((more.error().code() == errc::invalid));
}

// What the verifier, which knows nothing of this rule, thinks of it.
BOOST_AUTO_TEST_CASE(plans_that_grow_stay_sound) {
  auto seed = std::random_device{}();
  BOOST_TEST_MESSAGE("one_more: seed " << seed);
  std::mt19937 random{seed};
  auto pick = [&](int least, int most) {
    return std::uniform_int_distribution<std::int32_t>{least, most}(random);
  };
  auto grown = 0;
  for (auto round = 0; round < 300; ++round) {
    job_spec job;
    auto count = pick(1, 3);
    for (auto i = 0; i < count; ++i)
      job.models.push_back(on_devices(fmt::format("m{}", i), pick(1, 3),
                                      1 << pick(0, 1), pick(1, 2)));
    auto machines = cluster::uniform(pick(1, 3), pick(1, 8));
    auto placed = planner::place(job, machines);
    if (!placed)
      continue;
    auto plan = *placed;
    for (auto step = 0; step < 4; ++step) {
      auto i = static_cast<std::size_t>(pick(0, count - 1));
      auto& spec = job.models[i];
      auto more = place_one_more(plan, job, machines, spec.name);
      if (!more)
        continue;
      plan.models[i].replicas.push_back(*more);
      spec.num_gpu += spec.num_gpu / spec.num_replica;
      ++spec.num_replica;
      ++grown;
    }
    // It has not promised a pack, and knows no colocation.
    for (const auto& line : planner::verify(plan, job, machines))
      if (line.find("twice") != std::string::npos
          || line.find("node") != std::string::npos)
        BOOST_ERROR(line);
  }
  BOOST_TEST(grown > 0);
}

BOOST_AUTO_TEST_SUITE_END()
