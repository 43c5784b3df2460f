// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/apps/golden_check/case_set.hpp"
#include "troupe/planner/chatlearn/rank_map.hpp"

namespace troupe::golden {

/// The `in` of a case of the set `rankmap`. Throws `bad_case`.
[[nodiscard]] planner::chatlearn::sync_request
read_sync_request(const json& in);

/// Whether the case is one of FSDP -> vLLM.
[[nodiscard]] bool is_fsdp(const json& in);

} // namespace troupe::golden
