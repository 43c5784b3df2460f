// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe::bench {

/// How long plans of large models take.
struct transfer_plan_figures {
  /// `reshard` of 60,000 tensors, 44,000 of them experts, PP8 x EP32 -> EP128:
  /// from the ranks' tensors, checked and shared, to the plan. Least of a few
  /// runs, one thread.
  double plan_seconds = 0;
  /// How far the resident memory rises meanwhile, the tensors included.
  double plan_megabytes = 0;
  /// Slope of log(seconds) over log(tensors) from 30,000 to 240,000 tensors:
  /// a plan of fewer fits into a cache.
  double plan_exponent = 0;
  /// A dense model of 126 layers, TP8 x PP32 -> TP8 x DP16.
  double dense_plan_seconds = 0;
  /// (tensors, processor seconds) behind it.
  std::vector<std::pair<std::int64_t, double>> plan_samples;
  /// Transfers of the first plan, and its bytes.
  std::uint64_t plan_transfers = 0;
  std::uint64_t plan_bytes = 0;
};

/// Measures all of it; `quick` takes fewer runs. Fails with `errc::internal` if
/// a plan moves other bytes than it must. Call it while nothing else allocates.
[[nodiscard]] result<transfer_plan_figures> measure_transfer_plans(bool quick);

} // namespace troupe::bench
