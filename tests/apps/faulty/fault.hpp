// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
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

  /// Also starts the thread that waits for orders, if there is one.
  explicit fault(const worker_context& ctx);

  /// Of the driver, whose code is no model's: from FAULTY_DRIVER
  /// (`PHASE ACTION NTH FIFO`, separated by blanks).
  [[nodiscard]] static fault of_driver();

  /// Does what was asked for if `phase` is the phase that was asked for, each
  /// time, the nth time only or while a file is there:
  ///
  ///  * `hold`: says so in the FIFO, then stands still until it is released;
  ///  * the others of `act`, which say so before.
  void reach(std::string_view phase);

  /// Whether this was asked for here: something that the module does itself.
  [[nodiscard]] bool wanted(std::string_view phase,
                            std::string_view action) const;

private:
  std::string phase_;
  std::string action_;
  std::string fifo_;
  std::string once_;
  std::string while_;
  std::string worker_;
  std::int64_t nth_ = 0;
  std::int64_t times_ = 0;
  bool mine_ = false;
};

/// What can go wrong: `throw`, `exit0`, `exit3`, `abort`, `segv`; `quit0` and
/// `quit1`, which run destructors and handlers on their way out; `oom`, memory
/// that runs out at a limit of the process (it then stays limited); `starve`,
/// only the exception; `slow`, 400 ms.
void act(std::string_view action, std::string_view phase);

/// Writes `worker phase pid` as one line to a FIFO that a test reads.
void say(const std::string& fifo, std::string_view worker,
         std::string_view phase);

/// Says so, then stands still until a byte comes through the FIFO
/// `fifo`.go; without that one, until the process is killed.
void hold(const std::string& fifo, std::string_view worker,
          std::string_view phase);

} // namespace troupe::test
