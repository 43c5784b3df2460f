// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/arguments.hpp"

#include <CLI/CLI.hpp>

namespace troupe::planning {

void add_plan_options(CLI::App& verb, plan_arguments& args) {
  verb.add_option("config", args.config_file, "The configuration (YAML)");
  auto* devices = verb
                    .add_option("--devices", args.devices,
                                "cpu:N, inproc:N, or cuda:0,1,...: counted, "
                                "not looked at")
                    ->capture_default_str();
  verb
    .add_option("--nodes-spec", args.nodes_file,
                "A file that describes the machines instead")
    ->excludes(devices);
  verb.add_option("--set", args.overrides, "As for run")->take_all();
  auto* json = verb.add_flag("--json", args.json, "For programs");
  verb.add_option("--svg", args.svg_file, "Draws the plan into a file");
  auto* explain = verb
                    .add_option("--explain", args.explain,
                                "All about one model")
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
  auto* groups = verb
                   .add_flag("--groups", args.groups,
                             "The parallel groups of a world instead")
                   ->excludes(optimize)
                   ->excludes(explain);
  verb.add_option("--world", args.world, "Ranks")->needs(groups);
  verb.add_option("--tp", args.layout.tensor, "Tensor size")->needs(groups);
  verb.add_option("--pp", args.layout.pipeline, "Pipeline size")->needs(groups);
  verb.add_option("--cp", args.layout.context, "Context size")->needs(groups);
  verb.add_option("--ep", args.layout.expert, "Expert size")->needs(groups);
  verb.add_option("--order", args.order, "megatron or vllm")
    ->needs(groups)
    ->capture_default_str();
  auto* transfer = verb
                     .add_option("--transfer", args.transfer_files,
                                 "Two layouts of weights (SRC.json DST.json): "
                                 "the way of one into the other instead")
                     ->expected(2)
                     ->excludes(optimize)
                     ->excludes(explain)
                     ->excludes(groups);
  verb.add_option("--planner", args.transfer_planner, "reshard or two_stage")
    ->needs(transfer)
    ->check(CLI::IsMember({"reshard", "two_stage"}))
    ->capture_default_str();
  verb.footer("Examples:\n"
              "  plan apps/grpo/addition.yaml --devices cpu:2\n"
              "  plan apps/plans/one_node.yaml "
              "--nodes-spec apps/plans/one_node_machines.yaml\n"
              "  plan my.yaml --explain policy\n"
              "  plan my.yaml --optimize --budget 5\n"
              "  plan --groups --world 16 --tp 2 --pp 4 --json\n"
              "  plan --transfer apps/plans/layouts/trainer.json "
              "apps/plans/layouts/policy.json");
}

} // namespace troupe::planning
