// SPDX-License-Identifier: Apache-2.0
// What a worker does about its device and the memory there.
#include <algorithm>
#include <numeric>

#include <fmt/core.h>

#include "troupe/actors/model/worker_state.hpp"
#include "troupe/core/log.hpp"
#include "troupe/core/units.hpp"

namespace troupe::model {

namespace {

std::uint64_t less(std::uint64_t a, std::uint64_t b) {
  return a > b ? a - b : 0;
}

} // namespace

result<void> worker_state::enter_device() const {
  if (!services_.device_failure.empty())
    return fail(errc::unavailable, services_.device_failure);
  return services_.device ? services_.device->enter() : result<void>{};
}

std::uint64_t worker_state::own_bytes() const {
  if (auto told = module_->device_bytes())
    return *told;
  if (away_)
    return 0;
  return std::accumulate(parameters_.begin(), parameters_.end(),
                         std::uint64_t{0}, [](auto sum, const auto& x) {
                           auto there = x.device.type
                                        == dlpack::device_type::cuda;
                           return sum + (there ? x.memory.size() : 0);
                         });
}

protocol::device_bytes worker_state::measure() {
  if (!services_.device)
    return {};
  protocol::device_bytes out;
  auto seen = services_.device->memory();
  if (!seen) {
    log::warning(to_string(spec_.name),
                 "the device does not tell its memory: "
                 "{}",
                 to_string(seen.error()));
    return {};
  }
  out.used = seen->used_bytes;
  out.total = seen->total_bytes;
  out.own = own_bytes();
  probe_->memory.set(out);
  auto max = spec_.memory.bytes_max;
  if (max > 0 && out.own > max && !std::exchange(told_of_max_, true))
    log::warning(to_string(spec_.name),
                 "holds {} of its device, more than device_memory_max ({})",
                 format_bytes(out.own), format_bytes(max));
  return out;
}

bool worker_state::in_sync() const {
  // A run that was given up reads until it notices.
  return !pins_.empty() || !fences_.empty() || !enrolled_.empty()
         || !lent_.empty() || probe_->syncs.is_busy();
}

result<void> worker_state::bring() {
  if (!away_)
    return {};
  return guarded("onload", [&]() -> result<void> {
    module_->onload();
    away_ = false;
    ++arrivals_;
    static_cast<void>(measure());
    return {};
  });
}

result<void> worker_state::give_back() {
  if (!spec_.memory.offload || away_ || !module_ || in_sync())
    return {};
  return guarded("offload", [&]() -> result<void> {
    auto before = measure();
    // Nobody is offered what is about to go; links that have it keep it.
    for (auto& x : parameters_)
      x.arena.reset();
    probe_->groups.offer({}, {});
    // Also if it fails half-way: then it has to be brought back.
    away_ = true;
    module_->offload();
    if (before.total == 0)
      return {};
    auto after = measure();
    auto given = less(before.used, after.used);
    auto promised = less(before.own, after.own);
    log::debug(to_string(spec_.name), "gave {} back to its device",
               format_bytes(given));
    // Others use the device, too: what they take meanwhile hides what is given.
    if (given < promised)
      log::warning(to_string(spec_.name),
                   "offload gave {} back to the device, the model says {}",
                   format_bytes(given), format_bytes(promised));
    return {};
  });
}

} // namespace troupe::model
