// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "troupe/actors/model/module.hpp"

namespace troupe::grpo {

/// 0.5 for the exact answer plus 0.5 times the fraction of right characters:
/// positions where both agree, over the longer of the two. Both are token rows
/// that end at the end token (or at the row's end).
struct answer_score {
  float reward = 0;
  bool exact = false;
};

[[nodiscard]] answer_score
score_answer(std::span<const std::int64_t> completion,
             std::span<const std::int64_t> answer);

/// The reward model: a rule, computed on the CPU without libtorch.
class reward : public module {
public:
  /// Needs `tokens` and `answer`; adds `reward` and `exact`.
  [[nodiscard]] batch score(const batch& rollout);
};

[[nodiscard]] std::vector<option_spec> reward_options();

} // namespace troupe::grpo
