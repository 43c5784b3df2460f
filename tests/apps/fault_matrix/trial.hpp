// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/fault_matrix/cell.hpp"

namespace fault_matrix {

/// What came of one cell.
struct outcome {
  cell where;
  /// From the fault to the first recorded error.
  std::optional<int> detect_ms;
  /// From the fault to the end of the run, or of what it left behind.
  std::optional<int> end_ms;
  /// The driver's, see `expectation`.
  std::optional<int> code;
  /// The end of what the driver printed, on one line.
  std::string words;
  /// Two seconds after the end.
  std::string left;
  /// What is not as expected; empty if all is.
  std::string wrong;
};

/// Metrics and ledger of runs that nobody disturbed, made when first asked for.
class baseline {
public:
  struct figures {
    std::vector<nlohmann::json> metrics;
    std::vector<nlohmann::json> ledger;
    /// Why there are none.
    std::string wrong;
  };

  [[nodiscard]] const figures& of(bool isolated);

private:
  std::map<bool, figures> made_;
};

/// Makes the fault happen in a run of its own, and looks what comes of it.
/// `more` are further options of the run.
[[nodiscard]] outcome try_cell(const cell& x, baseline& undisturbed,
                               const std::vector<std::string>& more);

} // namespace fault_matrix
