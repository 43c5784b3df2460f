// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe::config {

/// Upper bound on the devices of one machine; more is a slip of the keyboard.
inline constexpr std::int32_t max_devices = 1024;

enum class device_kind : std::uint8_t {
  /// Device hosts as processes that compute on the CPU.
  cpu,
  /// The machine's GPUs, one device host each.
  cuda,
  /// As `cpu`, but every device host is a part of the driver process.
  inproc,
};

/// What `--devices` asks for.
struct device_request {
  device_kind kind = device_kind::cpu;
  /// Devices asked for; 0 means all there are (`cuda` alone).
  std::int32_t count = 1;
  /// `cuda:0,1`: which ones, in this order; empty means the first `count`.
  std::vector<std::int32_t> ids;

  bool operator==(const device_request&) const = default;
};

/// Reads `cpu:2`, `inproc:2`, `cuda` (all), `cuda:0,1` (these two), `cpu` (one)
/// or `inproc` (one). Fails with `errc::invalid`.
[[nodiscard]] result<device_request> parse_devices(std::string_view text);

/// The text that `parse_devices` reads as `x`.
[[nodiscard]] std::string to_string(const device_request& x);

/// `errc::exhausted` with a sentence that names both numbers if `required`
/// devices are more than the `available` that `request` gives.
[[nodiscard]] result<void> check_devices(std::int64_t required,
                                         std::int64_t available,
                                         const device_request& request);

} // namespace troupe::config
