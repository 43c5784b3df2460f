// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "troupe/planner/cluster.hpp"
#include "troupe/planner/memory_report.hpp"
#include "troupe/planner/model_profile.hpp"
#include "troupe/planner/model_spec.hpp"
#include "troupe/planner/placement.hpp"
#include "troupe/planner/prediction.hpp"

namespace troupe::planner::report {

/// All that a report may show. What is null is left out; nothing is owned.
struct plan_inputs {
  const job_spec& job;
  const cluster& machines;
  const placement& plan;
  std::span<const model_profile> profiles;
  const memory_report* memory = nullptr;
  const iteration_prediction* prediction = nullptr;
};

/// One rank on one device.
struct cell {
  /// Index into `placement::models`.
  std::size_t model = 0;
  std::int32_t replica = 0;
  std::int32_t rank = 0;

  bool operator==(const cell&) const = default;
};

/// `"r0.1"`: replica 0, rank 1.
[[nodiscard]] std::string to_string(const cell& x);

/// Models that share devices: one for each different set of models.
struct pack {
  /// `"A"`, `"B"`, ..., `"Z"`, `"AA"`, ...
  std::string name;
  std::vector<std::size_t> models;
  std::int32_t num_device = 0;
};

struct device_row {
  device_id device;
  std::int32_t node = 0;
  /// Index into `plan_view::packs`, -1 if nobody is here.
  std::int32_t pack = -1;
  /// By model, replica, rank.
  std::vector<cell> cells;
  /// Peak and limit; 0 if unknown.
  std::uint64_t peak = 0;
  std::uint64_t limit = 0;
};

/// The placement turned round: by device. Ranks on devices outside of the
/// cluster are left out. O(devices + ranks).
struct plan_view {
  std::vector<device_row> rows;
  std::vector<pack> packs;
  /// Indices into `placement::models`.
  std::vector<std::size_t> device_models;
  std::vector<std::size_t> cpu_models;

  explicit plan_view(const plan_inputs& inputs);
};

/// E.g. `"trained, 8 devices: 1 replica of tensor 4 x data 2"`.
[[nodiscard]] std::string describe(const model_spec& spec);

/// `"1 device"`, `"2 devices"`.
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view what);

/// Seconds for people.
[[nodiscard]] std::string format_seconds(double seconds);

/// The links of a sync with their shares: `"domain 75%, network 25%"`.
[[nodiscard]] std::string describe_links(const sync_prediction& sync);

} // namespace troupe::planner::report
