// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/devices/bounce_line.hpp"

#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

#include "troupe/comm/cuda/device_guard.hpp"

namespace troupe::comm::devices {

namespace {

/// How long the destructor waits for a move that was given up.
constexpr std::chrono::seconds patience{5};

} // namespace

result<bounce_line> bounce_line::create(cuda::runtime_ptr runtime,
                                        std::int32_t device) {
  auto line = cuda::stream::create(runtime, device);
  if (!line)
    return fail(line.error());
  return bounce_line{std::move(runtime), std::move(*line)};
}

bounce_line::bounce_line(bounce_line&& other) noexcept
  : runtime_(std::move(other.runtime_)),
    owned_(std::move(other.owned_)),
    busy_(std::exchange(other.busy_, false)) {
  // nop
}

bounce_line::~bounce_line() {
  if (!busy_)
    return;
  auto done = settle(deadline::after(patience), nullptr);
  // What has failed does not come back: only what hangs is in our way.
  if (done || done.error().code() != errc::timed_out)
    return;
  static std::mutex mutex;
  static auto& kept = *new std::vector<resources>;
  std::lock_guard guard{mutex};
  kept.push_back(std::move(owned_));
}

result<void> bounce_line::settle(deadline until,
                                 const std::atomic<bool>* aborted) {
  if (!busy_)
    return {};
  auto done = owned_.line.synchronize(until, aborted);
  busy_ = !done.has_value();
  return done;
}

result<std::span<std::byte>>
bounce_line::block(std::size_t which, std::size_t bytes, deadline until) {
  if (auto free = settle(until, nullptr); !free)
    return fail(free.error());
  // Threads of an executor have entered no device.
  auto here = cuda::device_guard::enter(*runtime_, owned_.line.device());
  if (!here)
    return fail(here.error());
  auto& held = owned_.blocks[which];
  if (held.size() < bytes) {
    held = {};
    auto made = cuda::pinned_memory::allocate(runtime_, bytes);
    if (!made)
      return fail(made.error());
    held = std::move(*made);
  }
  return held.bytes().first(bytes);
}

result<void> bounce_line::move(void* to, const void* from, std::size_t bytes,
                               deadline until,
                               const std::atomic<bool>* aborted) {
  auto here = cuda::device_guard::enter(*runtime_, owned_.line.device());
  if (!here)
    return fail(here.error());
  busy_ = true;
  if (auto done = owned_.line.view().copy(to, from, bytes); !done)
    return done;
  return settle(until, aborted);
}

} // namespace troupe::comm::devices
