// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/core/batch.hpp"

namespace troupe::grpo {

/// Group-relative advantages (Shao et al. 2024, section 4.1.2): adds
/// `advantage` = (reward - mean) / (deviation + 1e-6) over the rows of the same
/// `group`, with the population's deviation. A group whose rewards are all
/// equal gets zeros. Needs whole groups: run it on gathered samples, before
/// they are split among ranks. O(rows). Throws std::invalid_argument for
/// missing tensors or a reward that is not finite.
[[nodiscard]] batch group_advantages(const batch& samples);

} // namespace troupe::grpo
