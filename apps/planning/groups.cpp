// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/groups.hpp"

#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "troupe/actors/config/yaml_tree.hpp"
#include "troupe/planner/report/text_layout.hpp"

namespace troupe::planning {

namespace {

constexpr std::size_t line_width = 80;

std::vector<std::vector<std::int32_t>>
to_numbers(const planner::rank_groups& groups) {
  std::vector<std::vector<std::int32_t>> out;
  for (const auto& group : groups) {
    auto& numbers = out.emplace_back();
    for (auto rank : group)
      numbers.push_back(rank.value());
  }
  return out;
}

/// What belongs to the plan of a job would be ignored beside `--groups`.
result<void> check_alone(const plan_arguments& args) {
  const std::pair<std::string_view, bool> of_a_plan[] = {
    {"a configuration", !args.config_file.empty()},
    {"--nodes-spec", !args.nodes_file.empty()},
    {"--set", !args.overrides.empty()},
    {"--svg", !args.svg_file.empty()},
    {"--explain", !args.explain.empty()},
    {"--optimize", args.optimize},
  };
  for (const auto& [what, given] : of_a_plan)
    if (given)
      return fail(errc::invalid,
                  fmt::format("--groups lists the groups of a world of ranks; "
                              "{} has no meaning beside it, leave one of them "
                              "out",
                              what));
  return {};
}

} // namespace

result<std::string> render_groups(const plan_arguments& args) {
  if (auto alone = check_alone(args); !alone)
    return fail(alone.error());
  planner::rank_order order{};
  if (!planner::from_string(args.order, order))
    return fail(errc::invalid, fmt::format("--order {}: unknown; allowed: "
                                           "megatron, vllm",
                                           config::quote(args.order)));
  auto groups = planner::all_groups(args.world, args.layout, order);
  if (!groups)
    return fail(groups.error());
  if (args.json) {
    nlohmann::ordered_json out;
    for (const auto& x : *groups)
      out[std::string{x.name}] = to_numbers(x.groups);
    return out.dump() + '\n';
  }
  std::string out;
  for (const auto& x : *groups) {
    out += fmt::format("{}:\n", x.name);
    for (const auto& numbers : to_numbers(x.groups)) {
      auto text = fmt::format("[{}]", fmt::join(numbers, ", "));
      for (const auto& line : planner::report::wrap(text, line_width - 2, 1))
        out += fmt::format("  {}\n", line);
    }
  }
  return out;
}

} // namespace troupe::planning
