// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "troupe/planner/cluster.hpp"

namespace troupe::planner {

/// How far apart two devices are, near to far.
enum class link_class : std::uint8_t {
  device,
  domain,
  node,
  network,
};

inline constexpr std::size_t num_link_class = 4;

/// `"device"`, `"domain"`, `"node"`, `"network"`.
[[nodiscard]] std::string_view to_string(link_class x) noexcept;

/// What a prediction assumes of the hardware, in bytes, flops and seconds. The
/// defaults are those of an H100 SXM node with one 400 Gb/s NIC a device;
/// measure and replace them for anything else.
struct cost_model {
  /// Dense bfloat16, one device.
  double peak_flops = 989e12;
  /// The part of it that training and a forward pass reach.
  double training_efficiency = 0.4;
  double forward_efficiency = 0.5;
  /// Device memory, and the part of it that decoding reaches.
  double memory_bandwidth = 3.35e12;
  double memory_efficiency = 0.6;

  /// One direction of one device, by link: a copy on the device itself; NVLink;
  /// PCIe through the host.
  double device_bandwidth = 1.3e12;
  double domain_bandwidth = 350e9;
  double node_bandwidth = 40e9;
  /// One direction of one NIC.
  double nic_bandwidth = 45e9;
  /// Between a device and its host: offload.
  double host_bandwidth = 40e9;

  /// One collective among the ranks of a tensor group.
  double collective_seconds = 15e-6;
  /// Fixed part of one weight sync.
  double sync_seconds = 5e-3;

  bool operator==(const cost_model&) const = default;
};

/// What one episode asks of the models.
struct workload {
  std::int64_t samples = 512;
  std::int64_t prompt_tokens = 512;
  std::int64_t response_tokens = 1024;
  /// Samples of one optimizer step.
  std::int64_t train_batch = 512;
  /// Times that training goes over the samples.
  std::int32_t epochs = 1;
  /// Batches in which generated samples stream to the models that score them;
  /// 1: scoring begins when all are there.
  std::int32_t batches = 1;

  [[nodiscard]] double tokens() const noexcept {
    return static_cast<double>(samples)
           * static_cast<double>(prompt_tokens + response_tokens);
  }

  bool operator==(const workload&) const = default;
};

/// Bytes a second and device over `x`; over the network the NICs are shared by
/// the devices of `where`.
[[nodiscard]] double bandwidth_of(const cost_model& costs, link_class x,
                                  const node_spec& where) noexcept;

} // namespace troupe::planner
