// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/redraw.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "troupe/apps/console/text.hpp"

namespace troupe::console {

namespace {

constexpr std::size_t max_columns = 80;
constexpr std::size_t min_columns = 12;

std::size_t width_of(const terminal& out) {
  return static_cast<std::size_t>(std::max(out.columns(), 1));
}

} // namespace

std::size_t redraw::columns() const {
  return std::clamp(width_of(out_), min_columns, max_columns) - 1;
}

void redraw::show(const std::vector<std::string>& lines,
                  const std::vector<std::string>& above) {
  std::string frame{"\x1b[?25l"};
  frame += erase();
  for (const auto& line : above)
    frame += line + "\x1b[K\n";
  shown_.clear();
  for (const auto& line : lines) {
    shown_.push_back(display_width(line));
    frame += line;
    frame += "\x1b[K\n";
  }
  frame += "\x1b[J\x1b[?25h";
  out_.write(frame);
}

std::string redraw::erase() const {
  auto columns = width_of(out_);
  // A narrowed terminal has broken the lines of the last frame into several.
  std::size_t rows = 0;
  for (auto width : shown_)
    rows += std::max<std::size_t>(1, (width + columns - 1) / columns);
  std::string out{"\r"};
  if (rows > 0)
    out += fmt::format("\x1b[{}A", rows);
  return out;
}

} // namespace troupe::console
