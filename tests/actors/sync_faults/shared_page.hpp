// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

namespace sync_faults {

inline constexpr std::size_t num_ranks = 4;

/// Bytes of the one tensor that every rank holds.
inline constexpr std::size_t tensor_bytes = std::size_t{512} << 10;

inline constexpr std::int32_t disarm = -1;

/// What one rank tells the test, and is told.
struct rank_page {
  std::atomic<std::int32_t> pid;
  /// Calls served, and calls that saw weights which are not of one version.
  std::atomic<std::uint64_t> served;
  std::atomic<std::uint64_t> violations;
  /// The version served last.
  std::atomic<std::uint64_t> version;
  /// When this byte of its parameter is touched next, `signal` goes to
  /// `target`. 0: no trap; `disarm`: not any more.
  std::atomic<std::uint64_t> trap_at;
  std::atomic<std::int32_t> target;
  std::atomic<std::int32_t> signal;
};

/// Memory that the test and all ranks share: a file, because ranks are
/// processes that come and go. Ranks 0, 1 are the source's, 2, 3 the
/// destination's replicas.
struct shared_page {
  std::array<rank_page, num_ranks> ranks;
};

/// Maps the file, which is made if it is not there; null if that fails.
[[nodiscard]] shared_page* map_page(const std::filesystem::path& file);

} // namespace sync_faults
