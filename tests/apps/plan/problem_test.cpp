// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/problem.hpp"

#include <boost/test/unit_test.hpp>

#include "apps/plan/schema_for_plans.hpp"
#include "apps/plan/scratch_folder.hpp"
#include "support/why.hpp"
#include "troupe/actors/config/dump.hpp"
#include "troupe/actors/config/loader.hpp"
#include "troupe/core/units.hpp"

using namespace troupe;
using namespace troupe::planning;

namespace {

const std::string job = R"(app: grpo
models:
  policy_trainer:
    num_gpu: 2
    profile:
      num_parameters: 7000000000
      num_layers: 32
      weights_dtype: float16
      gradients_dtype: bfloat16
      optimizer: sgd
      distributed_optimizer: true
      recompute: full
      micro_batch_size: 4
  policy:
    num_gpu: 2
    sync_frequency: 3
    profile:
      num_parameters: 7000000000
      role: generate
      kv_cache_dtype: float32
      offload: true
      sequence_length: 4096
      concurrent_sequences: 16
  reference:
    num_gpu: 2
runtime:
  sample_per_episode: 96
workload:
  prompt_tokens: 100
  response_tokens: 200
  epochs: 2
)";

planner::plan_problem problem_of(std::string_view text,
                                 std::string_view nodes = {}) {
  scratch_folder folder;
  plan_arguments args;
  args.config_file = folder.write("job.yaml", text);
  if (!nodes.empty())
    args.nodes_file = folder.write("nodes.yaml", nodes);
  auto problem = load_problem(schema_for_plans(), args);
  BOOST_REQUIRE_MESSAGE(problem.has_value(), test::why(problem));
  return *problem;
}

} // namespace

BOOST_AUTO_TEST_SUITE(problem)

BOOST_AUTO_TEST_CASE(profiles_say_what_their_sections_say) {
  auto x = problem_of(job);
  BOOST_REQUIRE(x.profiles.size() == 2u);
  const auto& trainer = x.profiles[0];
  BOOST_TEST(trainer.name == "policy_trainer");
  BOOST_TEST(trainer.parameters.total() == 7'000'000'000u);
  BOOST_TEST(trainer.parameters.layers() == 32);
  BOOST_TEST((trainer.role == planner::model_role::train));
  BOOST_TEST((trainer.weights == dtype::float16));
  BOOST_TEST((trainer.gradients == dtype::bfloat16));
  BOOST_TEST((trainer.optimizer == planner::optimizer_kind::sgd));
  BOOST_TEST(trainer.distributed_optimizer);
  BOOST_TEST((trainer.recompute == planner::recompute_policy::full));
  BOOST_TEST(trainer.micro_batch == 4);
  BOOST_TEST(trainer.sequence_tokens == 300);
  BOOST_TEST((trainer.order == planner::rank_order::megatron));
  const auto& policy = x.profiles[1];
  BOOST_TEST((policy.role == planner::model_role::generate));
  BOOST_TEST((policy.kv_cache == dtype::float32));
  BOOST_TEST((policy.order == planner::rank_order::vllm));
  BOOST_TEST(policy.offload);
  BOOST_TEST(policy.sequence_tokens == 4096);
  BOOST_TEST(policy.concurrent_sequences == 16);
}

BOOST_AUTO_TEST_CASE(the_workload_follows_the_episode_where_it_is_silent) {
  auto x = problem_of(job);
  BOOST_TEST(x.work.samples == 96);
  BOOST_TEST(x.work.train_batch == 96);
  BOOST_TEST(x.work.epochs == 2);
  auto more = problem_of(job + "  samples: 768\n");
  BOOST_TEST(more.work.samples == 768);
  BOOST_TEST(more.work.train_batch == 768);
}

BOOST_AUTO_TEST_CASE(a_sync_has_its_destinations_frequency_or_happens_once) {
  auto x = problem_of(job);
  BOOST_REQUIRE(x.job.syncs.size() == 2u);
  BOOST_TEST(x.job.syncs[0].frequency == 3);
  BOOST_TEST(x.job.syncs[1].frequency == 0);
}

BOOST_AUTO_TEST_CASE(a_node_file_gives_nodes_links_and_costs) {
  auto x = problem_of(job, R"(nodes:
  - {name: big, count: 2, devices: 4, memory: 80 GiB, link_domains: 2, nics: 4}
  - {devices: 2, cpus: 16, host_memory: 1 TiB, link_domains: [3, 5]}
costs: {peak_tflops: 312, nic_gb_per_second: 20, collective_us: 30}
)");
  const auto& nodes = x.machines.nodes;
  BOOST_REQUIRE(nodes.size() == 3u);
  BOOST_TEST(nodes[0].name == "big0");
  BOOST_TEST(nodes[1].name == "big1");
  BOOST_TEST(nodes[2].name == "node2");
  BOOST_TEST(nodes[0].devices[0].memory_bytes == 80 * gib);
  BOOST_TEST(nodes[0].devices[1].link_domain == 0);
  BOOST_TEST(nodes[0].devices[2].link_domain == 1);
  BOOST_TEST(nodes[2].devices[1].link_domain == 5);
  BOOST_TEST(nodes[2].devices[0].memory_bytes == 0u);
  BOOST_TEST(nodes[2].memory_bytes == 1024 * gib);
  BOOST_TEST(nodes[2].num_cpu == 16);
  BOOST_TEST(nodes[0].num_nic == 4);
  BOOST_TEST(x.costs.peak_flops == 312e12);
  BOOST_TEST(x.costs.nic_bandwidth == 20e9);
  BOOST_TEST(x.costs.collective_seconds == 30e-6,
             boost::test_tools::tolerance(1e-12));
  BOOST_TEST(x.costs.domain_bandwidth
             == planner::cost_model{}.domain_bandwidth);
}

namespace {

result<config::node_file> machines_of(const std::string& devices,
                                      std::vector<std::uint64_t> memories) {
  plan_arguments args;
  args.devices = devices;
  if (!memories.empty())
    args.find_gpus = [memories] {
      config::gpu_inventory out;
      for (auto bytes : memories)
        out.gpus.push_back({"GPU", "", bytes, "9.0"});
      return result<config::gpu_inventory>{out};
    };
  static const config::job_config none;
  return load_machines(args, none);
}

std::vector<std::uint64_t> memories_of(const result<config::node_file>& x) {
  BOOST_REQUIRE_MESSAGE(x.has_value(), test::why(x));
  std::vector<std::uint64_t> out;
  for (const auto& device : x->machines.nodes.at(0).devices)
    out.push_back(device.memory_bytes);
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(gpus_of_this_machine_are_known_with_their_memory) {
  using bytes_list = std::vector<std::uint64_t>;
  BOOST_TEST(memories_of(machines_of("cuda", {10, 20})) == (bytes_list{10, 20}),
             boost::test_tools::per_element());
  BOOST_TEST(memories_of(machines_of("cuda:1", {10, 20})) == (bytes_list{20}),
             boost::test_tools::per_element());
  // Another machine's, or nobody to ask.
  BOOST_TEST(memories_of(machines_of("cuda:0,7", {10, 20}))
               == (bytes_list{0, 0}),
             boost::test_tools::per_element());
  BOOST_TEST(memories_of(machines_of("cuda:0,1", {})) == (bytes_list{0, 0}),
             boost::test_tools::per_element());
  BOOST_TEST(memories_of(machines_of("cpu:2", {10, 20})) == (bytes_list{0, 0}),
             boost::test_tools::per_element());
  auto refused = machines_of("cuda", {});
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().message().find("name them") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(json_describes_nodes_too) {
  auto x = problem_of(job, R"({"nodes": [{"name": "a", "devices": 6,
                               "memory": "16 GiB"}]})");
  BOOST_TEST(x.machines.num_device() == 6);
}

BOOST_AUTO_TEST_CASE(models_that_want_all_devices_get_those_of_the_machines) {
  auto text = std::string{job};
  auto wide = std::string_view{"num_gpu: 2"};
  text.replace(text.find(wide), wide.size(), "num_gpu: all");
  auto x = problem_of(text, R"({"nodes": [{"name": "a", "devices": 6,
                                "memory": "16 GiB"}]})");
  BOOST_TEST(x.job.models.front().num_gpu == 6);
}

BOOST_AUTO_TEST_CASE(what_plan_reads_survives_a_dump) {
  auto schema = schema_for_plans();
  auto read = config::parse(job, "job.yaml", schema);
  BOOST_REQUIRE(read);
  auto again = config::parse(config::dump_yaml(*read, schema), "dump.yaml",
                             schema);
  BOOST_REQUIRE_MESSAGE(again.has_value(), test::why(again));
  BOOST_TEST((*again == *read));
}

BOOST_AUTO_TEST_CASE(odd_profiles_are_warned_of) {
  scratch_folder folder;
  auto text = job;
  auto size = std::string_view{"num_parameters: 7000000000\n      role"};
  text.replace(text.find(size), size.size(), "hf_config: x.json\n      role");
  auto wide = std::string_view{"num_gpu: 2\n    sync"};
  text.replace(text.find(wide), wide.size(),
               "num_gpu: 2\n    tensor_model_parallel_size: 2\n    sync");
  plan_arguments args;
  args.config_file = folder.write("job.yaml", text);
  folder.write("x.json", R"({"model_type": "llama", "hidden_size": 96,
    "num_hidden_layers": 2, "num_attention_heads": 3,
    "intermediate_size": 64, "vocab_size": 100})");
  auto x = load_problem(schema_for_plans(), args);
  BOOST_REQUIRE_MESSAGE(x.has_value(), test::why(x));
  auto warnings = profile_warnings(*x);
  BOOST_REQUIRE(warnings.size() == 1u);
  BOOST_TEST(warnings[0].find("does not divide its 3 attention heads")
             != std::string::npos);
  x->profiles[1].role = planner::model_role::score;
  BOOST_TEST(profile_warnings(*x).size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
