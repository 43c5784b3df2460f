// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/planner/cluster.hpp"
#include "troupe/planner/model_memory.hpp"
#include "troupe/planner/model_spec.hpp"
#include "troupe/planner/placement.hpp"

namespace troupe::planner {

/// One model on one device.
struct model_use {
  /// Index into `placement::models`.
  std::size_t model = 0;
  /// Of the fullest of its ranks there, by phase, and at rest.
  std::array<memory_parts, num_phase> active;
  memory_parts idle;

  /// Bytes that work in `when` adds to those at rest.
  [[nodiscard]] std::uint64_t extra(phase when) const noexcept;
};

/// One device. Models take turns: in each phase all are at rest but the
/// fullest one that works (in a sync: but the fullest pair).
struct device_use {
  device_id device;
  /// 0: unknown, never exceeded.
  std::uint64_t limit = 0;
  std::array<std::uint64_t, num_phase> bytes{};
  std::vector<model_use> models;

  [[nodiscard]] phase fullest_phase() const noexcept;

  [[nodiscard]] std::uint64_t peak() const noexcept {
    return bytes[static_cast<std::size_t>(fullest_phase())];
  }

  [[nodiscard]] bool fits() const noexcept {
    return limit == 0 || peak() <= limit;
  }
};

/// The memory of a placement, one entry for each device of the cluster.
struct memory_report {
  std::vector<device_use> devices;
  /// Models without a profile: they count as nothing.
  std::vector<std::string> unknown;

  /// The device that is most over its limit, null if all fit.
  [[nodiscard]] const device_use* worst() const noexcept;
};

/// Estimates every device. Fails with `errc::invalid` if sizes of a model form
/// no layout, or the placement does not belong to the job and cluster.
/// O(devices + ranks).
[[nodiscard]] result<memory_report>
estimate_memory(const placement& plan, const job_spec& job,
                const cluster& machines,
                std::span<const model_profile> profiles,
                const memory_settings& settings = {});

} // namespace troupe::planner
