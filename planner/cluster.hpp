// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"

namespace troupe::planner {

/// One device of a node, as the planner sees it.
struct device_spec {
  /// Bytes that models may use; 0 means unknown: nothing is checked.
  std::uint64_t memory_bytes = 0;
  /// Devices with an equal number are joined by the fast link (NVLink, or one
  /// socket's memory); -1 if unknown.
  std::int32_t link_domain = -1;

  bool operator==(const device_spec&) const = default;
};

struct node_spec {
  std::string name;
  std::vector<device_spec> devices;
  std::int32_t num_cpu = 0;
  std::uint64_t memory_bytes = 0;
  std::int32_t num_nic = 1;

  bool operator==(const node_spec&) const = default;
};

/// The machines of a job. Devices are numbered node by node (`device_id`).
struct cluster {
  std::vector<node_spec> nodes;

  /// `nodes` equal nodes with `devices_per_node` devices each.
  [[nodiscard]] static cluster uniform(std::int32_t nodes,
                                       std::int32_t devices_per_node,
                                       std::int32_t cpus_per_node = 0);

  [[nodiscard]] std::int32_t num_device() const noexcept;

  /// The node that has `device`, which must exist.
  [[nodiscard]] node_id node_of(device_id device) const noexcept;

  bool operator==(const cluster&) const = default;
};

} // namespace troupe::planner
