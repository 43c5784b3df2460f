// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "troupe/comm/transfer/types.hpp"
#include "troupe/core/buffer.hpp"
#include "troupe/core/error.hpp"

namespace troupe::bench {

/// What all rounds of `bench_sync` move: 300 tensors of mixed sizes, in the
/// proportions of a transformer: a few large, many medium, many tiny.
class sync_load {
public:
  /// About `bytes` in all, in buckets of at most `bucket_bytes`.
  sync_load(std::size_t bytes, std::size_t bucket_bytes);

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  [[nodiscard]] std::size_t bucket_bytes() const noexcept {
    return bucket_bytes_;
  }

  [[nodiscard]] const std::vector<std::size_t>& sizes() const noexcept {
    return sizes_;
  }

  /// One channel between rank 0 of both sides, the same program at both ends.
  [[nodiscard]] rank_program sends(link_kind link) const;

  [[nodiscard]] rank_program receives(link_kind link) const;

private:
  [[nodiscard]] program_channel channel(link_kind link) const;

  std::size_t bucket_bytes_;
  std::size_t bytes_ = 0;
  std::vector<std::size_t> sizes_;
};

/// The tensors of one end, every page written.
struct sync_tensors {
  std::vector<buffer> memory;
  std::vector<comm::transfer::local_tensor> list;
};

using allocator = std::function<result<buffer>(std::size_t bytes)>;

/// Writes bytes that depend on `seed` and the tensor's number.
void fill_tensor(std::span<std::byte> memory, unsigned seed, std::size_t index);

/// Tensors whose bytes depend on `seed`.
[[nodiscard]] result<sync_tensors>
make_tensors(const sync_load& load, unsigned seed, const allocator& allocate);

/// Ordinary memory.
[[nodiscard]] result<buffer> heap(std::size_t bytes);

} // namespace troupe::bench
