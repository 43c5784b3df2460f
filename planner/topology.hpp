// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"
#include "troupe/planner/cluster.hpp"
#include "troupe/planner/node_strategy.hpp"

namespace troupe::planner {

/// What must be together on one node, e.g. one replica.
struct bundle {
  std::int32_t devices = 0;
  std::int32_t cpus = 0;
  /// Cuts the devices into parts that should each stay inside a link domain
  /// where the whole bundle does not, in their order; they add up to
  /// `devices`. Empty: one part.
  std::vector<std::int32_t> parts{};

  bool operator==(const bundle&) const = default;
};

struct bundle_place {
  node_id node;
  /// Part after part; ascending among those of one part in one domain.
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

  [[nodiscard]] std::size_t num_node() const noexcept { return nodes_.size(); }

  /// The most devices that are left on one node. O(kinds of nodes).
  [[nodiscard]] std::int32_t most_on_a_node() const noexcept;

  /// Places every bundle, result in the order of the bundles, or none.
  ///
  /// Larger bundles choose first. A node is chosen so that the bundle, or else
  /// each of its parts, stays inside one link domain if any node allows that,
  /// then by the strategy, then by the tighter fit, then by the lower id.
  /// Inside a node a bundle takes the fullest link domain that holds it; if
  /// none does, so do its parts, larger first; if none holds a part, it takes
  /// whole domains from the emptiest on, so that it is cut into few pieces.
  ///
  /// Fails with `errc::invalid` (negative sizes) or `errc::exhausted` (the
  /// text names what is missing). Deterministic. O(b * (c + d)) for b bundles,
  /// d devices a node and c different kinds of nodes left (few on uniform
  /// clusters), plus a logarithm.
  [[nodiscard]] result<std::vector<bundle_place>>
  take(std::span<const bundle> bundles, node_strategy strategy);

  /// The same for sizes that are not negative, but bundles that no node can
  /// take are left out. `strategy` is pack or spread.
  [[nodiscard]] std::vector<std::optional<bundle_place>>
  take_some(std::span<const bundle> bundles, node_strategy strategy);

  /// Places a bundle on a node that has room for it.
  bundle_place take_on(node_id node, const bundle& what);

private:
  struct domain_state {
    /// Inside the node, ascending; the first `used` are taken.
    std::vector<std::int32_t> devices;
    std::int32_t used = 0;

    [[nodiscard]] std::int32_t left() const noexcept {
      return static_cast<std::int32_t>(devices.size()) - used;
    }
  };

  struct node_state {
    std::int32_t first_device = 0;
    /// Ascending by the domain's number.
    std::vector<domain_state> domains;
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

  /// Devices of one domain that a part takes.
  struct domain_share {
    std::size_t domain = 0;
    std::int32_t count = 0;
  };

  [[nodiscard]] static node_kind kind_of(const node_state& node);
  [[nodiscard]] bool fits(const node_kind& kind, const bundle& what) const;
  [[nodiscard]] const node_kind* choose(const bundle& what,
                                        node_strategy strategy,
                                        std::int64_t devices_to_come) const;
  [[nodiscard]] static std::vector<domain_share>
  share_domains(std::vector<std::int32_t>& left, std::int32_t count);
  bundle_place put(std::size_t node, const bundle& what);

  /// `node` changes under `f`; the index follows.
  template <class F>
  void update(std::size_t node, F f);

  void begin_group();
  void restore(std::size_t node, node_state state);
  [[nodiscard]] error refusal(const bundle& what, node_strategy strategy,
                              std::size_t placed, std::size_t wanted) const;

  std::vector<node_state> nodes_;
  std::map<node_kind, std::set<std::size_t>> index_;
  /// Nodes with bundles of the group being placed.
  std::vector<std::size_t> touched_;
  std::int32_t num_device_ = 0;
};

} // namespace troupe::planner
