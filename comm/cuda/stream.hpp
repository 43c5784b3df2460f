// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "troupe/comm/cuda/call_site.hpp"
#include "troupe/comm/cuda/copy_launch.hpp"
#include "troupe/comm/cuda/event.hpp"
#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::cuda {

/// A stream that somebody else owns: what work is enqueued with. Work of one
/// stream is done in order; nothing here waits. There is no default stream.
class stream_view {
public:
  stream_view(runtime& api, stream_handle handle, std::int32_t device) noexcept
    : api_(&api),
      handle_(handle),
      device_(device) {
    // nop
  }

  stream_view(runtime& api, std::nullptr_t, std::int32_t device) = delete;

  [[nodiscard]] runtime& api() const noexcept { return *api_; }

  [[nodiscard]] stream_handle handle() const noexcept { return handle_; }

  [[nodiscard]] std::int32_t device() const noexcept { return device_; }

  /// Between device and pinned memory. With pageable memory it may wait for the
  /// device: not for use.
  [[nodiscard]] result<void> copy(void* to, const void* from,
                                  std::uint64_t bytes,
                                  call_site where = call_site::current()) const;

  [[nodiscard]] result<void> fill(void* to, std::uint8_t value,
                                  std::uint64_t bytes,
                                  call_site where = call_site::current()) const;

  /// Makes the stream's device the current one meanwhile.
  [[nodiscard]] result<void>
  launch(const copy_launch& what, call_site where = call_site::current()) const;

  /// `what` is of the same device.
  [[nodiscard]] result<void>
  record(const event& what, call_site where = call_site::current()) const;

  /// What is enqueued from now on begins after the last record of `what`.
  [[nodiscard]] result<void>
  wait_for(const event& what, call_site where = call_site::current()) const;

private:
  runtime* api_;
  stream_handle handle_;
  std::int32_t device_;
};

/// Owns a stream, and an event to wait for its end with.
class stream {
public:
  [[nodiscard]] static result<stream> create(runtime_ptr api,
                                             std::int32_t device);

  stream(stream&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)),
      device_(other.device_),
      end_(std::move(other.end_)) {
    // nop
  }

  stream& operator=(stream&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(device_, other.device_);
    end_ = std::move(other.end_);
    return *this;
  }

  /// Does not wait: what is enqueued comes through nevertheless. Wait first for
  /// work whose memory goes away.
  ~stream();

  [[nodiscard]] const runtime_ptr& api() const noexcept { return end_.api(); }

  [[nodiscard]] stream_handle handle() const noexcept { return handle_; }

  [[nodiscard]] std::int32_t device() const noexcept { return device_; }

  [[nodiscard]] stream_view view() const noexcept {
    return {*end_.api(), handle_, device_};
  }

  operator stream_view() const noexcept { return view(); }

  /// Waits until all that is enqueued now is done (wait.hpp). Not by two
  /// threads at a time.
  [[nodiscard]] result<void>
  synchronize(deadline until, const std::atomic<bool>* aborted = nullptr,
              call_site where = call_site::current()) const;

private:
  stream(stream_handle handle, std::int32_t device, event end) noexcept
    : handle_(handle),
      device_(device),
      end_(std::move(end)) {
    // nop
  }

  stream_handle handle_;
  std::int32_t device_;
  event end_;
};

} // namespace troupe::comm::cuda
