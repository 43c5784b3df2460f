// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "troupe/core/error.hpp"

namespace troupe::planner {

/// What is wrong with a job, in words that never change: the code stands in
/// brackets at the end of the message, `... [duplicate-name]`, so that scripts
/// and tests need not read sentences.
enum class job_error : std::uint8_t {
  /// A model without a name.
  empty_name,
  /// Two models of one name.
  duplicate_name,
  /// A model that asks for neither devices nor cores.
  no_processor,
  /// A count below zero, or zero where at least one is needed.
  bad_size,
  /// Counts whose product or sum no machine has.
  size_overflow,
  /// A size that does not divide another.
  not_divisible,
  /// A colocation group or a sync names a model that does not exist.
  unknown_model,
  /// A colocation group without models.
  empty_group,
  /// A model that stands in two colocation groups, or twice in one.
  in_two_groups,
  /// A model that would follow its own weights.
  sync_with_itself,
  /// One pair of models given twice.
  duplicate_sync,
  /// Models that follow each other in a circle.
  sync_cycle,
  /// A sync every -n episodes.
  negative_frequency,
  /// More devices required than there are.
  not_enough_devices,
  /// A process needs more devices than one node has.
  process_too_wide,
  /// STRICT_PACK or STRICT_SPREAD with too few devices on a node, or too few
  /// nodes.
  strategy_cannot_hold,
  /// Two models' layouts cannot be mapped onto each other by this algorithm.
  layouts_differ,
};

/// The code as it stands in messages, e.g. `"duplicate-name"`.
[[nodiscard]] std::string_view to_string(job_error x) noexcept;

/// How a caller should react: `exhausted` for too few devices, else `invalid`.
[[nodiscard]] errc reaction(job_error x) noexcept;

/// An error whose message is `text` and the code in brackets.
[[nodiscard]] error make_error(job_error code, std::string text);

[[nodiscard]] inline tl::unexpected<error> fail(job_error code,
                                                std::string text) {
  return tl::unexpected<error>{make_error(code, std::move(text))};
}

/// The code that `make_error` put into `x`; nothing for other errors.
[[nodiscard]] std::optional<job_error> job_error_of(const error& x) noexcept;

} // namespace troupe::planner
