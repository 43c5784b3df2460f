// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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

/// What a device of that kind is called: `cpu` or `cuda`.
[[nodiscard]] std::string_view host_kind_of(device_kind x) noexcept;

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

/// A GPU as the processes of this machine see it; its number is its place in
/// the inventory.
struct gpu {
  std::string name;
  /// `GPU-` and 32 hexadecimal digits in groups, as NVIDIA's tools write it.
  std::string uuid;
  std::uint64_t memory_bytes = 0;
  /// Compute capability, as `9.0`.
  std::string capability;
  /// Its compute mode lets no process in.
  bool closed = false;

  bool operator==(const gpu&) const = default;
};

struct gpu_inventory {
  std::vector<gpu> gpus;
  /// If there are none: why, for people.
  std::string why;
  /// What CUDA_VISIBLE_DEVICES says, if it is set: it hides and renumbers.
  std::optional<std::string> mask = {};

  bool operator==(const gpu_inventory&) const = default;
};

/// Says what GPUs this machine has (actors/node/gpu_probe.hpp).
using gpu_finder = std::function<result<gpu_inventory>()>;

/// What `x` stands for on a machine with these GPUs, every one by number: `cuda`
/// becomes `cuda:0,1,...`, without those that let nobody in. Other kinds stay as
/// they are and `find` is not asked. Fails with `errc::unavailable` if there is
/// no GPU to be had, or one of those asked for lets nobody in; with
/// `errc::invalid` if one of those asked for does not exist, or if all are and
/// CUDA_VISIBLE_DEVICES names more than there are: CUDA would hide the rest
/// without a word.
[[nodiscard]] result<device_request> name_devices(const device_request& x,
                                                  const gpu_finder& find);

/// `errc::exhausted` with a sentence that names both numbers if `required`
/// devices are more than the `available` that `request` gives.
[[nodiscard]] result<void> check_devices(std::int64_t required,
                                         std::int64_t available,
                                         const device_request& request);

} // namespace troupe::config
