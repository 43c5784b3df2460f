// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "troupe/apps/console/episode_row.hpp"
#include "troupe/apps/console/run_summary.hpp"
#include "troupe/core/error.hpp"

namespace troupe::console {

/// The folder that holds what a run leaves behind:
///
///     OUTPUT_DIR/NAME/config.yaml    the resolved configuration
///                     metrics.jsonl  one object an episode
///                     ledger.jsonl   which samples each episode trained on
///                     errors.jsonl   every error as it was recorded
///                     nodes.json     with --nodes: which, and their logs
///                     checkpoints/   see actors/checkpoint
///                     summary.json   written at the end
///                     reward.svg     the plot
///                     log/           one file a process
///
/// Errors say what to do: `errc::refused` for missing rights and a name that
/// exists, `errc::invalid` for a name or path that cannot be,
/// `errc::exhausted` for a full disk.
///
/// As long as one of its copies lives, or a process that inherited its
/// descriptor, a lock keeps others from going on with the run.
class run_directory {
public:
  static constexpr const char* monitor_file_name = "monitor.address";

  /// The socket that takes orders while the run goes on.
  static constexpr const char* orders_file_name = "orders";

  /// Makes OUTPUT_DIR (with parents), a new OUTPUT_DIR/NAME and its log/.
  /// An empty name becomes `APP-YYYYMMDD-HHMMSS` in UTC, with `-2`, `-3`...
  /// if taken. A given name must be a plain file name.
  [[nodiscard]] static result<run_directory>
  create(const std::filesystem::path& output_dir, std::string_view name,
         std::string_view app,
         std::chrono::system_clock::time_point now =
           std::chrono::system_clock::now());

  /// Where the run `name` is: the folder OUTPUT_DIR/NAME, or NAME itself if it
  /// contains a slash. Fails with `errc::invalid` if there is no run.
  [[nodiscard]] static result<std::filesystem::path>
  find(const std::filesystem::path& output_dir, std::string_view name);

  /// The directory of an earlier run. Waits for two seconds for the end of one
  /// that goes on, and longer while what a killed run has left is removed. Fails with `errc::unavailable` if the run is
  /// still going on.
  [[nodiscard]] static result<run_directory>
  reopen(const std::filesystem::path& path);

  /// Forgets what happened after `episode`: the summary, later lines of
  /// metrics.jsonl and ledger.jsonl, and what a kill left of a line.
  [[nodiscard]] result<void> rewind(std::int64_t episode) const;

  /// The rows of metrics.jsonl; lines that are none are left out.
  [[nodiscard]] std::vector<episode_row> rows() const;

  /// Whether its summary says that the run has reached its end.
  [[nodiscard]] bool finished() const;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  [[nodiscard]] const std::filesystem::path& path() const noexcept {
    return path_;
  }

  [[nodiscard]] std::filesystem::path log_dir() const { return path_ / "log"; }

  [[nodiscard]] std::filesystem::path config_file() const {
    return path_ / "config.yaml";
  }

  [[nodiscard]] std::filesystem::path metrics_file() const {
    return path_ / "metrics.jsonl";
  }

  [[nodiscard]] std::filesystem::path ledger_file() const {
    return path_ / "ledger.jsonl";
  }

  [[nodiscard]] std::filesystem::path errors_file() const {
    return path_ / "errors.jsonl";
  }

  /// Where a monitor finds the run while it goes on.
  [[nodiscard]] std::filesystem::path monitor_file() const {
    return path_ / monitor_file_name;
  }

  [[nodiscard]] std::filesystem::path orders_file() const {
    return path_ / orders_file_name;
  }

  /// Which machines serve the run, if there are others.
  [[nodiscard]] std::filesystem::path nodes_file() const {
    return path_ / "nodes.json";
  }

  [[nodiscard]] std::filesystem::path checkpoint_dir() const {
    return path_ / "checkpoints";
  }

  [[nodiscard]] std::filesystem::path summary_file() const {
    return path_ / "summary.json";
  }

  [[nodiscard]] std::filesystem::path plot_file() const {
    return path_ / "reward.svg";
  }

  /// What is here only while the run goes on, or until something is whole, and
  /// stays if the run is killed. Relative paths, without checkpoints.
  [[nodiscard]] static std::vector<std::filesystem::path> leftovers();

  /// A descriptor of the folder; it has the lock. Whoever inherits it holds the
  /// lock too.
  [[nodiscard]] int descriptor() const noexcept;

  /// Removes the folder of a run that has not begun, so that its name is free.
  void discard() const;

  /// Writes config.yaml.
  [[nodiscard]] result<void> write_config(std::string_view yaml) const;

  /// Writes summary.json: complete or not at all, replacing an older one.
  [[nodiscard]] result<void> write_summary(const run_summary& summary) const;

private:
  run_directory(std::filesystem::path path, std::string name);

  struct lock;

  /// Takes the lock; `patiently`: waits for it, see `reopen`.
  [[nodiscard]] result<void> claim(bool patiently);

  std::filesystem::path path_;
  std::string name_;
  /// Holds the lock; let go with the last copy, or with the process.
  std::shared_ptr<const lock> lock_;
};

/// Appends to one of the .jsonl files: one JSON object a line, handed to the
/// system line by line, so that a killed run keeps its episodes. Numbers that
/// are not finite become null. Callable from any thread.
class line_writer {
public:
  line_writer() = default;
  ~line_writer();
  line_writer(const line_writer&) = delete;
  line_writer& operator=(const line_writer&) = delete;

  [[nodiscard]] result<void> open(const std::filesystem::path& file);

  /// The file may then be opened again, or another one.
  void close() noexcept;

  /// `object` must be a JSON object.
  [[nodiscard]] result<void> write(const nlohmann::ordered_json& object);

  [[nodiscard]] result<void> write(const episode_row& row);

private:
  std::mutex mutex_;
  std::filesystem::path file_;
  int fd_ = -1;
};

} // namespace troupe::console
