// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/owned_comm.hpp"

#include <chrono>
#include <thread>

#include <fmt/core.h>

namespace troupe::comm::nccl {

namespace {

/// A call that takes longer hangs inside NCCL.
constexpr auto patience = std::chrono::seconds{1};

errc reaction_to(status code) {
  switch (code) {
    // A peer or the network between: rebuild.
    case codes::remote_error:
    case codes::system_error: return errc::lost;
    case codes::unhandled_cuda_error: return errc::failed;
    default: return errc::internal;
  }
}

} // namespace

std::optional<status> owned_comm::state() noexcept {
  return with([&](comm_handle x) {
    auto found = codes::success;
    auto asked = library_->async_error(x, found);
    return asked == codes::success ? found : asked;
  });
}

std::string owned_comm::words() {
  std::string out;
  (void) with([&](comm_handle x) {
    out = library_->last_error(x);
    return codes::success;
  });
  return out;
}

comm_handle owned_comm::enter() {
  std::unique_lock lock{mutex_};
  // An abort that is under way has taken the handle: nothing to wait for.
  left_.wait_for(lock, patience, [&] { return calls_ == 0 || !raw_; });
  if (raw_ != nullptr)
    ++calls_;
  return raw_;
}

void owned_comm::leave() noexcept {
  std::unique_lock lock{mutex_};
  --calls_;
  left_.notify_all();
}

comm_handle owned_comm::take() noexcept {
  std::unique_lock lock{mutex_};
  left_.wait_for(lock, patience, [&] { return calls_ == 0; });
  auto* raw = std::exchange(raw_, nullptr);
  left_.notify_all();
  // Who aborts second waits until the first is through with it.
  if (raw != nullptr)
    ++calls_;
  return raw;
}

bool owned_comm::ended() const noexcept {
  std::unique_lock lock{mutex_};
  return raw_ == nullptr;
}

void owned_comm::abort() noexcept {
  if (auto* raw = take(); raw != nullptr) {
    library_->abort(raw);
    leave();
  }
}

void owned_comm::retire(deadline until) noexcept {
  auto now = with([&](comm_handle x) { return library_->finalize(x); });
  while (now == codes::in_progress && !until.passed()) {
    std::this_thread::yield();
    now = state();
  }
  if (now != codes::success) {
    abort();
    return;
  }
  if (auto* raw = take(); raw != nullptr) {
    library_->destroy(raw);
    leave();
  }
}

error error_of(const library& lib, status code, std::string_view words,
               std::string_view what) {
  return {reaction_to(code),
          fmt::format("{}: NCCL says {}{}{}", what, lib.text_of(code),
                      words.empty() ? "" : "; ", words)};
}

} // namespace troupe::comm::nccl
