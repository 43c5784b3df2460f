// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/apps/monitoring/run_picture.hpp"

namespace troupe::monitoring {

struct screen_style {
  std::size_t columns = 79;
  /// What does not fit is counted instead of shown; 0 means no bound.
  std::size_t rows = 0;
  bool unicode = false;
  bool colour = false;
};

/// A run as lines for people: where it stands, its models, what each worker
/// does and for how long, and the last errors, a cause with the number of what
/// followed from it.
///
///     grpo demo-1                                               up 01:03
///     episode   12/200  generation for 3.2 s
///     metrics   loss 0.120  mean_reward 0.412
///     models    policy 2x1 v12, trainer 1x2 v0 trains
///
///     device   pid  worker      version  does        for
///     ...
///     errors    1 error, 2 warnings
///     12:03:11  error  trainer, train_step: loss is nan in episode 12 (+5)
///
/// `note` is said in the first line in place of the time.
[[nodiscard]] std::vector<std::string> draw(const run_picture& run,
                                            const screen_style& style,
                                            std::string_view note = {});

/// What is worth a line where nothing can be redrawn; empty if `now` says
/// nothing that `before` did not.
[[nodiscard]] std::vector<std::string> changes(const run_picture& before,
                                               const run_picture& now);

} // namespace troupe::monitoring
