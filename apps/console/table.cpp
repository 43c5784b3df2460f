// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/table.hpp"

#include <algorithm>

#include "troupe/apps/console/text.hpp"

namespace troupe::console {

namespace {

constexpr std::size_t gap = 2;

/// A column is not cut below this, whatever the limit.
constexpr std::size_t least_width = 6;

} // namespace

table::table(std::vector<std::string> header, std::vector<align> alignment)
  : header_(std::move(header)),
    alignment_(std::move(alignment)) {
  alignment_.resize(header_.size(), align::left);
}

void table::add(std::vector<std::string> cells) {
  cells.resize(header_.size());
  for (auto& cell : cells)
    cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string table::render(std::size_t columns, std::size_t indent,
                          bool unicode) const {
  std::vector<std::size_t> widths(header_.size());
  auto measure = [&](const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i)
      widths[i] = std::max(widths[i], display_width(cells[i]));
  };
  measure(header_);
  for (const auto& row : rows_)
    measure(row);
  auto total = indent;
  for (auto width : widths)
    total += width + gap;
  total -= std::min(total, gap);
  while (total > columns) {
    // Numbers that are cut lie, so texts give way first.
    std::size_t widest = widths.size();
    for (std::size_t i = 0; i < widths.size(); ++i)
      if (alignment_[i] == align::left && widths[i] > least_width
          && (widest == widths.size() || widths[i] > widths[widest]))
        widest = i;
    if (widest == widths.size())
      break;
    --widths[widest];
    --total;
  }
  std::string out;
  auto put = [&](const std::vector<std::string>& cells) {
    std::string line(indent, ' ');
    for (std::size_t i = 0; i < cells.size(); ++i) {
      auto cell = fit(cells[i], widths[i]);
      auto blank = std::string(widths[i] - display_width(cell), ' ');
      line += alignment_[i] == align::right ? blank + cell : cell + blank;
      line.append(gap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line;
    out += '\n';
  };
  auto named = std::any_of(header_.begin(), header_.end(),
                           [](const auto& name) { return !name.empty(); });
  if (named) {
    put(header_);
    std::vector<std::string> rules;
    for (auto width : widths) {
      std::string rule;
      for (std::size_t i = 0; i < width; ++i)
        rule += unicode ? "\u2500" : "-";
      rules.push_back(std::move(rule));
    }
    put(rules);
  }
  for (const auto& row : rows_)
    put(row);
  return out;
}

} // namespace troupe::console
