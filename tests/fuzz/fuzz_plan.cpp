// SPDX-License-Identifier: Apache-2.0
// Everything `plan` reads: the first byte selects the reader, a line of dashes
// cuts the rest into a configuration, a node file and an assignment of `--set`.
// Whatever they hold, the outcome is a sound plan or an error.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "apps/plan/schema_for_plans.hpp"
#include "troupe/actors/config/dump.hpp"
#include "troupe/actors/config/loader.hpp"
#include "troupe/actors/config/node_file.hpp"
#include "troupe/apps/planning/evaluation.hpp"
#include "troupe/apps/planning/groups.hpp"
#include "troupe/apps/planning/hf_config.hpp"
#include "troupe/apps/planning/problem.hpp"
#include "troupe/apps/planning/search.hpp"
#include "troupe/planner/report/json.hpp"
#include "troupe/planner/report/svg.hpp"
#include "troupe/planner/report/text.hpp"
#include "troupe/planner/report/text_layout.hpp"

using namespace troupe;
using namespace troupe::planning;

namespace {

/// Beyond these a plan is right but slow, which is another test's matter.
constexpr std::int32_t max_devices = 2000;
constexpr std::int64_t max_layers = 1000;

void require(bool condition) {
  if (!condition)
    std::abort();
}

std::vector<std::string_view> cut(std::string_view text) {
  constexpr std::string_view mark = "\n---\n";
  std::vector<std::string_view> out;
  for (;;) {
    auto at = text.find(mark);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos)
      return out;
    text.remove_prefix(at + mark.size());
  }
}

/// The application's syncs come from the text too: pairs of model numbers.
config::app_schema schema_with(std::string_view text) {
  auto schema = schema_for_plans();
  for (std::size_t i = 0; i + 1 < text.size() && i < 16; i += 2) {
    auto name = [&schema](char x) {
      return schema.models[static_cast<unsigned char>(x) % 4].name;
    };
    schema.syncs.push_back(
      {name(text[i]), name(text[i + 1]), static_cast<std::int32_t>(i) - 2});
  }
  return schema;
}

bool is_small(const planner::plan_problem& problem) {
  std::int64_t ranks = 0;
  for (const auto& model : problem.job.models)
    ranks += model.num_gpu + model.num_cpu;
  for (const auto& profile : problem.profiles)
    if (profile.parameters.layers() > max_layers)
      return false;
  return problem.machines.num_device() <= max_devices
         && ranks <= 4 * max_devices;
}

void check_report(const planner::plan_problem& problem, const evaluation& x) {
  auto inputs = inputs_of(problem, x);
  namespace report = planner::report;
  auto text = report::render_text(inputs);
  for (std::string_view rest{text}; !rest.empty();) {
    auto end = rest.find('\n');
    require(report::width_of(rest.substr(0, end)) <= 80);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  require(!report::render_json(inputs).empty());
  require(!report::render_svg(inputs).empty());
  for (const auto& model : problem.job.models)
    require(report::explain(inputs, model.name).has_value());
}

void try_plan(std::string_view text) {
  auto parts = cut(text);
  parts.resize(4);
  auto schema = schema_with(parts[3]);
  std::vector<std::string> overrides;
  if (!parts[2].empty())
    overrides.emplace_back(parts[2]);
  auto job = config::parse(parts[0], "job.yaml", schema, overrides);
  auto nodes = config::parse_node_file(parts[1], "nodes.yaml");
  if (!job)
    return;
  // What was read survives being written.
  auto again = config::parse(config::dump_yaml(*job, schema), "dump.yaml",
                             schema);
  require(again.has_value() && *again == *job);
  if (!nodes) {
    nodes.emplace();
    nodes->machines = planner::cluster::uniform(1, 4, 4);
  }
  // No file but this input is read.
  for (auto& model : job->models)
    if (model.profile && !model.profile->hf_config.empty())
      model.profile.reset();
  auto problem = make_problem(*job, schema, std::move(*nodes), "job.yaml");
  if (!problem || !is_small(*problem))
    return;
  auto found = evaluate(*problem);
  if (!found)
    return;
  require(
    planner::verify(found->plan, problem->job, problem->machines).empty());
  check_report(*problem, *found);
  if (!problem->profiles.empty() && problem->machines.num_device() <= 8) {
    planner::optimize_options options;
    options.max_evaluated = 8;
    auto better = planner::optimize(*problem, planner::place,
                                    deadline::after(std::chrono::seconds{2}),
                                    options);
    if (better)
      require(!render_search_json(*better, *problem).empty()
              && !render_search(*better, true).empty());
  }
}

void try_hf_config(std::string_view text) {
  if (auto shape = parse_hf_config(text, "config.json"))
    require(planner::count_parameters(*shape).has_value());
}

/// Five numbers, one a line.
void try_groups(std::string_view text) {
  plan_arguments args;
  auto next = [&text]() -> std::int64_t {
    auto end = text.find('\n');
    auto word = std::string{text.substr(0, end)};
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return std::strtoll(word.c_str(), nullptr, 10);
  };
  args.world = next();
  args.layout.tensor = static_cast<std::int32_t>(next());
  args.layout.pipeline = static_cast<std::int32_t>(next());
  args.layout.context = static_cast<std::int32_t>(next());
  args.layout.expert = static_cast<std::int32_t>(next());
  args.order = text.empty() ? "megatron" : std::string{text};
  args.json = text.size() % 2 == 0;
  constexpr std::int64_t slow = 100'000;
  if (args.world <= slow)
    (void) render_groups(args);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  if (size == 0)
    return 0;
  std::string_view text{reinterpret_cast<const char*>(data), size};
  auto rest = text.substr(1);
  switch (text.front()) {
    case 'h': try_hf_config(rest); break;
    case 'g': try_groups(rest); break;
    default: try_plan(rest); break;
  }
  return 0;
}
