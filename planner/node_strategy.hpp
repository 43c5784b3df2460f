// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace troupe::planner {

/// How the bundles of one colocation group choose their nodes. The words and
/// meanings are those of Ray's placement groups:
///   pack           few nodes, as far as possible
///   spread         different nodes, as far as possible
///   strict_pack    one node, or fail
///   strict_spread  a node for each bundle, or fail
enum class node_strategy : std::uint8_t {
  pack,
  spread,
  strict_pack,
  strict_spread,
};

/// `"PACK"`, `"SPREAD"`, `"STRICT_PACK"`, `"STRICT_SPREAD"`.
[[nodiscard]] std::string_view to_string(node_strategy x) noexcept;

/// Inverse of `to_string(node_strategy)`; false for an unknown name.
[[nodiscard]] bool from_string(std::string_view name,
                               node_strategy& x) noexcept;

} // namespace troupe::planner
