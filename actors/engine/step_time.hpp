// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "troupe/actors/call/grace.hpp"
#include "troupe/actors/protocol/sync.hpp"

// How the engine's steps write down and wait for a timeout.
namespace troupe::engine {

// Steps that may each take the whole timeout of a sync. How long the engine
// waits counts all of them: what is below names its own step when one hangs.
// `among`: so many syncs go on at one time, and those that share devices wait
// for each other.

/// Those of a preparation; before that waiting for devices, which others may have
/// for as long.
[[nodiscard]] constexpr int prepare_steps(std::size_t among) noexcept {
  return static_cast<int>(protocol::prepare_sync::steps)
         * (static_cast<int>(among) + 1);
}

/// Who is left, and a preparation: where ranks may be dropped.
[[nodiscard]] constexpr int replan_steps(std::size_t among) noexcept {
  return 1 + prepare_steps(among);
}

/// Waiting for devices, then pin, both ends of the links, fence, transfer, swap,
/// compare, open, undo; planning anew, or leaving both ends to go in place, and
/// all that again.
[[nodiscard]] constexpr int sync_steps(std::size_t among) noexcept {
  return 2 * (static_cast<int>(among) + 9) + replan_steps(among);
}

/// Waiting for devices, then pin, both ends of the links, compare; likewise.
[[nodiscard]] constexpr int compare_steps(std::size_t among) noexcept {
  return 2 * (static_cast<int>(among) + 4) + replan_steps(among);
}

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
