// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "troupe/core/units.hpp"
#include "troupe/planner/model_profile.hpp"
#include "troupe/planner/parallel_sizes.hpp"

namespace troupe::planner {

/// The parts of an iteration that differ in what is on a device. Scoring
/// belongs to generation.
enum class phase : std::uint8_t { generation, training, sync };

inline constexpr std::size_t num_phase = 3;
inline constexpr std::array<phase, num_phase> all_phases{phase::generation,
                                                         phase::training,
                                                         phase::sync};

/// `"generation"`, `"training"`, `"sync"`.
[[nodiscard]] std::string_view to_string(phase x) noexcept;

/// Bytes on one device by what they are.
struct memory_parts {
  std::uint64_t weights = 0;
  std::uint64_t gradients = 0;
  std::uint64_t optimizer = 0;
  std::uint64_t activations = 0;
  std::uint64_t kv_cache = 0;
  /// Buckets of a weight sync.
  std::uint64_t staging = 0;

  [[nodiscard]] std::uint64_t total() const noexcept {
    return weights + gradients + optimizer + activations + kv_cache + staging;
  }

  bool operator==(const memory_parts&) const = default;
};

struct memory_settings {
  /// Taken on each device that is used: context, libraries, fragmentation.
  std::uint64_t reserve_bytes = gib;
  /// One bucket of a weight sync, and how many are in flight.
  std::uint64_t bucket_bytes = 256 * mib;
  std::int32_t buckets_in_flight = 2;
};

/// What a rank of pipeline stage `stage` holds while its model works in
/// `when` (a model without work in that phase: nothing). The formulas stand
/// in docs/planner_formulas.md. O(1).
[[nodiscard]] memory_parts active_memory(const model_profile& model,
                                         const parallel_sizes& sizes,
                                         std::int32_t stage, phase when,
                                         const memory_settings& settings);

/// What it holds while others work: without offload all but activations and
/// staging, with offload nothing.
[[nodiscard]] memory_parts idle_memory(const model_profile& model,
                                       const parallel_sizes& sizes,
                                       std::int32_t stage);

/// True if the model has work in `when`; every model may take part in a sync.
[[nodiscard]] bool is_active(model_role role, phase when) noexcept;

} // namespace troupe::planner
