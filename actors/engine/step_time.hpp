// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include "troupe/actors/call/grace.hpp"

// How the engine's steps write down and wait for a timeout.
namespace troupe::engine {

// Steps that may each take the whole timeout of a sync. How long the engine
// waits counts all of them: what is below names its own step when one hangs.

/// Waiting for devices, programs, both ends of the links, warm-up.
inline constexpr int prepare_steps = 5;

/// Who is left, and a preparation: where ranks may be dropped.
inline constexpr int replan_steps = 1 + prepare_steps;

/// Waiting for devices, pin, both ends of the links, fence, transfer, swap,
/// compare, open, undo; planning anew, and all that again.
inline constexpr int sync_steps = 2 * 10 + replan_steps;

/// Waiting for devices, pin, both ends of the links, compare; likewise.
inline constexpr int compare_steps = 2 * 5 + replan_steps;

/// As messages carry it.
[[nodiscard]] inline std::uint32_t to_ms(std::chrono::milliseconds x) noexcept {
  return static_cast<std::uint32_t>(x.count());
}

/// How long the engine waits for somebody who was given `x`.
[[nodiscard]] inline std::chrono::milliseconds
with_grace(std::chrono::milliseconds x) {
  return call::with_grace(x, call::layer::engine);
}

} // namespace troupe::engine
