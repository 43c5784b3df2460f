// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace troupe {

inline constexpr std::uint64_t kib = 1024;
inline constexpr std::uint64_t mib = 1024 * kib;
inline constexpr std::uint64_t gib = 1024 * mib;

/// For people: `"512 B"`, `"1.5 KiB"`, `"3.2 GiB"`.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

/// For people: `"850 us"`, `"12.3 ms"`, `"4.2 s"`, `"3 min 05 s"`.
[[nodiscard]] std::string format_duration(std::chrono::nanoseconds span);

/// For people, with a separator every three digits: `"6,600"`.
[[nodiscard]] std::string format_count(std::uint64_t count);

} // namespace troupe
