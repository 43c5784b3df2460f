// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/types.hpp"

#include <fmt/format.h>

#include "troupe/core/units.hpp"

namespace troupe::comm::transfer {

std::string_view to_string(run_mode x) noexcept {
  switch (x) {
    case run_mode::in_place: return "in_place";
    case run_mode::staged: return "staged";
    case run_mode::compare: return "compare";
    case run_mode::share: return "share";
  }
  return "unknown";
}

std::string_view to_string(channel_phase x) noexcept {
  switch (x) {
    case channel_phase::idle: return "idle";
    case channel_phase::waiting: return "waiting";
    case channel_phase::moving: return "moving";
    case channel_phase::done: return "done";
  }
  return "unknown";
}

std::string to_string(const difference& x) {
  return fmt::format("tensor '{}' element {}: {} here, {} at rank {}", x.name,
                     x.element, x.here, x.there, x.peer.value());
}

std::string to_string(const channel_progress& x, time_point now) {
  auto text = fmt::format("{} rank {} over {}: {}",
                          x.way == channel_way::send ? "send to"
                                                     : "receive from",
                          x.peer.value(), troupe::to_string(x.link),
                          to_string(x.phase));
  if (x.phase != channel_phase::waiting && x.phase != channel_phase::moving)
    return text;
  text += fmt::format(" at bucket {} of {} for {}", x.bucket, x.buckets,
                      format_duration(
                        std::chrono::duration_cast<duration>(now - x.since)));
  if (x.tensors.empty())
    return text;
  text += fmt::format(" ('{}'", fmt::join(x.tensors, "', '"));
  if (x.more > 0)
    text += fmt::format(" and {} more", x.more);
  return text + ")";
}

} // namespace troupe::comm::transfer
