// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/search.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "troupe/core/units.hpp"
#include "troupe/planner/report/json.hpp"
#include "troupe/planner/report/plan_view.hpp"
#include "troupe/planner/report/text_layout.hpp"

namespace troupe::planning {

namespace {

namespace report = planner::report;
using json = nlohmann::ordered_json;

constexpr std::size_t line_width = 80;

/// What a slow core places and predicts in a second.
constexpr double candidates_a_second = 1000;

class search_text {
public:
  search_text(const planner::optimize_result& found, bool colour)
    : found_(found),
      colour_(colour) {
    // nop
  }

  std::string render() {
    if (found_.given)
      item(fmt::format("Given: {}", figures(*found_.given)), 0,
           report::style::title);
    else
      item(fmt::format("The given plan cannot run: {}", found_.given_problem),
           0, report::style::bad);
    item(extent(), 0, report::style::faint);
    if (found_.best.empty())
      item(found_.given ? "Nothing is predicted to be faster than the given "
                          "plan."
                        : "No other plan was found that can run.",
           0, report::style::plain);
    for (std::size_t i = 0; i < found_.best.size(); ++i)
      candidate(i + 1, found_.best[i]);
    return std::move(out_);
  }

private:
  static std::string figures(const planner::plan_candidate& x) {
    const auto& time = x.prediction;
    return fmt::format("{} an episode (generation and scoring {}, training {}, "
                       "weight sync {}), at most {} on a device",
                       report::format_seconds(time.total()),
                       report::format_seconds(time.generation_seconds),
                       report::format_seconds(time.training_seconds),
                       report::format_seconds(time.sync_seconds),
                       format_bytes(x.peak_bytes));
  }

  std::string extent() const {
    return fmt::format("{}: {} placed and predicted, {} branches excluded",
                       found_.complete ? "All plans searched"
                                       : "Budget spent before all plans were "
                                         "searched",
                       report::counted(found_.evaluated, "plan"),
                       format_count(found_.bounded));
  }

  void candidate(std::size_t number, const planner::plan_candidate& x) {
    out_ += '\n';
    auto head = fmt::format("{}. {}", number, figures(x));
    if (found_.given) {
      auto before = found_.given->prediction.total();
      head += fmt::format("; {:.1f}% less time than the given plan",
                          100 * (1 - x.prediction.total() / before));
    }
    item(head, 3, report::style::good);
    for (const auto& reason : x.reasons)
      item(fmt::format("- {}", reason), 2, report::style::plain, 3);
  }

  void item(std::string_view text, std::size_t indent, report::style how,
            std::size_t margin = 0) {
    for (const auto& line :
         report::wrap(report::printable(text), line_width - margin, indent))
      out_ += fmt::format("{:{}}{}\n", "", margin,
                          report::paint(line, how, colour_));
  }

  const planner::optimize_result& found_;
  bool colour_;
  std::string out_;
};

json to_json(const planner::plan_candidate& x,
             const planner::plan_problem& problem) {
  report::plan_inputs inputs{x.job,      problem.machines, x.plan,
                             x.profiles, nullptr,          &x.prediction};
  json offload = json::array();
  for (const auto& profile : x.profiles)
    if (profile.offload)
      offload.push_back(profile.name);
  return {{"total_seconds", x.prediction.total()},
          {"peak_bytes", x.peak_bytes},
          {"colocation", x.job.colocation},
          {"offload", std::move(offload)},
          {"reasons", x.reasons},
          {"plan", json::parse(report::render_json(inputs))}};
}

} // namespace

result<planner::optimize_result> search(const planner::plan_problem& problem,
                                        double budget) {
  if (problem.profiles.empty())
    return fail(errc::invalid,
                "--optimize compares predicted times, and no model says how "
                "large it is; give models.NAME.profile.num_parameters or "
                ".hf_config");
  planner::optimize_options options;
  options.max_evaluated = std::min(options.max_evaluated,
                                   static_cast<std::uint64_t>(
                                     std::max(1.0,
                                              budget * candidates_a_second)));
  auto until = deadline::after(std::chrono::duration_cast<duration>(
    std::chrono::duration<double>{budget}));
  return planner::optimize(problem, planner::place, until, options);
}

std::string render_search(const planner::optimize_result& found, bool colour) {
  return search_text{found, colour}.render();
}

std::string render_search_json(const planner::optimize_result& found,
                               const planner::plan_problem& problem) {
  json out{{"schema", "troupe.optimize/1"}};
  out["complete"] = found.complete;
  out["evaluated"] = found.evaluated;
  out["excluded"] = found.bounded;
  out["given"] = found.given ? to_json(*found.given, problem) : json{};
  out["given_problem"] = found.given ? json{} : json(found.given_problem);
  out["best"] = json::array();
  for (const auto& x : found.best)
    out["best"].push_back(to_json(x, problem));
  return out.dump(2, ' ', false, json::error_handler_t::replace) + '\n';
}

} // namespace troupe::planning
