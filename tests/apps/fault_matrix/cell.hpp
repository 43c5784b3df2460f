// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fault_matrix {

/// What goes wrong.
enum class fault : std::uint8_t {
  kill,
  stop,
  segv,
  exit0,
  exit1,
  throws,
  oom,
};

/// To which process.
enum class victim : std::uint8_t {
  // Of a run on this machine.
  driver,
  guard,
  /// A device's host with a rank of the trainer and a replica of the policy.
  trainer,
  /// A host with a replica of the policy alone.
  policy,
  cpu,
  // Of a run over two nodes.
  far_driver,
  /// The process of the job on one of the machines, and its parent.
  node,
  parent,
  far_guard,
  far_trainer,
};

/// When.
enum class phase : std::uint8_t {
  setup,
  generation,
  training,
  sync,
  checkpoint,
};

inline constexpr fault all_faults[] = {fault::kill,  fault::stop,
                                       fault::segv,  fault::exit0,
                                       fault::exit1, fault::throws,
                                       fault::oom};

inline constexpr victim near_victims[] = {victim::driver, victim::guard,
                                          victim::trainer, victim::policy,
                                          victim::cpu};

inline constexpr victim far_victims[] = {victim::far_driver, victim::node,
                                         victim::parent, victim::far_guard,
                                         victim::far_trainer};

inline constexpr phase all_phases[] = {phase::setup, phase::generation,
                                       phase::training, phase::sync,
                                       phase::checkpoint};

[[nodiscard]] std::string_view to_string(fault x);
[[nodiscard]] std::string_view to_string(victim x);
[[nodiscard]] std::string_view to_string(phase x);

/// One place of the matrix.
struct cell {
  fault what = fault::kill;
  victim whom = victim::driver;
  phase when = phase::setup;
  /// In a run with `on_failure: restart`.
  bool restart = false;
};

/// `SIGKILL driver generation`, and ` restart`.
[[nodiscard]] std::string to_string(const cell& x);

[[nodiscard]] constexpr bool is_host(victim x) {
  return x == victim::trainer || x == victim::policy || x == victim::cpu
         || x == victim::far_trainer;
}

[[nodiscard]] constexpr bool is_driver(victim x) {
  return x == victim::driver || x == victim::far_driver;
}

[[nodiscard]] constexpr bool is_guard(victim x) {
  return x == victim::guard || x == victim::far_guard;
}

/// Needs a run over two nodes.
[[nodiscard]] constexpr bool is_far(victim x) {
  return x >= victim::far_driver;
}

/// Why nothing like this can happen; empty for a cell that can be tried.
[[nodiscard]] std::string_view senseless(const cell& x);

/// Every cell that can be tried, in the order of the table; restarts last.
[[nodiscard]] std::vector<cell> all_cells();

} // namespace fault_matrix
