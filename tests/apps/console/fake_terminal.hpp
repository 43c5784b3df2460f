// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/apps/console/terminal.hpp"

namespace troupe::console {

/// Collects what is written and shows what a person would see of it: knows
/// the few escape sequences that the views may use and fails on others.
class fake_terminal final : public terminal {
public:
  void write(std::string_view text) override {
    ++writes;
    raw += text;
    while (!text.empty())
      text.remove_prefix(consume(text));
  }

  [[nodiscard]] bool live() const override { return is_live; }

  [[nodiscard]] bool colour() const override { return has_colour; }

  [[nodiscard]] bool unicode() const override { return has_unicode; }

  [[nodiscard]] int columns() const override { return width; }

  /// The lines on the screen, without blanks at their ends.
  [[nodiscard]] std::string screen() const {
    std::string out;
    for (const auto& row : rows_) {
      std::string line;
      for (const auto& cell : row)
        line += cell;
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + '\n';
    }
    // The cursor rests in an empty last line.
    while (out.ends_with("\n\n"))
      out.pop_back();
    return out;
  }

  bool is_live = false;
  bool has_colour = false;
  bool has_unicode = false;
  int width = 80;
  std::string raw;
  std::size_t writes = 0;
  std::size_t unknown_sequences = 0;
  /// Lines that had to be broken because they were too long.
  std::size_t overflows = 0;
  bool cursor_visible = true;

private:
  using row = std::vector<std::string>;

  std::size_t consume(std::string_view text) {
    if (rows_.size() <= y_)
      rows_.resize(y_ + 1);
    if (text.front() == '\r') {
      x_ = 0;
      return 1;
    }
    if (text.front() == '\n') {
      x_ = 0;
      ++y_;
      if (rows_.size() <= y_)
        rows_.resize(y_ + 1);
      return 1;
    }
    if (text.front() == '\x1b')
      return escape(text);
    auto lead = static_cast<unsigned char>(text.front());
    std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (x_ >= static_cast<std::size_t>(width)) {
      ++overflows;
      x_ = 0;
      ++y_;
      rows_.resize(std::max(rows_.size(), y_ + 1));
    }
    auto& line = rows_[y_];
    if (line.size() <= x_)
      line.resize(x_ + 1, " ");
    line[x_++] = std::string{text.substr(0, size)};
    return size;
  }

  std::size_t escape(std::string_view text) {
    auto end = text.find_first_of("ABCDHJKmhl", 2);
    if (end == std::string_view::npos) {
      ++unknown_sequences;
      return text.size();
    }
    auto argument = std::string{text.substr(2, end - 2)};
    switch (text[end]) {
      case 'A': y_ -= std::min(y_, std::stoul(argument)); break;
      case 'K': rows_[y_].resize(std::min(rows_[y_].size(), x_)); break;
      case 'J':
        rows_[y_].resize(std::min(rows_[y_].size(), x_));
        rows_.resize(y_ + 1);
        break;
      case 'm': break;
      case 'h':
      case 'l':
        if (argument == "?25")
          cursor_visible = text[end] == 'h';
        else
          ++unknown_sequences;
        break;
      default: ++unknown_sequences; break;
    }
    return end + 1;
  }

  std::vector<row> rows_;
  std::size_t x_ = 0;
  std::size_t y_ = 0;
};

} // namespace troupe::console
