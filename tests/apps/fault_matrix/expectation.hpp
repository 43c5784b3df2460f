// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "apps/fault_matrix/cell.hpp"

namespace fault_matrix {

/// What is right in one cell.
struct expectation {
  /// A code of the driver's, and words that stand in its last lines.
  struct ending {
    /// Minus a signal's number for one that was killed.
    int code = 0;
    std::vector<std::string> words;
  };

  /// Any of them. A run that is started anew ends with 0.
  std::vector<ending> endings;

  /// From the fault to the first line of errors.jsonl; 0: there need be none.
  std::chrono::milliseconds detect_max{0};

  /// From the fault to the end of the run. Of a frozen driver: to the end of
  /// everything but it.
  std::chrono::milliseconds end_max{5'000};

  /// After the end of the run.
  std::chrono::milliseconds left_max{2'000};

  /// A process that was frozen is woken only when the rest has ended.
  bool leave_frozen = false;
};

/// `by_thread`: a thread of the module's fails, not a function.
[[nodiscard]] expectation expected(const cell& x, bool by_thread);

/// The worker of the victim that fails or is named; empty for no host.
[[nodiscard]] std::string victim_worker(const cell& x);

} // namespace fault_matrix
