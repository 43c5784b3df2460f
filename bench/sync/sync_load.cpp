// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/sync_load.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace troupe::bench {

namespace {

constexpr std::size_t tensors = 300;
constexpr std::size_t tiny_bytes = 8192;
constexpr std::size_t grain = 128;

/// Shares of a tensor: 1 large, 5 medium and 2 small in ten; the last 2 are
/// tiny whatever the load.
std::size_t share_of(std::size_t index) {
  switch (index % 10) {
    case 0: return 40;
    case 1:
    case 2:
    case 3:
    case 4:
    case 5: return 10;
    case 6:
    case 7: return 1;
    default: return 0;
  }
}

} // namespace

sync_load::sync_load(std::size_t bytes, std::size_t bucket_bytes)
  : bucket_bytes_(bucket_bytes) {
  std::size_t shares = 0;
  for (std::size_t i = 0; i < tensors; ++i)
    shares += share_of(i);
  for (std::size_t i = 0; i < tensors; ++i) {
    auto size = share_of(i) * (bytes / shares) / grain * grain;
    sizes_.push_back(std::max(size, tiny_bytes));
    bytes_ += sizes_.back();
  }
}

program_channel sync_load::channel(link_kind link) const {
  constexpr std::size_t element = 2;
  program_channel out{rank_id{0}, link, {}};
  std::uint64_t key = 0;
  for (std::uint32_t i = 0; i < sizes_.size(); ++i)
    for (std::size_t done = 0; done < sizes_[i];) {
      if (out.buckets.empty() || out.buckets.back().wire_bytes == bucket_bytes_)
        out.buckets.push_back({dtype::bfloat16, 0, {}});
      auto& bucket = out.buckets.back();
      program_part part;
      part.tensor = i;
      part.key = ++key;
      part.wire_begin = bucket.wire_bytes;
      part.wire_bytes = std::min(sizes_[i] - done,
                                 bucket_bytes_ - bucket.wire_bytes);
      part.offset_bytes = done;
      part.run_elements = part.wire_bytes / element;
      bucket.wire_bytes += part.wire_bytes;
      done += part.wire_bytes;
      bucket.parts.push_back(std::move(part));
    }
  return out;
}

rank_program sync_load::sends(link_kind link) const {
  return {rank_id{0}, {channel(link)}, {}};
}

rank_program sync_load::receives(link_kind link) const {
  return {rank_id{0}, {}, {channel(link)}};
}

void fill_tensor(std::span<std::byte> memory, unsigned seed,
                 std::size_t index) {
  auto word = (seed * 2654435761u + index) | 1u;
  for (std::size_t i = 0; i + sizeof(word) <= memory.size();
       i += sizeof(word)) {
    std::memcpy(memory.data() + i, &word, sizeof(word));
    word = word * 1664525u + 1013904223u;
  }
}

result<sync_tensors> make_tensors(const sync_load& load, unsigned seed,
                                  const allocator& allocate) {
  sync_tensors out;
  for (auto size : load.sizes()) {
    auto made = allocate(size);
    if (!made)
      return fail(made.error());
    fill_tensor(made->bytes(), seed, out.list.size());
    out.list.push_back({fmt::format("tensor.{}", out.list.size()),
                        dtype::bfloat16, made->bytes()});
    out.memory.push_back(std::move(*made));
  }
  return out;
}

result<buffer> heap(std::size_t bytes) {
  return buffer::allocate(bytes);
}

} // namespace troupe::bench
