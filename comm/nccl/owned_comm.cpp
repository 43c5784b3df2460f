// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/owned_comm.hpp"

#include <string_view>
#include <thread>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/cuda/check.hpp"
#include "troupe/core/log.hpp"

namespace troupe::comm::nccl {

namespace {

/// Between two looks at whether NCCL is through with finalizing.
constexpr std::chrono::microseconds look_again{100};

constexpr std::string_view one_rank_a_gpu =
  "give each rank a GPU of its own; to most versions of NCCL, MIG slices of "
  "one GPU are one GPU";

errc reaction_to(status code) {
  switch (code) {
    // A peer or the network between: rebuild.
    case codes::remote_error:
    case codes::system_error: return errc::lost;
    case codes::unhandled_cuda_error: return errc::failed;
    default: return errc::internal;
  }
}

/// What a person can change about what NCCL says, by a part of its words; empty
/// if we know nothing.
///
/// Source: the warnings in NCCL's sources (2.19 to 2.30) and its user guide,
/// troubleshooting.
std::string_view remedy_for(std::string_view words) {
  struct remedy {
    std::string_view words;
    std::string_view change;
  };
  static constexpr remedy remedies[] = {
    {"/dev/shm", "give the container more shared memory (docker: "
                 "--shm-size=1g or --ipc=host), or set NCCL_SHM_DISABLE=1"},
    {"libnvidia-ml", "give the container NVML, which NCCL needs "
                     "(NVIDIA_DRIVER_CAPABILITIES=compute,utility)"},
    {"Duplicate GPU detected", one_rank_a_gpu},
    {"using the same GPU", one_rank_a_gpu},
    {"ibv_reg_mr", "raise the limit of locked memory (ulimit -l unlimited; "
                   "docker: --ulimit memlock=-1), or set NCCL_IB_DISABLE=1"},
    {"interface found", "name a network of this machine with "
                        "NCCL_SOCKET_IFNAME"},
    {"Mismatched NCCL version", "give all machines the same NCCL"},
  };
  for (const auto& x : remedies)
    if (words.find(x.words) != std::string_view::npos)
      return x.change;
  return {};
}

/// NCCL restores the thread's device around its work, and in a new thread that
/// would be device 0, whose context would be made for that.
void use_device(const comm_parts& x) noexcept {
  if (auto code = x.runtime->set_device(x.device); code != 0)
    cuda::ignore(*x.runtime, code);
}

} // namespace

// -- calls --------------------------------------------------------------------

status owned_comm::core::enter(std::chrono::milliseconds patience,
                               comm_handle& out) {
  std::unique_lock lock{mutex};
  changed.wait_for(lock, patience,
                   [&] { return !inside || now != stage::open; });
  if (now != stage::open)
    return codes::invalid_usage;
  if (inside)
    return codes::stuck;
  inside = true;
  since = std::chrono::steady_clock::now();
  out = raw;
  return codes::success;
}

void owned_comm::core::leave() noexcept {
  std::unique_lock lock{mutex};
  inside = false;
  changed.notify_all();
}

/// By whoever is inside.
status owned_comm::core::ask() noexcept {
  auto found = codes::success;
  auto asked = parts.library->async_error(raw, found);
  auto out = asked == codes::success ? found : asked;
  std::unique_lock lock{mutex};
  last = out;
  return out;
}

std::optional<status> owned_comm::refusal(status code) {
  if (code == codes::stuck)
    return code;
  return std::nullopt;
}

owned_comm::owned_comm(comm_parts parts, handle_place place)
  : core_(std::make_shared<core>()) {
  core_->parts = std::move(parts);
  core_->raw = *place;
  core_->place = std::move(place);
}

std::optional<status>
owned_comm::with_bound(const char* what, deadline until,
                       std::function<status(comm_handle)> f) {
  comm_handle raw = nullptr;
  auto entered = core_->enter(core_->parts.limits.turn, raw);
  if (entered != codes::success)
    return refusal(entered);
  auto answer = std::make_shared<status>(codes::internal_error);
  bounded_task call{fmt::format("{} ({})", what, core_->parts.name),
                    [all = core_, answer, f = std::move(f)] {
                      use_device(all->parts);
                      *answer = f(all->raw);
                      all->leave();
                    }};
  return call.wait(until) ? *answer : codes::stuck;
}

std::optional<status> owned_comm::state() noexcept {
  return with([&](comm_handle) { return core_->ask(); });
}

std::optional<status> owned_comm::look() noexcept {
  {
    std::unique_lock lock{core_->mutex};
    if (core_->now != stage::open)
      return std::nullopt;
    if (core_->inside) {
      auto inside = std::chrono::steady_clock::now() - core_->since;
      return inside > core_->parts.limits.call ? codes::stuck : core_->last;
    }
    core_->inside = true;
    core_->since = std::chrono::steady_clock::now();
  }
  auto out = core_->ask();
  core_->leave();
  return out;
}

std::string owned_comm::words() const {
  // NCCL keeps one text a process and does not look at the communicator.
  return core_->parts.library->last_error(nullptr);
}

void owned_comm::keep(std::shared_ptr<void> what) {
  std::unique_lock lock{core_->mutex};
  core_->kept.push_back(std::move(what));
}

// -- the end ------------------------------------------------------------------

bool owned_comm::ended() const noexcept {
  std::unique_lock lock{core_->mutex};
  return core_->now != stage::open;
}

bool owned_comm::core::finalize() noexcept {
  auto code = parts.library->finalize(raw);
  while (code == codes::in_progress) {
    {
      std::unique_lock lock{mutex};
      if (!gently || finalize_by->passed())
        return false;
      changed.wait_for(lock, look_again);
    }
    code = ask();
  }
  return code == codes::success;
}

void owned_comm::core::end() noexcept {
  use_device(parts);
  auto wants_finalize = false;
  {
    std::unique_lock lock{mutex};
    // Without a bound: this thread has nothing else to do, and freeing what a
    // call inside works on would be worse than never freeing it.
    changed.wait(lock, [&] { return !inside; });
    wants_finalize = gently;
  }
  auto whole = wants_finalize && finalize();
  auto code = whole ? parts.library->destroy(raw) : parts.library->abort(raw);
  if (code != codes::success)
    log::warning("nccl", "the end of a communicator ({}): NCCL says {}",
                 parts.name, parts.library->text_of(code));
  std::vector<std::shared_ptr<void>> done;
  std::unique_lock lock{mutex};
  done.swap(kept);
  now = stage::ended;
  changed.notify_all();
}

void owned_comm::begin_end(bool gently, deadline finalize_by) noexcept {
  std::unique_lock lock{core_->mutex};
  if (core_->now == stage::ended)
    return;
  if (core_->now == stage::ending) {
    // Who aborts does not wait for what another one wanted to come through.
    if (!gently && core_->gently) {
      core_->gently = false;
      core_->end_by = core_->end_by->at_most(core_->parts.limits.end);
      core_->changed.notify_all();
    }
    return;
  }
  core_->now = stage::ending;
  core_->gently = gently;
  core_->finalize_by = finalize_by;
  core_->end_by = deadline::after(finalize_by.left() + core_->parts.limits.end);
  core_->changed.notify_all();
  // It may be done here and now, for want of a thread.
  lock.unlock();
  ending_.emplace(fmt::format("the end of NCCL's communicator of {}",
                              core_->parts.name),
                  [all = core_] { all->end(); });
}

void owned_comm::abort() noexcept {
  begin_end(false, deadline::after(duration::zero()));
}

bool owned_comm::retire(deadline until) noexcept {
  begin_end(true, until);
  return await_end();
}

bool owned_comm::await_end() noexcept {
  std::unique_lock lock{core_->mutex};
  if (core_->now == stage::open)
    return true;
  auto until = *core_->end_by;
  return core_->changed.wait_for(lock, until.left(),
                                 [&] { return core_->now == stage::ended; });
}

owned_comm::~owned_comm() {
  abort();
  // One that has ended has nothing left to do but to go.
  if (await_end())
    ending_->wait(deadline::after(core_->parts.limits.end));
}

error error_of(const library& lib, status code, std::string_view words,
               std::string_view what) {
  if (code == codes::stuck)
    return {errc::timed_out,
            fmt::format("{}: a call of NCCL's does not come back", what)};
  auto remedy = remedy_for(words);
  return {reaction_to(code),
          fmt::format("{}: NCCL says {}{}{}{}{}", what, lib.text_of(code),
                      words.empty() ? "" : "; ", words,
                      remedy.empty() ? "" : ": ", remedy)};
}

} // namespace troupe::comm::nccl
