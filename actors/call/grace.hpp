// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace troupe::call {

/// How far above the one who works somebody stands who waits for it. Those
/// below give up first and say why; each layer waits a little longer than the
/// one below it.
enum class layer : std::uint8_t {
  replica = 1,
  dist_model = 2,
  sync_group = 3,
  engine = 5,
};

/// As messages carry it; never 0.
[[nodiscard]] inline std::uint32_t to_ms(std::chrono::milliseconds x) {
  return static_cast<std::uint32_t>(std::max<std::int64_t>(x.count(), 1));
}

/// What a layer waits longer: a quarter of `timeout`, at least 50 ms and at most
/// half a second.
[[nodiscard]] inline std::chrono::milliseconds
grace_step(std::chrono::milliseconds timeout) {
  using std::chrono::milliseconds;
  return std::clamp(timeout / 4, milliseconds{50}, milliseconds{500});
}

/// `timeout`, and a step for each layer.
[[nodiscard]] inline std::chrono::milliseconds
with_grace(std::chrono::milliseconds timeout, layer who) {
  return timeout + grace_step(timeout) * static_cast<int>(who);
}

[[nodiscard]] inline std::chrono::milliseconds
with_grace(std::uint32_t timeout_ms, layer who) {
  return with_grace(std::chrono::milliseconds{timeout_ms}, who);
}

/// How long to wait for what is asked through `hops` others: each waits a little
/// longer than the next, and two together less than a layer does.
[[nodiscard]] inline std::chrono::milliseconds
through_hops(std::chrono::milliseconds timeout, std::size_t hops) {
  return timeout + grace_step(timeout) / 4 * static_cast<int>(hops);
}

} // namespace troupe::call
