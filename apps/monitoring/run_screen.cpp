// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/monitoring/run_screen.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/actors/protocol/monitor.hpp"
#include "troupe/apps/console/row_text.hpp"
#include "troupe/apps/console/table.hpp"
#include "troupe/apps/console/text.hpp"
#include "troupe/core/units.hpp"

namespace troupe::monitoring {

namespace {

using console::display_width;
using console::fit;
using console::printable;
using std::chrono::milliseconds;

constexpr std::size_t label_width = 10;
constexpr std::size_t errors_shown = 6;

/// Of what `changes` gives; a long error may be wider.
constexpr std::size_t line_width = 79;

/// Lines that the table of workers has at least, whatever else there is.
constexpr std::size_t workers_least = 4;

constexpr const char* bold = "1";
constexpr const char* dim = "2";
constexpr const char* red = "31";
constexpr const char* yellow = "33";

std::string dress(const screen_style& style, const char* code,
                  std::string text) {
  return style.colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

std::string labelled(const screen_style& style, std::string_view label,
                     const std::string& text) {
  auto room = style.columns > label_width ? style.columns - label_width : 0;
  return dress(style, dim, fmt::format("{:<{}}", label, label_width))
         + fit(text, room);
}

std::string span(std::int64_t ms) {
  if (ms < 1000)
    return fmt::format("{} ms", std::max<std::int64_t>(ms, 0));
  return format_duration(milliseconds{ms});
}

std::string title(const run_picture& run, const screen_style& style,
                  std::string_view note) {
  auto right = note.empty()
                 ? "up " + console::clock_text(milliseconds{run.uptime_ms})
                 : std::string{note};
  right = fit(right, style.columns);
  auto room = style.columns - std::min(style.columns, display_width(right) + 2);
  auto left = fit(printable(fmt::format("{} {}", run.app, run.run)), room);
  auto gap = style.columns - display_width(left) - display_width(right);
  return dress(style, bold, left) + std::string(gap, ' ')
         + (note.empty() ? right : dress(style, yellow, right));
}

std::string where_it_stands(const run_picture& run) {
  if (!run.end.empty())
    return printable(
      run.cause.empty() ? run.end : fmt::format("{}: {}", run.end, run.cause));
  auto text = fmt::format("{}/{}", run.episode, run.num_episode);
  if (!run.phase.empty()) {
    // Most phases count episodes, which are told already.
    auto count = run.phase_total == run.num_episode
                   ? std::string{}
                   : console::phase_count(run.phase_done, run.phase_total);
    text += fmt::format("  {}{} for {}", printable(run.phase), count,
                        span(run.phase_ms));
  }
  if (run.restarts > 0)
    text += fmt::format("  {} restart{}", run.restarts,
                        run.restarts == 1 ? "" : "s");
  return text;
}

std::string metrics_of(const run_picture& run, std::size_t room) {
  std::string out;
  for (const auto& [name, value] : run.metrics) {
    auto part = fmt::format("{} {}", printable(name),
                            value ? console::number_text(*value)
                                  : std::string{"not finite"});
    auto gap = out.empty() ? 0u : 2u;
    // Numbers that are cut lie.
    if (display_width(out) + gap + display_width(part) > room)
      break;
    out.append(gap, ' ');
    out += part;
  }
  return out;
}

std::string models_of(const run_picture& run) {
  std::vector<std::string> parts;
  for (const auto& x : run.models) {
    auto text = fmt::format("{} {}x{}", printable(x.name), x.replicas, x.ranks);
    if (x.version)
      text += fmt::format(" v{}", *x.version);
    if (x.trainable)
      text += " trains";
    parts.push_back(std::move(text));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

// -- workers -------------------------------------------------------------------

console::table table_of_workers(const run_picture& run) {
  using console::align;
  console::table out{{"device", "pid", "worker", "version", "does", "for"},
                     {align::left, align::right, align::left, align::right,
                      align::left, align::right}};
  std::map<std::string, const worker_picture*> known;
  for (const auto& x : run.workers)
    known[x.name] = &x;
  auto add = [&](const host_picture& host, bool first,
                 const std::string& worker) {
    std::vector<std::string> row(6);
    if (first) {
      row[0] = host.node > 0 ? fmt::format("{} {}", host.node, host.device)
                             : host.device;
      row[1] = std::to_string(host.pid);
    }
    row[2] = worker;
    auto i = known.find(worker);
    if (!host.alive) {
      row[4] = "its process has ended";
    } else if (i != known.end()) {
      const auto& x = *i->second;
      if (x.answers)
        row[3] = std::to_string(x.version);
      row[4] = x.operation;
      row[5] = span(x.ms);
    } else if (worker.empty()) {
      row[4] = "no workers";
    } else {
      row[4] = "starting";
    }
    out.add(std::move(row));
  };
  for (const auto& host : run.hosts) {
    if (host.workers.empty())
      add(host, true, {});
    for (std::size_t i = 0; i < host.workers.size(); ++i)
      add(host, i == 0, host.workers[i]);
  }
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    auto end = text.find('\n', at);
    out.push_back(text.substr(at, end - at));
    at = end == std::string::npos ? text.size() : end + 1;
  }
  return out;
}

// -- errors --------------------------------------------------------------------

std::string time_of_day(std::uint64_t time_ms) {
  auto seconds = static_cast<std::time_t>(time_ms / 1000);
  std::tm x{};
  if (!::localtime_r(&seconds, &x))
    return "??:??:??";
  return fmt::format("{:02}:{:02}:{:02}", x.tm_hour, x.tm_min, x.tm_sec);
}

std::string error_line(const protocol::error_report& x, std::size_t followed) {
  auto text = fmt::format("{}  {:<7}  {}", time_of_day(x.time_ms),
                          x.level == protocol::severity::warning ? "warning"
                                                                 : "error",
                          printable(to_string(x)));
  return followed == 0 ? text
                       : fmt::format("{} (+{} consequence{})", text, followed,
                                     followed == 1 ? "" : "s");
}

/// The last ones, newest first; consequences stand with their cause alone.
std::vector<std::string> error_lines(const run_picture& run,
                                     const screen_style& style) {
  std::map<std::uint64_t, std::size_t> followed;
  for (const auto& x : run.reports)
    ++followed[x.cause];
  auto shown = [&](const protocol::error_report& x) {
    return x.cause == 0
           || std::ranges::none_of(run.reports, [&](const auto& y) {
                return y.id == x.cause;
              });
  };
  std::vector<std::string> out;
  for (auto i = run.reports.rbegin();
       i != run.reports.rend() && out.size() < errors_shown; ++i) {
    if (!shown(*i))
      continue;
    auto count = i->id == 0 ? 0 : followed[i->id];
    auto line = error_line(*i, 0);
    auto tail = count == 0 ? std::string{} : error_line(*i, count);
    tail = count == 0 ? tail : tail.substr(line.size());
    // The count must not be cut off.
    auto room = style.columns - std::min(style.columns, tail.size());
    out.push_back(dress(style,
                        i->level == protocol::severity::warning ? yellow : red,
                        fit(line, room) + tail));
  }
  return out;
}

std::string error_counts(const run_picture& run) {
  if (run.errors + run.warnings == 0)
    return "none";
  return fmt::format("{} error{}, {} warning{}", run.errors,
                     run.errors == 1 ? "" : "s", run.warnings,
                     run.warnings == 1 ? "" : "s");
}

} // namespace

std::vector<std::string> draw(const run_picture& run, const screen_style& style,
                              std::string_view note) {
  std::vector<std::string> out;
  auto room = style.columns > label_width ? style.columns - label_width : 1;
  out.push_back(title(run, style, note));
  if (run.end.empty())
    out.push_back(labelled(style, "episode", where_it_stands(run)));
  else
    // A cause is told whole.
    for (std::string_view label{"ended"};
         const auto& line : console::wrap(where_it_stands(run), room))
      out.push_back(labelled(style, std::exchange(label, ""), line));
  if (auto metrics = metrics_of(run, room); !metrics.empty())
    out.push_back(labelled(style, "metrics", metrics));
  if (!run.models.empty())
    out.push_back(labelled(style, "models", models_of(run)));
  out.emplace_back();
  std::vector<std::string> tail;
  tail.emplace_back();
  for (const auto& x : run.silent)
    tail.push_back(labelled(style, "silent", printable(x)));
  tail.push_back(labelled(style, "errors", error_counts(run)));
  for (auto& line : error_lines(run, style))
    tail.push_back(std::move(line));
  auto workers = lines_of(
    table_of_workers(run).render(style.columns, 0, style.unicode));
  if (style.rows > 0) {
    auto taken = out.size() + tail.size() + 1;
    auto left = std::max(style.rows > taken ? style.rows - taken : 0,
                         workers_least);
    if (workers.size() > left) {
      auto hidden = workers.size() - left + 1;
      workers.resize(left - 1);
      workers.push_back(fmt::format("... and {} more; a taller window shows "
                                    "them",
                                    hidden));
    }
  }
  out.insert(out.end(), workers.begin(), workers.end());
  out.insert(out.end(), tail.begin(), tail.end());
  // Whatever the window: one that is too low shows the beginning.
  if (style.rows > 1 && out.size() >= style.rows)
    out.resize(style.rows - 1);
  return out;
}

std::vector<std::string> changes(const run_picture& before,
                                 const run_picture& now) {
  std::vector<std::string> out;
  auto last = std::uint64_t{0};
  for (const auto& x : before.reports)
    last = std::max(last, x.id);
  for (const auto& x : now.reports)
    if (x.id > last)
      out.push_back(error_line(x, 0));
  if (before.phase != now.phase || before.episode != now.episode
      || before.end != now.end || before.restarts != now.restarts) {
    auto text = fmt::format("{}  {}",
                            console::clock_text(milliseconds{now.uptime_ms}),
                            now.end.empty() ? "episode " : "");
    text += where_it_stands(now);
    auto used = display_width(text) + 2;
    if (before.episode != now.episode && used < line_width)
      if (auto metrics = metrics_of(now, line_width - used); !metrics.empty())
        text += "  " + metrics;
    out.push_back(std::move(text));
  }
  return out;
}

} // namespace troupe::monitoring
