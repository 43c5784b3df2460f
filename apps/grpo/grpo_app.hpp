// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/apps/app/app.hpp"

namespace troupe::grpo {

/// Declares group-relative policy optimization (Shao et al. 2024) on questions
/// with one right answer:
///
///     policy.generate -> reward.score
///                     -> reference.score -> group advantages
///     policy_trainer.train_step, then its weights to policy
///
/// after a supervised warm start, whose weights reference keeps.
void declare(app& x);

} // namespace troupe::grpo
