// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "apps/support/job_processes.hpp"
#include "apps/support/run_files.hpp"
#include "support/program.hpp"

namespace run_test {

using troupe::test::contains;
using troupe::test::flat;
using troupe::test::job_process;
using troupe::test::last_lines;
using troupe::test::lines_of;
using troupe::test::program;
using troupe::test::program_options;
using troupe::test::read_file;
using troupe::test::read_rows;
using troupe::test::timeless_metrics;

/// Long enough for a busy machine; a test that gets here has failed.
constexpr auto soon_time = std::chrono::seconds{30};

[[nodiscard]] troupe::deadline soon();

[[nodiscard]] inline troupe::deadline within(std::chrono::milliseconds x) {
  return troupe::deadline::after(x);
}

/// What may pass from the end of the driver to the end of everything else.
constexpr auto sweep_bound = std::chrono::seconds{2};

/// A worker that stands still because a test asked for it.
struct held_worker {
  /// `policy/1/0`
  std::string name;
  std::string phase;
  pid_t pid = 0;
};

/// What one worker is to do, as options of the command line.
struct wanted_fault {
  std::string model;
  int replica = 0;
  int rank = 0;
  std::string phase;
  std::string action;
};

/// Runs of the program faulty_app in a folder of their own. Whatever a test
/// does: when it ends no process of its runs may be left, and no shared memory.
class job_fixture {
public:
  /// Two devices.
  static constexpr int num_device = 2;

  job_fixture();

  ~job_fixture();

  job_fixture(const job_fixture&) = delete;
  job_fixture& operator=(const job_fixture&) = delete;

  [[nodiscard]] const std::filesystem::path& folder() const noexcept {
    return folder_;
  }

  /// A new file in the folder.
  std::filesystem::path write(const std::string& name,
                              std::string_view text) const;

  /// The configuration that all runs use unless told otherwise.
  [[nodiscard]] std::filesystem::path config() const {
    return folder_ / "faulty.yaml";
  }

  [[nodiscard]] std::filesystem::path runs() const { return folder_ / "runs"; }

  /// The folder of the only run.
  [[nodiscard]] std::filesystem::path only_run() const;

  /// A run's folders of checkpoints, complete or not, in order.
  [[nodiscard]] std::vector<std::string>
  checkpoints(const std::string& name) const;

  [[nodiscard]] bool has_complete_checkpoint(const std::string& name) const;

  /// The program, `run`, the configuration, `--devices cpu:2` and `more`.
  [[nodiscard]] std::vector<std::string>
  run_command(const std::vector<std::string>& more = {}) const;

  [[nodiscard]] std::vector<std::string>
  fault_options(const wanted_fault& x) const;

  /// Starts the program with these words in the test's folder; the program's
  /// own name is not among them.
  [[nodiscard]] std::unique_ptr<program>
  start(std::vector<std::string> words, program_options options = {}) const;

  /// Starts `run_command`.
  [[nodiscard]] std::unique_ptr<program>
  start_run(const std::vector<std::string>& more = {}) const {
    return start(run_command(more));
  }

  [[nodiscard]] std::unique_ptr<program>
  start_with(const wanted_fault& x) const {
    return start_run(fault_options(x));
  }

  /// Waits for a worker to stand still; fails the test if none does.
  [[nodiscard]] held_worker wait_held();

  /// The path that a held worker writes to.
  [[nodiscard]] std::filesystem::path fifo() const { return folder_ / "held"; }

  /// The processes of the job now.
  [[nodiscard]] std::vector<job_process> processes(const program& driver);

  /// All processes of this test's programs, and what they started.
  [[nodiscard]] std::vector<troupe::test::process_entry> everybody() const {
    return troupe::test::processes_with(mark_);
  }

  /// Waits until there is exactly one such process; fails the test otherwise.
  [[nodiscard]] job_process find(const program& driver, job_process::role part,
                                 int slot = -1);

  /// What is left of the job's processes when `until` passes and, within
  /// `sweeping_max` from then, of their sweepers and files; for
  /// `BOOST_TEST(... == "")`.
  [[nodiscard]] std::string
  left_after(troupe::deadline until,
             std::chrono::milliseconds sweeping_max = soon_time) const;

private:
  /// An entry of the environment that only processes of this test have.
  std::string mark_;
  std::filesystem::path folder_;
  int fifo_ = -1;
  std::string heard_;
  std::set<std::string> job_ids_;
};

/// The program under test.
[[nodiscard]] std::string faulty_app();

} // namespace run_test
