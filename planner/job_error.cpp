// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/job_error.hpp"

#include <array>

#include <fmt/format.h>

namespace troupe::planner {

namespace {

struct named_error {
  job_error code;
  std::string_view name;
};

constexpr std::array<named_error, 17> names{{
  {job_error::empty_name, "empty-name"},
  {job_error::duplicate_name, "duplicate-name"},
  {job_error::no_processor, "no-processor"},
  {job_error::bad_size, "bad-size"},
  {job_error::size_overflow, "size-overflow"},
  {job_error::not_divisible, "not-divisible"},
  {job_error::unknown_model, "unknown-model"},
  {job_error::empty_group, "empty-group"},
  {job_error::in_two_groups, "in-two-groups"},
  {job_error::sync_with_itself, "sync-with-itself"},
  {job_error::duplicate_sync, "duplicate-sync"},
  {job_error::sync_cycle, "sync-cycle"},
  {job_error::negative_frequency, "negative-frequency"},
  {job_error::not_enough_devices, "not-enough-devices"},
  {job_error::process_too_wide, "process-too-wide"},
  {job_error::strategy_cannot_hold, "strategy-cannot-hold"},
  {job_error::layouts_differ, "layouts-differ"},
}};

} // namespace

std::string_view to_string(job_error x) noexcept {
  for (const auto& entry : names)
    if (entry.code == x)
      return entry.name;
  return "unknown";
}

errc reaction(job_error x) noexcept {
  switch (x) {
    case job_error::not_enough_devices:
    case job_error::process_too_wide:
    case job_error::strategy_cannot_hold: return errc::exhausted;
    default: return errc::invalid;
  }
}

error make_error(job_error code, std::string text) {
  return {reaction(code), fmt::format("{} [{}]", text, to_string(code))};
}

std::optional<job_error> job_error_of(const error& x) noexcept {
  std::string_view text = x.message();
  auto open = text.rfind('[');
  if (open == std::string_view::npos || text.empty() || text.back() != ']')
    return std::nullopt;
  auto name = text.substr(open + 1, text.size() - open - 2);
  for (const auto& entry : names)
    if (entry.name == name)
      return entry.code;
  return std::nullopt;
}

} // namespace troupe::planner
