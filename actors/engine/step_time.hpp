// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include "troupe/actors/call/grace.hpp"

// How the engine's steps write down and wait for a timeout.
namespace troupe::engine {

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
