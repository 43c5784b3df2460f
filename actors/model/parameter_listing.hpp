// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "troupe/actors/model/parameter_list.hpp"
#include "troupe/actors/protocol/weights.hpp"
#include "troupe/core/error.hpp"

namespace troupe::model {

/// A module's parameters as messages tell them.
[[nodiscard]] std::vector<protocol::parameter_info>
describe_parameters(const parameter_list& xs);

/// Names are unique and each memory is as long as type and shape say; segments
/// are checked where layouts are made. Fails with `errc::invalid`, naming the
/// tensor. Complexity: O(n log n).
[[nodiscard]] result<void> check_parameters(const parameter_list& xs);

/// Fails with `errc::invalid` and the first tensor that is not what it was:
/// its name, type, shape or segments.
[[nodiscard]] result<void>
check_unchanged(const std::vector<protocol::parameter_info>& before,
                const parameter_list& now);

/// The parameters of a manifest from `first` on that fit one message, at least
/// one.
[[nodiscard]] std::vector<protocol::parameter_info>
listing_chunk(const std::vector<protocol::parameter_info>& all,
              std::uint64_t first);

/// The arenas that the parameters lie in, each once.
[[nodiscard]] std::vector<std::shared_ptr<comm::shm::arena>>
arenas_of(const parameter_list& xs);

} // namespace troupe::model
