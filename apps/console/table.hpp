// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe::console {

enum class align : std::uint8_t { left, right };

/// A small table of text: columns two spaces apart, a rule beneath the header.
/// If the rows are wider than the limit, the widest left-aligned column gives
/// way and its cells are cut.
class table {
public:
  /// Starts with the columns' names; empty names mean no header.
  explicit table(std::vector<std::string> header,
                 std::vector<align> alignment = {});

  /// Missing cells are empty; more cells than columns are dropped.
  void add(std::vector<std::string> cells);

  [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }

  /// Whole lines, each at most `columns` wide and `indent` spaces in.
  [[nodiscard]] std::string render(std::size_t columns = 80,
                                   std::size_t indent = 0,
                                   bool unicode = false) const;

private:
  std::vector<std::string> header_;
  std::vector<align> alignment_;
  std::vector<std::vector<std::string>> rows_;
};

} // namespace troupe::console
