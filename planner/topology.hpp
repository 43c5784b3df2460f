// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"
#include "troupe/planner/cluster.hpp"

namespace troupe::planner {

/// How the bundles of one group choose their nodes. The words and meanings
/// are those of Ray's placement groups:
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

/// What must be together on one node, e.g. one replica.
struct bundle {
  std::int32_t devices = 0;
  std::int32_t cpus = 0;
};

struct bundle_place {
  node_id node;
  /// Ascending.
  std::vector<device_id> devices;
  /// All its devices share one link domain (true also for none or one).
  bool in_one_domain = true;

  bool operator==(const bundle_place&) const = default;
};

/// The devices and cores of a cluster that nobody has taken yet. A node with
/// `num_cpu == 0` says nothing about its cores: none are counted there.
/// The cluster must outlive it. One thread at a time.
class free_resources {
public:
  explicit free_resources(const cluster& machines);

  [[nodiscard]] std::int32_t num_device() const noexcept { return num_device_; }

  [[nodiscard]] std::int32_t num_device(node_id node) const noexcept;

  /// Places every bundle, result in the order of the bundles, or none.
  ///
  /// Larger bundles choose first. A node is chosen so that the bundle stays
  /// inside one link domain if any node allows that, then by the strategy,
  /// then by the tighter fit, then by the lower id. Inside a node a bundle
  /// takes the fullest link domain that holds it; if none does, whole domains
  /// from the emptiest on, so that it is cut into few pieces.
  ///
  /// Fails with `errc::invalid` (negative sizes) or `errc::exhausted` (the
  /// text names what is missing). Deterministic. O(b * (c + d)) for b bundles,
  /// d devices a node and c different kinds of nodes left (few on uniform
  /// clusters), plus a logarithm.
  [[nodiscard]] result<std::vector<bundle_place>>
  take(std::span<const bundle> bundles, node_strategy strategy);

private:
  struct node_state {
    std::int32_t first_device = 0;
    std::vector<bool> taken;
    std::int32_t devices_left = 0;
    std::int32_t cpus_left = 0;
    bool counts_cpus = false;
    /// Bundles of the group being placed that are here already.
    std::int32_t bundles_here = 0;
  };

  /// Nodes that nothing but their id tells apart.
  struct node_kind {
    std::int32_t bundles_here;
    std::int32_t devices_left;
    std::int32_t largest_domain;
    std::int32_t cpus_left;

    auto operator<=>(const node_kind&) const = default;
  };

  using node_index = std::map<node_kind, std::set<std::size_t>>;

  [[nodiscard]] node_kind kind_of(std::size_t node) const;
  [[nodiscard]] std::vector<std::vector<std::size_t>>
  domains_of(std::size_t node) const;
  [[nodiscard]] bool fits(const node_kind& kind, const bundle& what) const;
  [[nodiscard]] const node_kind* choose(const node_index& index,
                                        const bundle& what,
                                        node_strategy strategy,
                                        std::int64_t devices_to_come) const;
  bundle_place put(std::size_t node, const bundle& what);
  [[nodiscard]] error refusal(const bundle& what, node_strategy strategy,
                              std::size_t placed, std::size_t wanted) const;

  const cluster* machines_;
  std::vector<node_state> nodes_;
  std::int32_t num_device_ = 0;
};

} // namespace troupe::planner
