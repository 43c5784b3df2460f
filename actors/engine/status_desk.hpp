// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include <caf/fwd.hpp>

#include "troupe/actors/engine/run_listener.hpp"
#include "troupe/actors/monitor/status_board.hpp"
#include "troupe/actors/monitor/status_json.hpp"
#include "troupe/actors/monitor/status_server.hpp"

namespace troupe::engine {

struct desk_settings {
  monitor::introduction self;
  /// Whether to serve monitors at all, and where.
  bool serve = true;
  std::uint16_t port = 0;
  /// Where the run begins, and how many there will be.
  std::int64_t episode = 0;
  std::int64_t num_episode = 0;
  /// Holds `HOST:PORT` while the run can be looked at; empty means nowhere.
  std::filesystem::path address_file;
};

/// Lets monitors look at a run: hears what the run's listener hears, tells the
/// status_board, and serves its answers to whoever connects.
///
/// A desk that cannot open its port says so in a note and hears on: looking at
/// a run never stops it. Threads: as run_listener, and the server's own.
class status_desk final : public run_listener {
public:
  /// All but `settings` outlive the desk; `board` is an actor of `system`.
  status_desk(run_listener& inner, caf::actor_system& system,
              monitor::status_board_actor board, desk_settings settings);

  /// Closes, if nobody has.
  ~status_desk() override;

  /// From now on these are asked how the run stands.
  void watch(monitor::watched_run who);

  /// Tells how the run has ended, for the last time.
  void close(const run_outcome& outcome);

  void on_phase(std::string_view name, std::int64_t done,
                std::int64_t total) override;
  void on_episode(const episode_result& result) override;
  void on_note(std::string_view text) override;
  void on_restart(const restart_notice& notice) override;
  void on_error(const protocol::error_report& report) override;

private:
  void open();
  void stop();
  void tell();

  run_listener& inner_;
  caf::actor_system& system_;
  monitor::status_board_actor board_;
  desk_settings settings_;
  protocol::progress_status progress_;
  std::unique_ptr<monitor::status_server> server_;
};

} // namespace troupe::engine
