// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/config/options.hpp"
#include "troupe/actors/model/worker_context.hpp"

namespace troupe::test {

/// What a test wants to go wrong in one worker, and where.
class fault {
public:
  /// The options that a model of the test program has.
  [[nodiscard]] static std::vector<option_spec> options();

  fault() = default;

  explicit fault(const worker_context& ctx);

  /// Does what was asked for if `phase` is the phase that was asked for:
  ///
  ///  * `hold`: says so in the FIFO, then blocks until the process is killed;
  ///  * `throw`, `exit0`, `exit3`, `abort`, `segv`: just that;
  ///  * `starve`: runs out of memory;
  ///  * `slow`: takes 400 ms longer than others.
  void reach(std::string_view phase) const;

  /// Whether this was asked for here: something that the module does itself.
  [[nodiscard]] bool wanted(std::string_view phase,
                            std::string_view action) const;

private:
  std::string phase_;
  std::string action_;
  std::string fifo_;
  std::string worker_;
  bool mine_ = false;
};

/// Writes `worker phase pid` as one line to a FIFO that a test reads, and
/// blocks until the process is killed.
[[noreturn]] void hold(const std::string& fifo, std::string_view worker,
                       std::string_view phase);

} // namespace troupe::test
