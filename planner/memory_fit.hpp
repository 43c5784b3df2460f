// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/planner/memory_remedy.hpp"
#include "troupe/planner/memory_report.hpp"

namespace troupe::planner {

/// As `estimate_memory`, but a device over its limit is `errc::exhausted`: the
/// text names the device, its models with their bytes, and the cheapest change
/// that fits.
[[nodiscard]] result<memory_report>
check_memory(const placement& plan, const job_spec& job,
             const cluster& machines, std::span<const model_profile> profiles,
             const place_function& place,
             const memory_fit_options& options = {});

} // namespace troupe::planner
