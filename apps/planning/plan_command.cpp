// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/plan_command.hpp"

#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "troupe/actors/config/nearest.hpp"
#include "troupe/actors/config/yaml_tree.hpp"
#include "troupe/apps/console/complaint.hpp"
#include "troupe/apps/console/terminal.hpp"
#include "troupe/apps/console/write_file.hpp"
#include "troupe/apps/planning/evaluation.hpp"
#include "troupe/apps/planning/groups.hpp"
#include "troupe/apps/planning/problem.hpp"
#include "troupe/apps/planning/search.hpp"
#include "troupe/apps/planning/transfer_command.hpp"
#include "troupe/planner/report/json.hpp"
#include "troupe/planner/report/svg.hpp"
#include "troupe/planner/report/text.hpp"
#include "troupe/planner/report/text_layout.hpp"

namespace troupe::planning {

namespace {

namespace report = planner::report;

constexpr int exit_problems = 1;
constexpr int exit_bad_input = 2;
constexpr std::size_t line_width = 80;

/// What the planner says of numbers and devices is long: it is wrapped. What
/// names a file and a line stays in one, for tools that look for it.
int refuse(const error& why) {
  auto text = fmt::format("{}: {}", console::program_name(),
                          report::printable(why.message()));
  if (why.code() != errc::exhausted) {
    console::complain(why.message());
    return exit_bad_input;
  }
  for (const auto& line : report::wrap(text, line_width, 2))
    fmt::print(stderr, "{}\n", line);
  return exit_bad_input;
}

result<void> draw(const report::plan_inputs& inputs, const std::string& file) {
  if (file.empty())
    return {};
  return console::write_file(file, report::render_svg(inputs), "--svg");
}

/// The given plan, or with `--optimize` the best one found, drawn.
result<std::string> render_optimized(const planner::plan_problem& problem,
                                     const plan_arguments& args, bool colour) {
  auto found = search(problem, args.budget);
  if (!found)
    return fail(found.error());
  const auto* drawn = !found->best.empty() ? &found->best.front()
                      : found->given       ? &*found->given
                                           : nullptr;
  if (drawn != nullptr) {
    report::plan_inputs inputs{drawn->job,  problem.machines,
                               drawn->plan, drawn->profiles,
                               nullptr,     &drawn->prediction};
    if (auto done = draw(inputs, args.svg_file); !done)
      return fail(done.error());
  }
  if (args.json)
    return render_search_json(*found, problem);
  return render_search(*found, colour);
}

/// Before anything is placed, drawn or written.
result<void> check_model(const planner::job_spec& job,
                         const std::string& name) {
  std::vector<std::string> names;
  for (const auto& model : job.models) {
    if (model.name == name)
      return {};
    names.push_back(model.name);
  }
  auto meant = config::nearest(name, names);
  return fail(errc::invalid,
              fmt::format("--explain: there is no model {}; {}the job has {}",
                          config::quote(name),
                          meant ? fmt::format("did you mean '{}'? ", *meant)
                                : std::string{},
                          fmt::join(names, ", ")));
}

/// `code`, unless what was printed is lost.
int end_of(const console::terminal& out, int code) {
  auto written = console::check_written(out);
  return written ? code : refuse(written.error());
}

int print(const result<std::string>& text, console::terminal& out) {
  if (!text)
    return refuse(text.error());
  out.write(*text);
  return end_of(out, 0);
}

} // namespace

result<std::string> render(const config::app_schema& schema,
                           const plan_arguments& args, bool colour) {
  auto problem = load_problem(schema, args);
  if (!problem)
    return fail(problem.error());
  if (!args.explain.empty())
    if (auto known = check_model(problem->job, args.explain); !known)
      return fail(known.error());
  if (args.optimize)
    return render_optimized(*problem, args, colour);
  auto found = evaluate(*problem);
  if (!found)
    return fail(found.error());
  auto inputs = inputs_of(*problem, *found);
  if (auto done = draw(inputs, args.svg_file); !done)
    return fail(done.error());
  if (args.json)
    return report::render_json(inputs) + '\n';
  report::text_options look;
  look.colour = colour;
  if (!args.explain.empty())
    return report::explain(inputs, args.explain, look);
  return report::render_text(inputs, look);
}

int plan(const config::app_schema& schema, const plan_arguments& args) {
  auto out = console::make_terminal(STDOUT_FILENO);
  auto colour = args.colour == "always"
                || (args.colour != "never" && out->colour());
  return print(render(schema, args, colour), *out);
}

int plan_groups(const plan_arguments& args) {
  auto out = console::make_terminal(STDOUT_FILENO);
  return print(render_groups(args), *out);
}

int plan_transfer(const plan_arguments& args) {
  auto answer = render_transfer_plan(args);
  if (!answer)
    return refuse(error{answer.error().code(),
                        report::printable(answer.error().message())});
  auto out = console::make_terminal(STDOUT_FILENO);
  out->write(answer->text);
  return end_of(*out, answer->has_problems ? exit_problems : 0);
}

} // namespace troupe::planning
