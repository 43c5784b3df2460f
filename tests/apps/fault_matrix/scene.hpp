// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "apps/support/job_processes.hpp"
#include "support/held_port.hpp"
#include "support/program.hpp"
#include "support/scratch.hpp"

namespace fault_matrix {

using troupe::test::job_process;

/// A worker, or the driver, that said where it is.
struct said_line {
  std::string name;
  std::string phase;
  pid_t pid = 0;
};

/// Runs of faulty_app in a folder of their own, on this machine or over nodes,
/// and everything of theirs that may be left. Nothing throws but for want of
/// processes or disk.
class scene {
public:
  scene();

  ~scene();

  scene(const scene&) = delete;
  scene& operator=(const scene&) = delete;

  // -- starting ---------------------------------------------------------------

  /// Two machines with one device each. False if one does not come up.
  [[nodiscard]] bool start_nodes();

  /// `run` on two devices of this machine, or over the nodes if there are
  /// some; `env` is the driver's, and that of what it starts.
  void start_run(const std::vector<std::string>& more,
                 const std::vector<std::string>& env = {});

  [[nodiscard]] bool started() const { return driver_ != nullptr; }

  [[nodiscard]] troupe::test::program& driver() { return *driver_; }

  /// The parent on the machine where something is to fail.
  [[nodiscard]] const troupe::test::program& victim_node() const {
    return *nodes_.back();
  }

  // -- talking to workers -----------------------------------------------------

  /// Where workers say what they do.
  [[nodiscard]] std::filesystem::path fifo() const { return path("said"); }

  /// What a module's thread waits for.
  [[nodiscard]] std::filesystem::path order() const { return path("order"); }

  /// Only whoever makes this file fails.
  [[nodiscard]] std::filesystem::path once() const { return path("once"); }

  /// The next line, or nothing if the run ends before or `until` passes.
  [[nodiscard]] std::optional<said_line> hear(troupe::deadline until);

  /// Lets the worker that stands still go on.
  void release() { write_byte(go_); }

  /// Has the module's thread fail.
  void give_order() { write_byte(order_); }

  // -- looking ----------------------------------------------------------------

  /// Living processes of the job. Nodes' parents are none, and their guards
  /// and processes only while they work for it.
  [[nodiscard]] std::vector<job_process> processes();

  /// Waits until exactly one process of the job is like this.
  [[nodiscard]] std::optional<pid_t>
  find(const std::function<bool(const job_process&)>& like,
       troupe::deadline until);

  /// The process of the job on the machine where something is to fail, and its
  /// guard.
  [[nodiscard]] std::optional<pid_t> find_node_process();
  [[nodiscard]] std::optional<pid_t> find_node_guard();

  /// The files of the only run.
  [[nodiscard]] std::filesystem::path run() const { return path("runs/it"); }

  /// True once the run has recorded an error.
  [[nodiscard]] bool has_error() const;

  /// Waits until nothing but the processes `spared` is left of the job. What
  /// is left when `until` passes: processes, shared memory, temporary files;
  /// empty if nothing.
  [[nodiscard]] std::string left(troupe::deadline until,
                                 const std::set<pid_t>& spared = {});

  /// Waits until that machine waits for a job again.
  [[nodiscard]] bool serves_again(troupe::deadline until);

  /// Ends the nodes in good order; what is left of them, empty if nothing.
  [[nodiscard]] std::string stop_nodes();

private:
  [[nodiscard]] std::filesystem::path path(const char* name) const {
    return folder_.path() / name;
  }

  static void write_byte(int fd);

  [[nodiscard]] std::string left_now(const std::set<pid_t>& spared);

  troupe::test::scratch folder_;
  std::string mark_;
  int said_ = -1;
  int go_ = -1;
  int order_ = -1;
  std::string heard_;
  std::vector<troupe::test::held_port> ports_;
  std::vector<std::string> gates_;
  std::vector<std::unique_ptr<troupe::test::program>> nodes_;
  std::unique_ptr<troupe::test::program> driver_;
  std::set<std::string> job_ids_;
};

} // namespace fault_matrix
