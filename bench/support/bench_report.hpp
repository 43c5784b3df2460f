// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "troupe/bench/support/statistics.hpp"
#include "troupe/core/error.hpp"

namespace troupe::bench {

/// One figure of a benchmark. Its name carries its unit (`..._us`,
/// `..._seconds`, `..._per_s`; a ratio has none) and is the key in the JSON.
struct metric {
  std::string name;
  double value = 0;
  /// The lowest and highest value of the rounds that `value` is the median of.
  std::optional<statistics> rounds = {};
  /// For people: `"<= 1.5"`.
  std::string budget = {};
};

/// The figures of one run, as a table for people and as JSON for programs.
/// Plain state; one thread.
class bench_report {
public:
  /// Figures under one heading stand together in the table.
  void begin_section(std::string heading);

  void add(metric x);

  /// The median of `rounds`, with their spread.
  void add_rounds(std::string name, const std::vector<double>& rounds,
                  std::string budget = {});

  /// A line beneath the table of the current section.
  void note(std::string text);

  /// Null if there is none.
  [[nodiscard]] const metric* find(const std::string& name) const noexcept;

  /// Whole lines of at most 80 columns.
  [[nodiscard]] std::string to_table() const;

  /// One object, name -> number, in the order of `add`. A figure that is not
  /// finite is null.
  [[nodiscard]] std::string to_json() const;

private:
  struct section {
    std::string heading;
    std::vector<metric> metrics;
    std::vector<std::string> notes;
  };

  section& current();

  std::vector<section> sections_;
};

} // namespace troupe::bench
