// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "troupe/comm/cuda/runtime.hpp"
#include "troupe/core/buffer.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::cuda {

/// Bytes of a device that somebody else owns. No `std::span`: the host must not
/// read them.
struct device_view {
  std::byte* data = nullptr;
  std::uint64_t bytes = 0;
  std::int32_t device = -1;

  [[nodiscard]] bool empty() const noexcept { return bytes == 0; }

  /// Bytes [offset, offset + count), which must lie inside.
  [[nodiscard]] device_view part(std::uint64_t offset,
                                 std::uint64_t count) const noexcept {
    return {data + offset, count, device};
  }

  /// True if all of `[where, where + count)` lies inside.
  [[nodiscard]] bool contains(const void* where,
                              std::uint64_t count) const noexcept;
};

/// Owns memory of a device, aligned to 256 bytes, not cleared. Other processes
/// can be told of it (`runtime::export_memory`).
///
/// Whoever lets work use it waits for the work before it is released: the
/// release would otherwise wait by itself, and without a deadline. Any thread may
/// release it: it enters the device for that.
class device_memory {
public:
  device_memory() noexcept = default;

  /// Fails with `exhausted`. Zero bytes: empty.
  [[nodiscard]] static result<device_memory>
  allocate(runtime_ptr api, std::int32_t device, std::uint64_t bytes);

  device_memory(device_memory&& other) noexcept
    : api_(std::move(other.api_)),
      view_(std::exchange(other.view_, {})) {
    // nop
  }

  device_memory& operator=(device_memory&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(view_, other.view_);
    return *this;
  }

  ~device_memory();

  [[nodiscard]] std::byte* data() const noexcept { return view_.data; }

  [[nodiscard]] std::uint64_t size() const noexcept { return view_.bytes; }

  [[nodiscard]] std::int32_t device() const noexcept { return view_.device; }

  [[nodiscard]] device_view view() const noexcept { return view_; }

  operator device_view() const noexcept { return view_; }

  /// A buffer that says that its bytes are the device's, and releases them with
  /// its last copy.
  [[nodiscard]] buffer into_buffer() &&;

private:
  device_memory(runtime_ptr api, device_view view) noexcept
    : api_(std::move(api)),
      view_(view) {
    // nop
  }

  runtime_ptr api_;
  device_view view_;
};

/// Owns host memory that devices read and write by themselves. Everything said
/// of `device_memory` about its release holds here too.
class pinned_memory {
public:
  pinned_memory() noexcept = default;

  /// In the context of the current device, though all devices may use it. Fails
  /// with `exhausted`. Zero bytes: empty.
  [[nodiscard]] static result<pinned_memory> allocate(runtime_ptr api,
                                                      std::uint64_t bytes);

  pinned_memory(pinned_memory&& other) noexcept
    : api_(std::move(other.api_)),
      bytes_(std::exchange(other.bytes_, {})),
      device_(other.device_) {
    // nop
  }

  pinned_memory& operator=(pinned_memory&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(bytes_, other.bytes_);
    std::swap(device_, other.device_);
    return *this;
  }

  ~pinned_memory();

  [[nodiscard]] std::byte* data() const noexcept { return bytes_.data(); }

  [[nodiscard]] std::uint64_t size() const noexcept { return bytes_.size(); }

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }

  /// A buffer of kind `cuda_host`.
  [[nodiscard]] buffer into_buffer() &&;

private:
  pinned_memory(runtime_ptr api, std::span<std::byte> bytes,
                std::int32_t device) noexcept
    : api_(std::move(api)),
      bytes_(bytes),
      device_(device) {
    // nop
  }

  runtime_ptr api_;
  std::span<std::byte> bytes_;
  /// In whose context it was made.
  std::int32_t device_ = 0;
};

/// The bytes of a device's buffer. Empty if `x` lies elsewhere.
[[nodiscard]] device_view view_of(const buffer& x) noexcept;

/// Where an address points, with CUDA's refusal as an error.
[[nodiscard]] result<pointer_facts> facts_of(runtime& api, const void* where);

} // namespace troupe::comm::cuda
