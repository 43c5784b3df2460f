// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/summary.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/apps/console/row_text.hpp"
#include "troupe/apps/console/sparkline.hpp"
#include "troupe/apps/console/table.hpp"
#include "troupe/apps/console/text.hpp"
#include "troupe/core/units.hpp"

namespace troupe::console {

namespace {

constexpr const char* bold = "1";
constexpr const char* green = "32";
constexpr const char* yellow = "33";

std::string dress(const style& look, const char* code, std::string text) {
  if (!look.colour)
    return text;
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::size_t columns_of(const style& look) {
  return static_cast<std::size_t>(std::clamp(look.columns, 20, 80));
}

void put_wrapped(std::string& out, std::string_view text, std::size_t columns,
                 std::size_t indent) {
  for (const auto& line : wrap(text, columns - indent)) {
    out.append(indent, ' ');
    out += line;
    out += '\n';
  }
}

void put_headline(std::string& out, const run_summary& summary,
                  const style& look) {
  auto text = fmt::format("{} {}: {} after {} episode{} in {}",
                          printable(summary.app), printable(summary.run_name),
                          summary.exit_reason, summary.episodes,
                          summary.episodes == 1 ? "" : "s",
                          format_duration(summary.wall));
  if (summary.restarts > 0)
    text += fmt::format(", {} restart{}", summary.restarts,
                        summary.restarts == 1 ? "" : "s");
  for (const auto& line : wrap(text, columns_of(look)))
    out += dress(look, bold, line) + "\n";
}

void put_evaluation(std::string& out, const run_summary& summary,
                    const style& look) {
  const auto& before = summary.warm_start_accuracy;
  const auto& after = summary.final_accuracy;
  if (!before && !after)
    return;
  out += '\n';
  table rows{{"evaluation", "accuracy"}, {align::left, align::right}};
  if (before)
    rows.add({"warm start", fmt::format("{:.3f}", *before)});
  if (after)
    rows.add({"final", fmt::format("{:.3f}", *after)});
  if (before && after)
    rows.add({"rise", fmt::format("{:+.3f}", *after - *before)});
  out += rows.render(columns_of(look), 2, look.unicode);
  if (summary.evaluated > 0)
    out += fmt::format("  on {} held-out problems\n",
                       format_count(
                         static_cast<std::uint64_t>(summary.evaluated)));
}

void put_weights(std::string& out, const run_summary& summary,
                 const style& look) {
  if (!summary.weights_identical)
    return;
  out += '\n';
  if (*summary.weights_identical)
    out += dress(look, green,
                 "  weights: every replica equals its source bit "
                 "for bit")
           + "\n";
  else
    out += dress(look, yellow,
                 "  weights: NOT every replica equals its "
                 "source")
           + "\n";
}

void put_processes(std::string& out, const run_summary& summary,
                   const style& look) {
  if (summary.processes.empty())
    return;
  out += '\n';
  table rows{{"process", "device", "pid", "restarts", "models"},
             {align::left, align::left, align::right, align::right,
              align::left}};
  // What the other columns leave: a list that is longer goes on below.
  constexpr std::size_t other_columns = 40;
  auto room = columns_of(look) > other_columns + 20
                ? columns_of(look) - other_columns
                : std::size_t{20};
  for (const auto& process : summary.processes) {
    auto lines = wrap(fmt::format("{}", fmt::join(process.models, ", ")), room);
    if (lines.empty())
      lines.emplace_back();
    rows.add({process.slot, process.device.empty() ? "-" : process.device,
              std::to_string(process.pid), std::to_string(process.restarts),
              lines.front()});
    for (std::size_t i = 1; i < lines.size(); ++i)
      rows.add({"", "", "", "", lines[i]});
  }
  out += rows.render(columns_of(look), 2, look.unicode);
}

void put_times(std::string& out, const run_summary& summary,
               const style& look) {
  if (summary.times.empty())
    return;
  out += '\n';
  std::chrono::nanoseconds total{};
  for (const auto& part : summary.times)
    total += part.spent;
  constexpr std::size_t bar_width = 24;
  table rows{{"time", "spent", "share", ""},
             {align::left, align::right, align::right, align::left}};
  for (const auto& part : summary.times) {
    auto share = total.count() > 0 ? static_cast<double>(part.spent.count())
                                       / static_cast<double>(total.count())
                                   : 0.0;
    auto length = static_cast<std::size_t>(share * bar_width + 0.5);
    rows.add({part.name, format_duration(part.spent),
              fmt::format("{:.0f} %", share * 100),
              bar(1, length, look.unicode)});
  }
  out += rows.render(columns_of(look), 2, look.unicode);
  std::string speed;
  if (summary.tokens_per_second)
    speed = fmt::format("{} tokens/s", number_text(*summary.tokens_per_second));
  if (summary.sync_ms)
    speed += fmt::format("{}{} a weight sync", speed.empty() ? "" : ", ",
                         milliseconds_text(*summary.sync_ms));
  if (!speed.empty())
    out += fmt::format("  {}\n", speed);
}

void put_outputs(std::string& out, const run_summary& summary,
                 const style& look) {
  if (summary.directory.empty())
    return;
  out += '\n';
  put_wrapped(out, fmt::format("outputs in {}", summary.directory.string()),
              columns_of(look), 2);
  put_wrapped(out, fmt::format("{}", fmt::join(summary.files, ", ")),
              columns_of(look), 4);
  if (!summary.way_on.empty()) {
    out += '\n';
    put_wrapped(out, printable(summary.way_on), columns_of(look), 2);
  }
}

/// `model policy`, `replica 0`, `rank 1`, `node a`, `device cpu:1`,
/// `function generate`.
std::vector<std::string> whereabouts(const failure_row& row) {
  std::vector<std::string> parts;
  auto put = [&](std::string_view name, std::string_view value) {
    if (!value.empty())
      parts.push_back(fmt::format("{} {}", name, printable(value)));
  };
  put("model", row.model);
  if (row.replica)
    put("replica", std::to_string(*row.replica));
  if (row.rank)
    put("rank", std::to_string(*row.rank));
  put("node", row.node);
  put("device", row.device);
  put("function", row.operation);
  return parts;
}

/// Fills lines with whole parts, commas between them.
std::vector<std::string> fold(std::string line,
                              const std::vector<std::string>& parts,
                              std::size_t columns) {
  std::vector<std::string> out;
  auto first = true;
  for (const auto& part : parts) {
    line += first ? ": " : ",";
    // The comma of the next part needs its room too.
    if (!first && display_width(line) + display_width(part) + 2 > columns) {
      out.push_back(std::move(line));
      line.clear();
    } else if (!first) {
      line += ' ';
    }
    line += part;
    first = false;
  }
  out.push_back(std::move(line));
  return out;
}

/// `policy/0/1 generate`, for where there is little room.
std::string short_whereabouts(const failure_row& row) {
  auto out = printable(row.model);
  if (row.replica)
    out += fmt::format("/{}", *row.replica);
  if (row.rank)
    out += fmt::format("/{}", *row.rank);
  for (const auto* part : {&row.device, &row.operation})
    if (!part->empty())
      out += fmt::format("{}{}", out.empty() ? "" : " ", printable(*part));
  return out;
}

/// A message of several lines keeps them; nothing in it reaches the terminal
/// unchecked.
std::string clean_lines(std::string_view text) {
  std::string out;
  for (;;) {
    auto end = text.find('\n');
    out += printable(text.substr(0, end));
    if (end == std::string_view::npos)
      return out;
    out += '\n';
    text.remove_prefix(end + 1);
  }
}

void put_consequences(std::string& out, const failure_report& report,
                      std::size_t columns) {
  // One screen; the logs have the rest.
  constexpr std::size_t shown = 6;
  const auto& rows = report.consequences;
  if (rows.empty())
    return;
  out += fmt::format("{} consequence{} of the error below:\n", rows.size(),
                     rows.size() == 1 ? "" : "s");
  for (std::size_t i = 0; i < rows.size() && i < shown; ++i) {
    auto where = short_whereabouts(rows[i]);
    auto text = fmt::format("{}{}{}", where, where.empty() ? "" : ": ",
                            printable(rows[i].message));
    out += fmt::format("  {}\n", fit(text, columns - 2));
  }
  if (rows.size() > shown)
    out += fmt::format("  ... and {} more\n", rows.size() - shown);
  out += '\n';
}

} // namespace

style style_for(const terminal& out) {
  return {std::min(out.columns(), 80), out.colour(), out.unicode()};
}

std::string render_summary(const run_summary& summary, const style& look) {
  std::string out;
  put_headline(out, summary, look);
  put_evaluation(out, summary, look);
  put_weights(out, summary, look);
  put_processes(out, summary, look);
  put_times(out, summary, look);
  put_outputs(out, summary, look);
  return out;
}

std::string render_failure(const failure_report& report, const style& look) {
  auto columns = columns_of(look);
  std::string out;
  put_consequences(out, report, columns);
  if (!report.advice.empty()) {
    out += "what to do:\n";
    for (const auto& sentence : report.advice) {
      auto mark = std::string_view{"  - "};
      for (const auto& line : wrap(printable(sentence), columns - 4)) {
        out += fmt::format("{}{}\n", mark, line);
        mark = "    ";
      }
    }
    out += '\n';
  }
  if (!report.log_dir.empty())
    out += fmt::format("logs: {}\n", report.log_dir.string());
  if (!report.far_logs.empty())
    out += fmt::format("logs: {}\n", printable(report.far_logs));
  if (!report.log_dir.empty() || !report.far_logs.empty())
    out += '\n';
  for (const auto& line : fold(printable(report.first.severity),
                               whereabouts(report.first), columns))
    out += dress(look, "1;31", line) + "\n";
  if (!report.first.cause.empty())
    put_wrapped(out, fmt::format("cause: {}", clean_lines(report.first.cause)),
                columns, 2);
  put_wrapped(out, clean_lines(report.first.message), columns, 2);
  return out;
}

} // namespace troupe::console
