// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

namespace sync_faults {

inline constexpr std::size_t num_ranks = 4;

/// Elements that every rank holds, in one tensor or in several.
inline constexpr std::size_t num_elements = std::size_t{128} << 10;

/// Calls that are remembered.
inline constexpr std::size_t num_calls = 1024;

inline constexpr std::int32_t disarm = -1;

/// That a rank served a call, and at which version: one word, so that nobody
/// sees half of it.
struct served_call {
  std::uint64_t call = 0;
  std::uint64_t version = 0;

  [[nodiscard]] std::uint64_t pack() const noexcept {
    return call << 16 | version;
  }

  [[nodiscard]] static served_call unpack(std::uint64_t x) noexcept {
    return {x >> 16, x & 0xffff};
  }
};

/// What one rank tells the test, and is told.
struct rank_page {
  std::atomic<std::int32_t> pid;
  /// Calls served, and calls that saw weights which are not of one version.
  std::atomic<std::uint64_t> served;
  std::atomic<std::uint64_t> violations;
  /// The version served last.
  std::atomic<std::uint64_t> version;
  /// The calls served last, each at its number modulo `num_calls`.
  std::array<std::atomic<std::uint64_t>, num_calls> calls;
  /// When this element of its weights is touched next, `signal` goes to
  /// `target`. 0: no trap; `disarm`: not any more.
  std::atomic<std::uint64_t> trap_at;
  std::atomic<std::int32_t> target;
  std::atomic<std::int32_t> signal;
  /// The trap has sent it.
  std::atomic<bool> fired;
};

/// Memory that the test and all ranks share: a file, because ranks are
/// processes that come and go. Ranks 0, 1 are the source's, 2, 3 the
/// destination's.
struct shared_page {
  std::array<rank_page, num_ranks> ranks;
};

/// Maps the file, which is made if it is not there; null if that fails.
[[nodiscard]] shared_page* map_page(const std::filesystem::path& file);

} // namespace sync_faults
