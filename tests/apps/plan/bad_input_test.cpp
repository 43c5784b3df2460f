// SPDX-License-Identifier: Apache-2.0
// Everything that may be wrong with what `plan` is given: each gets a sentence.
#include <vector>

#include <boost/test/unit_test.hpp>

#include "apps/plan/schema_for_plans.hpp"
#include "apps/plan/scratch_folder.hpp"
#include "troupe/apps/planning/plan_command.hpp"

using namespace troupe;
using namespace troupe::planning;

namespace {

const std::string good_job = R"(app: grpo
models:
  policy_trainer:
    num_gpu: 4
    profile: {num_parameters: 1000000000}
  policy:
    num_gpu: 4
    profile: {num_parameters: 1000000000, role: generate}
  reference:
    num_gpu: 2
runtime:
  colocation: [[policy_trainer, policy, reference]]
workload:
  samples: 64
)";

const std::string good_nodes = R"(nodes:
  - name: a
    devices: 4
    memory: 80 GiB
costs:
  peak_tflops: 989
)";

/// One wrong thing.
struct bad_input {
  std::string_view name;
  /// Part of a good file and what stands there instead.
  std::string_view from;
  std::string_view to;
  /// What the message must hold.
  std::string_view words;
};

std::string changed(std::string text, const bad_input& x) {
  auto at = text.find(x.from);
  BOOST_REQUIRE_MESSAGE(at != std::string::npos, x.name);
  return text.replace(at, x.from.size(), x.to);
}

std::string complaint(const config::app_schema& schema,
                      const plan_arguments& args) {
  auto text = render(schema, args, false);
  return text ? "nothing is refused" : text.error().message();
}

void check_table(const std::vector<bad_input>& table, bool is_job) {
  scratch_folder folder;
  for (const auto& x : table) {
    plan_arguments args;
    args.config_file = folder.write("job.yaml",
                                    is_job ? changed(good_job, x) : good_job);
    args.nodes_file = folder.write("nodes.yaml", is_job
                                                   ? good_nodes
                                                   : changed(good_nodes, x));
    auto found = complaint(schema_for_plans(), args);
    BOOST_TEST(found.find(x.words) != std::string::npos,
               x.name << ": '" << found << "' lacks '" << x.words << "'");
  }
}

/// The good job under another application.
std::string complaint_about(const config::app_schema& schema) {
  scratch_folder folder;
  plan_arguments args;
  args.config_file = folder.write("job.yaml", good_job);
  args.nodes_file = folder.write("nodes.yaml", good_nodes);
  return complaint(schema, args);
}

} // namespace

BOOST_AUTO_TEST_SUITE(bad_input)

BOOST_AUTO_TEST_CASE(the_good_files_are_good) {
  BOOST_TEST(complaint_about(schema_for_plans()) == "nothing is refused");
}

BOOST_AUTO_TEST_CASE(wrong_jobs_are_refused_with_a_line_or_a_code) {
  check_table(
    {
      {"too few devices", "policy_trainer:\n    num_gpu: 4",
       "policy_trainer:\n    num_gpu: 5", "[not-enough-devices]"},
      {"sizes that do not divide", "policy:\n    num_gpu: 4",
       "policy:\n    tensor_model_parallel_size: 3\n    num_gpu: 4",
       "job.yaml:8: models.policy.num_gpu: 4 devices do not divide"},
      {"a replica that does not divide", "num_gpu: 2",
       "num_gpu: 2\n    num_replica: 3", "is derived and comes to 2"},
      {"two models of one name",
       "  reference:", "  policy: {num_gpu: 1}\n  reference:",
       "job.yaml:6: models.policy: stands here twice"},
      {"a model nobody knows", "policy, reference]]", "polisy, reference]]",
       "did you mean 'policy'?"},
      {"a model in two groups", "policy, reference]]",
       "policy], [policy, reference]]", "stands in group 1 and in group 2"},
      {"a model twice in a group", "policy, reference]]",
       "policy, policy, reference]]", "stands twice in group 1"},
      {"a frequency below zero", "num_gpu: 2",
       "num_gpu: 2\n    sync_frequency: -1",
       "models.reference.sync_frequency: must be at least 0, is -1"},
      {"devices below zero", "num_gpu: 2", "num_gpu: -2",
       "models.reference.num_gpu: must be at least 0, is -2"},
      {"more devices than fit an integer", "num_gpu: 2",
       "num_gpu: 99999999999999999999", "is too large"},
      {"sizes whose product overflows", "num_gpu: 2",
       "num_gpu: 2\n    tensor_model_parallel_size: 65536\n"
       "    pipeline_model_parallel_size: 65536\n"
       "    context_parallel_size: 65536\n"
       "    expert_model_parallel_size: 65536",
       "more than 1000000 ranks"},
      {"a model without a size", "{num_parameters: 1000000000}", "{}",
       "job.yaml:5: models.policy_trainer.profile: says nothing of the model's "
       "size"},
      {"parameters below zero", "num_parameters: 1000000000}",
       "num_parameters: -1}",
       "models.policy_trainer.profile.num_parameters: must be at least 1"},
      {"too many parameters", "num_parameters: 1000000000}",
       "num_parameters: 9000000000000000000}", "must be at most"},
      {"two sizes", "num_parameters: 1000000000}",
       "num_parameters: 1, hf_config: x.json}", "give one of them"},
      {"an unknown profile key", "num_parameters: 1000000000}",
       "num_parameters: 1, ofload: true}", "did you mean 'offload'?"},
      {"an unknown dtype", "num_parameters: 1000000000}",
       "num_parameters: 1, weights_dtype: bf16}", "unknown value 'bf16'"},
      {"an unknown optimizer", "num_parameters: 1000000000}",
       "num_parameters: 1, optimizer: adan}", "did you mean 'adam'?"},
      {"no config.json", "num_parameters: 1000000000}", "hf_config: none.json}",
       "none.json: cannot be read"},
      {"a config.json that is none", "num_parameters: 1000000000}",
       "hf_config: nodes.yaml}", "nodes.yaml: is not JSON"},
      {"a workload below zero", "samples: 64", "samples: -64",
       "job.yaml:14: workload.samples: must be at least 1, is -64"},
      {"an unknown workload key", "samples: 64", "sample: 64",
       "did you mean 'samples'?"},
      {"models that do not fit", "{num_parameters: 1000000000, role: generate}",
       "{num_parameters: 400000000000, role: generate}", "too much"},
      {"a YAML bomb", "samples: 64", "samples: &a [*a, *a]", "job.yaml:14"},
      {"no YAML", "app: grpo", "app: [grpo", "job.yaml:"},
    },
    true);
}

BOOST_AUTO_TEST_CASE(wrong_node_files_are_refused_with_their_line) {
  check_table(
    {
      {"no nodes", "nodes:", "nodse:", "did you mean 'nodes'?"},
      {"an empty list",
       "nodes:\n  - name: a\n    devices: 4\n    memory: 80 "
       "GiB",
       "nodes: []", "nodes.yaml:1: nodes: expected a list of nodes"},
      {"a node that is a word", "nodes:\n", "nodes:\n  - b\n",
       "nodes.yaml:2: nodes[0]: expected a section"},
      {"no devices", "devices: 4", "devices: 0", "have no device"},
      {"devices left out", "    devices: 4\n", "",
       "nodes[0].devices: is missing"},
      {"devices below zero", "devices: 4", "devices: -4",
       "nodes.yaml:3: nodes[0].devices: must be at least 0, is -4"},
      {"too many devices", "devices: 4", "devices: 5000", "at most 1024"},
      {"too many nodes", "devices: 4", "devices: 1000\n    count: 99999",
       "more than 100000 nodes or 1000000 devices"},
      {"memory in the wrong unit", "80 GiB", "80 GB",
       "nodes.yaml:4: nodes[0].memory: expected bytes, for example 512 MiB"},
      {"memory below zero", "80 GiB", "-80 GiB", "nodes[0].memory"},
      {"no memory", "80 GiB", "0", "nodes[0].memory: must be at least 1 byte"},
      {"memory that overflows", "80 GiB", "99999999999 TiB", "is too large"},
      {"domains that do not divide", "devices: 4",
       "devices: 4\n    link_domains: 3", "4 devices do not divide into 3"},
      {"too few domains", "devices: 4", "devices: 4\n    link_domains: [0, 1]",
       "lists 2 domains for 4 devices"},
      {"a domain below zero", "devices: 4",
       "devices: 4\n    link_domains: [0, 0, -1, 1]", "found '-1'"},
      {"a name twice", "costs:", "  - {name: a, devices: 1}\ncosts:",
       "nodes.yaml:5: nodes[1].name: a second node has the name 'a'"},
      {"an unknown key", "memory:", "memroy:", "did you mean 'memory'?"},
      {"speed of nothing", "peak_tflops: 989", "peak_tflops: 0",
       "nodes.yaml:6: costs.peak_tflops: must be between"},
      {"endless speed", "peak_tflops: 989", "peak_tflops: .inf",
       "costs.peak_tflops: must be between"},
      {"an efficiency over one", "peak_tflops: 989", "training_efficiency: 1.5",
       "must be between 0.001 and 1, is 1.5"},
    },
    false);
}

BOOST_AUTO_TEST_CASE(weights_that_follow_each_other_in_a_circle_are_refused) {
  auto schema = schema_for_plans();
  schema.syncs.push_back({"policy", "policy_trainer", 1});
  BOOST_TEST(complaint_about(schema).find("[sync-cycle]") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(wrong_syncs_of_an_application_are_refused) {
  auto schema = schema_for_plans();
  schema.syncs.push_back({"policy", "policy", 1});
  BOOST_TEST(complaint_about(schema).find("[sync-with-itself]")
             != std::string::npos);
  schema.syncs.back() = {"policy_trainer", "policy", 1};
  BOOST_TEST(complaint_about(schema).find("[duplicate-sync]")
             != std::string::npos);
  schema.syncs.back() = {"policy_trainer", "nobody", 1};
  BOOST_TEST(complaint_about(schema).find("'nobody'") != std::string::npos);
  schema.syncs.back() = {"policy", "reference", -2};
  BOOST_TEST(complaint_about(schema).find("[negative-frequency]")
             != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
