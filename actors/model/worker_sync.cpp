// SPDX-License-Identifier: Apache-2.0
// What a worker does in weight syncs.
#include <unistd.h>

#include <fmt/core.h>

#include "troupe/actors/model/parameter_listing.hpp"
#include "troupe/actors/model/worker_state.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/core/log.hpp"

namespace troupe::model {

using protocol::ack;

result<protocol::manifests> worker_state::manifest(std::uint64_t first) const {
  protocol::worker_manifest out;
  out.worker = spec_.name;
  out.host = services_.host;
  out.pid = ::getpid();
  if (auto shm = comm::shm::probe(); !shm.usable)
    out.without_shm = shm.reason;
  else if (!services_.mesh)
    out.without_shm = "its process has no sockets to others";
  if (is_on_device(parameters_) && services_.device)
    out.device = services_.device->uuid();
  out.parameter_count = told_.size();
  out.parameters = listing_chunk(told_, first);
  return protocol::manifests{{std::move(out)}};
}

result<ack> worker_state::install(const protocol::install_programs& request) {
  return guarded("install a sync", [&]() -> result<ack> {
    auto seat = probe_->syncs.make(request.program);
    if (!seat)
      return fail(errc::unavailable, "the worker is closing");
    for (const auto& piece : request.items)
      if (auto done = seat->install(request, piece); !done)
        return fail(done.error());
    // What is away is bound when a sync looks at it.
    if (away_)
      return ack{};
    if (auto bound = seat->bind(parameters_); !bound)
      return fail(bound.error());
    return ack{};
  });
}

result<bool> worker_state::look_again(const std::string& program) {
  if (auto here = bring(); !here)
    return fail(here.error());
  return guarded("parameters", [&]() -> result<bool> {
    auto now = module_->parameters();
    if (auto same = check_unchanged(told_, now); !same)
      return fail(same.error());
    parameters_ = std::move(now);
    // Links that are opened from now on offer what holds them now.
    probe_->groups.offer(arenas_of(parameters_),
                         private_device_memory(parameters_));
    auto seat = probe_->syncs.find(program);
    auto moved = seat ? seat->bind(parameters_) : result<bool>{false};
    // Links that were opened while it was away were offered nothing.
    if (moved && std::exchange(looked_at_[program], arrivals_) != arrivals_)
      return true;
    return moved;
  });
}

result<void> worker_state::open(const protocol::sync_order& request) {
  auto seat = probe_->syncs.find(request.program);
  if (seat)
    if (auto whole = seat->check_whole(); !whole)
      return whole;
  if (request.version != version_) {
    auto taken = guarded("on_sync", [&]() -> result<void> {
      // A module that did not take the new weights in stays closed.
      module_->on_sync(request.version);
      return {};
    });
    if (!taken)
      return taken;
  }
  version_ = request.version;
  probe_->version = version_.value();
  writes_ = 0;
  fences_.erase(request.sync);
  probe_->syncs.committed(request.sync);
  return {};
}

result<protocol::sync_standings>
worker_state::obey(const protocol::sync_order& request) {
  using protocol::sync_action;
  if (!module_)
    return fail(errc::unavailable, "the model is not set up");
  operation_scope mark{probe_->mark, fmt::format("sync {}: {}", request.sync,
                                                 to_string(request.action))};
  auto seat = probe_->syncs.find(request.program);
  auto moved = false;
  auto look = [&]() -> result<void> {
    auto seen = look_again(request.program);
    if (!seen)
      return fail(seen.error());
    moved = *seen;
    return {};
  };
  auto done = [&]() -> result<void> {
    switch (request.action) {
      case sync_action::pin:
        // Also what a sync left half written: nobody hands that on.
        if (!fences_.empty())
          return fail(errc::unavailable,
                      "its weights are being replaced by sync "
                        + *fences_.begin());
        if (auto same = look(); !same)
          return same;
        pins_.insert(request.sync);
        return {};
      case sync_action::unpin: pins_.erase(request.sync); return {};
      case sync_action::enroll:
        if (auto same = look(); !same)
          return same;
        enrolled_.insert(request.sync);
        return {};
      case sync_action::fence:
        if (pinned())
          return fail(errc::unavailable,
                      "its weights are being read by sync " + *pins_.begin());
        if (probe_->syncs.is_busy(request.sync, request.program))
          return fail(errc::unavailable,
                      fmt::format("an earlier run of sync {} has not ended "
                                  "here yet",
                                  request.sync));
        fences_.insert(request.sync);
        return {};
      case sync_action::swap:
        if (fences_.count(request.sync) == 0)
          return fail(errc::refused, "only a fenced worker swaps its weights");
        return seat ? seat->swap() : result<void>{};
      case sync_action::open: return open(request);
      case sync_action::reopen: {
        if (seat)
          if (auto dropped = seat->discard(); !dropped)
            return dropped;
        fences_.erase(request.sync);
        return {};
      }
      // For its replica.
      case sync_action::own_up: break;
    }
    return fail(errc::invalid, "an unknown step of a sync");
  }();
  if (!done)
    return fail(done.error());
  auto over = request.action == sync_action::open
              || request.action == sync_action::reopen
              || request.action == sync_action::unpin;
  if (over) {
    enrolled_.erase(request.sync);
    static_cast<void>(measure());
    if (auto given = give_back(); !given)
      return fail(given.error());
  }
  protocol::sync_standing out;
  out.from = spec_.name;
  out.version = version_;
  out.writes = writes_;
  out.moved = moved;
  return protocol::sync_standings{{std::move(out)}};
}

} // namespace troupe::model
