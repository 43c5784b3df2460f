// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/arguments.hpp"

#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

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

template <class T>
bool parse(std::string_view text, T& x) {
  const auto* end = text.data() + text.size();
  auto [at, code] = std::from_chars(text.data(), end, x);
  return code == std::errc{} && at == end;
}

/// Decimal and of the type T: the parser itself clamps what is too large.
template <class T>
CLI::Validator whole_number() {
  return {[](std::string& text) {
            T x = 0;
            if (!parse(text, x))
              return fmt::format("'{}' is no whole number between {} and {}",
                                 text, std::numeric_limits<T>::min(),
                                 std::numeric_limits<T>::max());
            // 010 is ten, not eight.
            text = std::to_string(x);
            return std::string{};
          },
          {}};
}

/// Neither nan nor inf.
CLI::Validator number_between(double least, double most) {
  return {[least, most](std::string& text) {
            double x = 0;
            if (parse(text, x) && std::isfinite(x) && x >= least && x <= most)
              return std::string{};
            return fmt::format("'{}' is no number between {} and {}", text,
                               least, most);
          },
          {}};
}

} // namespace

void add_plan_options(CLI::App& verb, plan_arguments& args) {
  verb.add_option("config", args.config_file, "The configuration (YAML)");
  auto* devices = verb.add_option("--devices", args.devices,
                                  "cpu:N, inproc:N, or cuda:0,1,...: counted, "
                                  "not looked at (default: cpu:2)");
  verb
    .add_option("--nodes-spec", args.nodes_file,
                "A file that describes the machines instead")
    ->check(not_empty())
    ->excludes(devices);
  verb.add_option("--set", args.overrides, "As for run")->take_all();
  auto* json = verb.add_flag("--json", args.json, "For programs");
  verb.add_option("--svg", args.svg_file, "Draws the plan into a file")
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
    ->check(number_between(0.001, 1e6))
    ->capture_default_str();
  auto* groups = verb
                   .add_flag("--groups", args.groups,
                             "The parallel groups of a world instead")
                   ->excludes(devices);
  verb.add_option("--world", args.world, "Ranks")
    ->transform(whole_number<std::int64_t>())
    ->needs(groups);
  auto add_size = [&](const char* name, std::int32_t& size, const char* what) {
    verb.add_option(name, size, what)
      ->transform(whole_number<std::int32_t>())
      ->needs(groups);
  };
  add_size("--tp", args.layout.tensor, "Tensor size");
  add_size("--pp", args.layout.pipeline, "Pipeline size");
  add_size("--cp", args.layout.context, "Context size");
  add_size("--ep", args.layout.expert,
           "Expert size; unasked 1, with vllm a whole stage");
  add_size("--etp", args.layout.expert_tensor,
           "Tensor size of experts, which then fold");
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
  // All of them run in the root of the project; a test does so.
  verb.footer("Examples:\n"
              "  plan apps/plans/two_cores.yaml --devices cpu:2\n"
              "  plan apps/plans/eight_gpus.yaml \\\n"
              "    --nodes-spec apps/plans/eight_gpus_machine.yaml\n"
              "  plan apps/plans/two_cores.yaml --explain policy\n"
              "  plan apps/plans/two_cores.yaml --optimize --budget 5\n"
              "  plan --groups --world 16 --tp 2 --pp 4 --json\n"
              "  plan --transfer apps/plans/layouts/trainer.json \\\n"
              "    apps/plans/layouts/policy.json");
}

} // namespace troupe::planning
