// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/support/bench_report.hpp"

#include <cmath>

#include <fmt/format.h>

#include "troupe/apps/console/json_number.hpp"
#include "troupe/apps/console/table.hpp"

namespace troupe::bench {

namespace {

/// Four digits that mean something, without an exponent.
std::string number(double x) {
  if (!std::isfinite(x))
    return "-";
  auto size = std::abs(x);
  if (size >= 1000)
    return fmt::format("{:.0f}", x);
  if (size >= 100)
    return fmt::format("{:.1f}", x);
  return size >= 10 ? fmt::format("{:.2f}", x) : fmt::format("{:.3f}", x);
}

} // namespace

bench_report::section& bench_report::current() {
  if (sections_.empty())
    sections_.emplace_back();
  return sections_.back();
}

void bench_report::begin_section(std::string heading) {
  sections_.push_back({std::move(heading), {}, {}});
}

void bench_report::add(metric x) {
  current().metrics.push_back(std::move(x));
}

void bench_report::add_rounds(std::string name,
                              const std::vector<double>& rounds,
                              std::string budget) {
  auto all = summarize(rounds);
  add({std::move(name), all.median, all, std::move(budget)});
}

void bench_report::note(std::string text) {
  current().notes.push_back(std::move(text));
}

const metric* bench_report::find(const std::string& name) const noexcept {
  for (const auto& part : sections_)
    for (const auto& x : part.metrics)
      if (x.name == name)
        return &x;
  return nullptr;
}

std::string bench_report::to_table() const {
  using console::align;
  std::string out;
  for (const auto& part : sections_) {
    if (!out.empty())
      out += '\n';
    if (!part.heading.empty())
      out += part.heading + "\n\n";
    console::table figures{{"figure", "value", "lowest", "highest", "budget"},
                           {align::left, align::right, align::right,
                            align::right, align::left}};
    for (const auto& x : part.metrics)
      figures.add({x.name, number(x.value),
                   x.rounds ? number(x.rounds->min) : "",
                   x.rounds ? number(x.rounds->max) : "", x.budget});
    if (!part.metrics.empty())
      out += figures.render(80, 2);
    for (const auto& line : part.notes)
      out += "  " + line + "\n";
  }
  return out;
}

std::string bench_report::to_json() const {
  auto out = nlohmann::ordered_json::object();
  for (const auto& part : sections_)
    for (const auto& x : part.metrics)
      out[x.name] = console::json_number(x.value);
  return console::json_text(out, 2) + "\n";
}

} // namespace troupe::bench
