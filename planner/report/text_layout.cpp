// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/report/text_layout.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace troupe::planner::report {

namespace {

constexpr bool continues(char c) noexcept {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

/// Bytes of the first `width` columns.
std::size_t prefix_bytes(std::string_view text, std::size_t width) noexcept {
  std::size_t i = 0;
  for (; i < text.size(); ++i)
    if (!continues(text[i]) && width-- == 0)
      break;
  return i;
}

} // namespace

std::string paint(std::string_view text, style how, bool colour,
                  std::size_t model) {
  constexpr std::array<int, 6> model_colours{36, 33, 35, 32, 34, 96};
  if (!colour || how == style::plain)
    return std::string{text};
  auto code = std::string{};
  switch (how) {
    case style::title: code = "1"; break;
    case style::faint: code = "2"; break;
    case style::good: code = "32"; break;
    case style::warning: code = "33"; break;
    case style::bad: code = "1;31"; break;
    default:
      code = fmt::format("{}", model_colours[model % model_colours.size()]);
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::size_t width_of(std::string_view text) noexcept {
  return static_cast<std::size_t>(
    std::count_if(text.begin(), text.end(),
                  [](char c) { return !continues(c); }));
}

std::string printable(std::string_view text) {
  std::string out{text};
  for (auto& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      c = '?';
  return out;
}

std::string fit(std::string_view text, std::size_t width) {
  auto now = width_of(text);
  std::string out;
  if (now > width && width > 0) {
    out = text.substr(0, prefix_bytes(text, width - 1));
    out += '~';
    return out;
  }
  out = text;
  out.append(width - std::min(width, now), ' ');
  return out;
}

std::string fit_right(std::string_view text, std::size_t width) {
  auto now = width_of(text);
  if (now > width)
    return fit(text, width);
  std::string out(width - now, ' ');
  out += text;
  return out;
}

std::vector<std::string> wrap(std::string_view text, std::size_t width,
                              std::size_t indent) {
  width = std::max(width, indent + 8);
  std::vector<std::string> lines;
  std::string line;
  auto flush = [&] {
    lines.push_back(line);
    line.assign(indent, ' ');
  };
  auto is_blank = [&] {
    return line.find_first_not_of(' ') == std::string::npos;
  };
  std::size_t at = 0;
  while (at < text.size()) {
    auto end = std::min(text.find(' ', at), text.size());
    auto word = text.substr(at, end - at);
    at = end + 1;
    if (word.empty())
      continue;
    auto gap = is_blank() ? 0u : 1u;
    if (width_of(line) + gap + width_of(word) > width && !is_blank()) {
      flush();
      gap = 0;
    }
    while (width_of(line) + gap + width_of(word) > width) {
      auto bytes = prefix_bytes(word, width - width_of(line));
      line += word.substr(0, bytes);
      word.remove_prefix(bytes);
      flush();
    }
    line.append(gap, ' ');
    line += word;
  }
  if (!is_blank() || lines.empty())
    lines.push_back(line);
  return lines;
}

std::vector<std::string> wrap_name(std::string_view name, std::size_t width) {
  width = std::max<std::size_t>(width, 1);
  std::vector<std::string> lines;
  while (width_of(name) > width) {
    auto bytes = prefix_bytes(name, width);
    auto cut = name.substr(0, bytes).find_last_of("_-");
    // A stump of one or two letters reads worse than a hard cut.
    if (cut != std::string_view::npos && cut >= 2)
      bytes = cut + 1;
    lines.emplace_back(name.substr(0, bytes));
    name.remove_prefix(bytes);
  }
  lines.emplace_back(name);
  return lines;
}

std::string bar(double part, std::size_t width) {
  auto full = std::clamp(part, 0.0, 1.0) * static_cast<double>(width);
  auto marks = static_cast<std::size_t>(std::lround(full));
  if (part > 0)
    marks = std::max<std::size_t>(marks, 1);
  std::string out = "[";
  out.append(marks, '#');
  out.append(width - std::min(width, marks), '-');
  out += ']';
  return out;
}

} // namespace troupe::planner::report
