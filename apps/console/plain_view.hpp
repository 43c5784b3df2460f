// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "troupe/apps/console/progress.hpp"

namespace troupe::console {

/// A run as lines for a file or a pipe, all of less than 80 columns: every
/// note, every phase when it first appears, and at most one line a second for
/// episodes and one every ten seconds for the work inside them. The first and
/// the last episode and those with an evaluation are never left out.
class plain_view final : public progress_view {
public:
  plain_view(terminal& out, std::string title, const clock& time);

  void phase(std::string_view name, std::int64_t done,
             std::int64_t total) override;
  void episode(const episode_row& row) override;
  void note(std::string_view text) override;
  void tick() override;
  void finish() override;

private:
  void put(std::string_view text);

  std::mutex mutex_;
  terminal& out_;
  const clock& time_;
  time_point begin_;
  /// When phases and episodes last had a line.
  std::optional<time_point> last_phase_;
  std::optional<time_point> last_episode_;
  std::set<std::string, std::less<>> seen_;
  bool finished_ = false;
};

} // namespace troupe::console
