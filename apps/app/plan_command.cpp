// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/app/plan_command.hpp"

#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "troupe/actors/config/devices.hpp"
#include "troupe/actors/config/loader.hpp"
#include "troupe/actors/engine/driver.hpp"
#include "troupe/apps/console/summary.hpp"
#include "troupe/apps/console/terminal.hpp"
#include "troupe/apps/console/write_file.hpp"
#include "troupe/planner/placement.hpp"
#include "troupe/planner/report/json.hpp"
#include "troupe/planner/report/svg.hpp"
#include "troupe/planner/report/text.hpp"

namespace troupe::app_command {

namespace {

constexpr int exit_bad_input = 2;

int refuse(const error& why) {
  fmt::print(stderr, "troupe: {}\n", why.message());
  return exit_bad_input;
}

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

/// Prints what was asked for of a plan that has been made.
int print_plan(const planner::report::plan_inputs& inputs,
               const plan_arguments& args) {
  if (!args.svg_file.empty()) {
    auto drawing = planner::report::render_svg(inputs);
    if (auto done = console::write_file(args.svg_file, drawing); !done)
      return refuse(done.error());
  }
  if (args.json) {
    fmt::print("{}\n", planner::report::render_json(inputs));
    return 0;
  }
  auto out = console::make_terminal(STDOUT_FILENO);
  planner::report::text_options look;
  look.colour = out->colour();
  if (args.explain.empty()) {
    out->write(planner::report::render_text(inputs, look));
    return 0;
  }
  auto text = planner::report::explain(inputs, args.explain, look);
  if (!text)
    return refuse(text.error());
  out->write(*text);
  return 0;
}

} // namespace

int plan(const application& app, const plan_arguments& args) {
  auto devices = config::parse_devices(args.devices);
  if (!devices)
    return refuse(devices.error());
  auto config = config::load(args.config_file, app.schema(), args.overrides);
  if (!config)
    return refuse(config.error());
  auto job = config::to_job_spec(*config, app.syncs);
  auto machines = engine::make_cluster(*devices);
  auto placement = planner::place(job, machines);
  if (!placement)
    return refuse(placement.error());
  return print_plan({job, machines, *placement, {}, nullptr, nullptr}, args);
}

int plan_groups(const plan_arguments& args) {
  planner::rank_order order{};
  if (!planner::from_string(args.order, order))
    return refuse({errc::invalid,
                   fmt::format("--order: '{}' is none of megatron, vllm",
                               args.order)});
  auto groups = planner::all_groups(args.world, args.layout, order);
  if (!groups)
    return refuse(groups.error());
  if (args.json) {
    nlohmann::ordered_json out;
    for (const auto& x : *groups)
      out[std::string{x.name}] = to_numbers(x.groups);
    fmt::print("{}\n", out.dump());
    return 0;
  }
  for (const auto& x : *groups) {
    fmt::print("{}:\n", x.name);
    for (const auto& numbers : to_numbers(x.groups))
      fmt::print("  [{}]\n", fmt::join(numbers, ", "));
  }
  return 0;
}

} // namespace troupe::app_command
