// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "troupe/apps/console/progress.hpp"
#include "troupe/apps/console/redraw.hpp"
#include "troupe/apps/console/sparkline.hpp"

namespace troupe::console {

/// A run in a few lines that are redrawn in place:
///
///     grpo demo-1                                                      01:03
///     episode   12/200  ====----------------------------   about 4 min left
///     phase     generation 37/64
///     reward    0.412  .-~=+*##
///     accuracy  0.873  from 0.352  .-~=+*##
///     speed     1,234 tokens/s  sync 3.1 ms  loss 0.120  kl 0.031
///
/// Redrawn as redraw.hpp says.
class live_view final : public progress_view {
public:
  live_view(terminal& out, std::string title, const clock& time);
  ~live_view() override;

  void phase(std::string_view name, std::int64_t done,
             std::int64_t total) override;
  void episode(const episode_row& row) override;
  void note(std::string_view text) override;
  void tick() override;
  void finish() override;

private:
  void draw_if_due();
  void draw(std::string_view above);
  [[nodiscard]] std::vector<std::string> compose(std::size_t columns) const;
  [[nodiscard]] std::string label(std::string_view name) const;
  [[nodiscard]] std::string dress(const char* code, std::string text) const;
  [[nodiscard]] std::string remaining() const;

  std::mutex mutex_;
  terminal& out_;
  redraw frame_;
  std::string title_;
  const clock& time_;
  time_point begin_;
  std::optional<time_point> drawn_;

  std::string phase_;
  std::int64_t done_ = 0;
  std::int64_t total_ = 0;
  episode_row row_;
  /// The first row, which the remaining time is reckoned from.
  std::optional<episode_row> first_row_;
  std::optional<double> first_accuracy_;
  std::optional<double> accuracy_;
  history rewards_;
  history accuracies_;
  bool finished_ = false;
};

} // namespace troupe::console
