// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/arguments.hpp"

#include <CLI/CLI.hpp>

namespace troupe::planning {

namespace {

/// An empty text would read as "not given".
CLI::Validator not_empty() {
  return {[](std::string& text) {
            return text.empty() ? std::string{"must not be empty"}
                                : std::string{};
          },
          {}};
}

} // namespace

void add_plan_options(CLI::App& verb, plan_arguments& args) {
  auto* config = verb.add_option("config", args.config_file,
                                 "The configuration (YAML)");
  auto* devices = verb
                    .add_option("--devices", args.devices,
                                "cpu:N, inproc:N, or cuda:0,1,...: counted, "
                                "not looked at")
                    ->capture_default_str();
  auto* nodes = verb
                  .add_option("--nodes-spec", args.nodes_file,
                              "A file that describes the machines instead")
                  ->check(not_empty())
                  ->excludes(devices);
  auto* set = verb.add_option("--set", args.overrides, "As for run")
                ->take_all();
  auto* json = verb.add_flag("--json", args.json, "For programs");
  auto* svg = verb
                .add_option("--svg", args.svg_file,
                            "Draws the plan into a file")
                ->check(not_empty());
  auto* explain = verb
                    .add_option("--explain", args.explain,
                                "All about one model")
                    ->check(not_empty())
                    ->excludes(json);
  verb
    .add_option("--colour,--color", args.colour,
                "auto, always or never use colours")
    ->check(CLI::IsMember({"auto", "always", "never"}))
    ->capture_default_str();
  auto* optimize = verb
                     .add_flag("--optimize", args.optimize,
                               "Searches for faster plans of the same job")
                     ->excludes(explain);
  verb.add_option("--budget", args.budget, "Seconds the search may take")
    ->needs(optimize)
    ->check(CLI::Range(0.001, 1e6))
    ->capture_default_str();
  auto* groups = verb.add_flag("--groups", args.groups,
                               "The parallel groups of a world instead");
  for (auto* of_a_plan : {config, devices, nodes, set, svg, explain, optimize})
    groups->excludes(of_a_plan);
  verb.add_option("--world", args.world, "Ranks")->needs(groups);
  verb.add_option("--tp", args.layout.tensor, "Tensor size")->needs(groups);
  verb.add_option("--pp", args.layout.pipeline, "Pipeline size")->needs(groups);
  verb.add_option("--cp", args.layout.context, "Context size")->needs(groups);
  verb.add_option("--ep", args.layout.expert, "Expert size")->needs(groups);
  verb.add_option("--order", args.order, "megatron or vllm")
    ->needs(groups)
    ->capture_default_str();
  verb.footer("Examples:\n"
              "  plan apps/grpo/addition.yaml --devices cpu:2\n"
              "  plan apps/plans/one_node.yaml "
              "--nodes-spec apps/plans/one_node_machines.yaml\n"
              "  plan my.yaml --explain policy\n"
              "  plan my.yaml --optimize --budget 5\n"
              "  plan --groups --world 16 --tp 2 --pp 4 --json");
}

} // namespace troupe::planning
