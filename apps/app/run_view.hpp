// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "troupe/actors/config/job_config.hpp"
#include "troupe/actors/engine/run_listener.hpp"
#include "troupe/apps/console/failure.hpp"
#include "troupe/apps/console/progress.hpp"
#include "troupe/apps/console/run_directory.hpp"
#include "troupe/apps/console/terminal.hpp"

namespace troupe::app_command {

/// Shows a run to a person and writes its metrics: the engine's words become
/// the console's.
class run_view final : public engine::run_listener {
public:
  /// `directory` outlives the view.
  run_view(const console::run_directory& directory, std::string title,
           bool plain);
  ~run_view() override;

  void on_phase(std::string_view name, std::int64_t done,
                std::int64_t total) override;
  void on_episode(const engine::episode_result& result) override;
  void on_note(std::string_view text) override;
  void on_restart(const engine::restart_notice& notice) override;
  void on_error(const protocol::error_report& report) override;

  /// As run_directory::rewind, for files that this object writes to.
  [[nodiscard]] result<void> rewind(std::int64_t episode);

  void write_plot(const console::run_directory& directory,
                  const std::string& app);

  /// Ends the live view; the terminal is the caller's again.
  void finish();

  /// The first thing that could not be written; ask after `finish`.
  [[nodiscard]] std::optional<error> lost_output() const;

  [[nodiscard]] console::terminal& terminal() noexcept { return *terminal_; }

private:
  /// Writes unless something was lost before: one sentence says it, and another
  /// at the end.
  template <class Row>
  void keep(console::line_writer& to, const Row& row);

  void open_files();

  /// Remembers and shows the first failure to write.
  void lose(const result<void>& written);

  const console::run_directory& directory_;
  std::unique_ptr<console::terminal> terminal_;
  std::unique_ptr<console::progress_view> progress_;
  console::line_writer metrics_;
  console::line_writer ledger_;
  console::line_writer errors_;
  mutable std::mutex lost_mutex_;
  std::optional<error> lost_;
  /// Keeps the clock on the screen going during long calls.
  std::mutex mutex_;
  std::condition_variable ended_;
  bool finished_ = false;
  std::thread ticker_;
};

/// One episode as the console shows it.
[[nodiscard]] console::episode_row
make_row(const engine::episode_result& result);

[[nodiscard]] console::run_summary
make_summary(const config::job_config& config,
             const engine::run_outcome& outcome,
             const console::run_directory& directory);

/// The outcome of a failed run as a person should read it.
[[nodiscard]] console::failure_report
make_failure(const engine::run_outcome& outcome,
             const console::run_directory& directory);

} // namespace troupe::app_command
