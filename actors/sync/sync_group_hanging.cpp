// SPDX-License-Identifier: Apache-2.0
// How the sync_group finds out what ranks do when a deadline is near.
#include <fmt/core.h>

#include "troupe/actors/sync/sync_group.hpp"
#include "troupe/core/log.hpp"

namespace troupe::sync {

void sync_group::look_around() {
  reminded_ = false;
  if (!run_ || machine_.finished())
    return;
  auto waited = clock().now() - phase_begin_;
  if (waited < alarm()) {
    reminded_ = true;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(alarm()
                                                                      - waited);
    delayed_send(this, left + std::chrono::milliseconds{1},
                 protocol::check_sync{});
    return;
  }
  run_->operations.clear();
  for (const auto& model : {source_, destination_})
    calls_.ask<protocol::operations>(model, patience(look_timeout_ms),
                                     protocol::get_operations{look_timeout_ms},
                                     [this, phase = phase_](
                                       result<protocol::operations> x) {
                                       if (x && run_ && phase == phase_)
                                         note_operations(std::move(x->items));
                                     });
}

void sync_group::note_operations(std::vector<protocol::worker_status> xs) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  for (auto& x : xs) {
    for (const auto& [member, last] : run_->answers)
      if (x.silent && machine_.members()[member].name == x.worker) {
        x.operation += fmt::format(" since it answered '{}'",
                                   to_string(last.to));
        x.age_ms = static_cast<std::uint64_t>(
          duration_cast<milliseconds>(clock().now() - last.at).count());
      }
    run_->operations.push_back(std::move(x));
  }
}

error sync_group::explain(const error& why) {
  auto where = fmt::format("sync {} ({})", sync_name_,
                           to_string(machine_.failed_in()));
  auto out = why.within(where);
  // Whoever gives up first breaks the links of others, who then say "lost".
  auto hangs = why.code() == errc::timed_out
               || ((why.code() == errc::lost || why.code() == errc::aborted)
                   && !run_->operations.empty());
  if (!hangs)
    return out;
  hang_report report;
  report.sync = sync_name_;
  report.state = machine_.failed_in();
  report.mode = machine_.mode();
  report.waited_ms = run_->timeout_ms;
  report.operations = run_->operations;
  for (auto i : machine_.missing())
    report.missing.push_back(machine_.members()[i].name);
  for (auto i : machine_.arrivals())
    report.arrived.push_back(machine_.members()[i].name);
  for (const auto& line : to_lines(report))
    log::error("sync_group", "{}", line);
  return {out.code(), out.message() + "; " + to_sentence(report)};
}

} // namespace troupe::sync
