// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe::config {

/// Collects what is wrong with a configuration, so that a person sees it all
/// at once, on one screen.
class problem_list {
public:
  /// Problems kept; further ones are counted.
  static constexpr std::size_t limit = 10;

  explicit problem_list(std::string file_name)
    : file_name_(std::move(file_name)) {
    // nop
  }

  /// `line` 0 is what `--set` gave.
  void add(int line, std::string_view key, std::string_view text);

  [[nodiscard]] bool empty() const noexcept { return problems_.empty(); }

  /// Whether looking for the reasons of another problem is wasted.
  [[nodiscard]] bool full() const noexcept { return problems_.size() >= limit; }

  /// All problems by line, one a line.
  [[nodiscard]] error to_error() const;

private:
  struct problem {
    int line = 0;
    std::string text;
  };

  std::string file_name_;
  std::vector<problem> problems_;
  std::size_t dropped_ = 0;
};

} // namespace troupe::config
