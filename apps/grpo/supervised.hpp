// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/apps/grpo/model_options.hpp"
#include "troupe/core/batch.hpp"

namespace troupe::grpo {

/// Prompts joined with their right answers.
struct labelled_sequences {
  /// int64 [n, p + c].
  tensor tokens;
  /// float32 [n, c]: 1 for the answer's tokens, the end token included.
  tensor mask;
};

/// Makes them from `prompt` and `answer`; throws std::invalid_argument if
/// their widths are not the model's, or a token is not in its vocabulary.
[[nodiscard]] labelled_sequences
supervised_sequences(const batch& examples, const model_settings& settings);

} // namespace troupe::grpo
