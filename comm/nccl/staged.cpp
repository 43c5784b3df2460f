// SPDX-License-Identifier: Apache-2.0
// What a communicator does with host memory: over pinned and device chunks.
#include <algorithm>
#include <cstring>

#include "troupe/comm/nccl/communicator.hpp"
#include "troupe/comm/reduce.hpp"

namespace troupe::comm::nccl {

std::size_t nccl_communicator::block_bytes() const noexcept {
  auto even = staging_->chunk_bytes() / static_cast<std::size_t>(size_);
  return even - even % block_alignment;
}

result<void> nccl_communicator::staged_send(std::span<const std::byte> data,
                                            rank_id peer, const watch& peers,
                                            deadline until) {
  if (auto there = staging_->need_chunks(); !there)
    return there;
  for (std::size_t at = 0; at < data.size();) {
    auto bytes = std::min(staging_->chunk_bytes(), data.size() - at);
    std::memcpy(staging_->pinned_out(), data.data() + at, bytes);
    if (auto up = staging_->copy(staging_->device_out(), staging_->pinned_out(),
                                 bytes);
        !up)
      return up;
    auto begun = launch("send", peers, until, [&](comm_handle x) {
      return config_.library->send(staging_->device_out(), bytes, peer.value(),
                                   x, staging_->stream());
    });
    if (!begun)
      return begun;
    if (auto done = finish(peers, until); !done)
      return done;
    at += bytes;
  }
  return {};
}

result<void> nccl_communicator::staged_recv(std::span<std::byte> data,
                                            rank_id peer, const watch& peers,
                                            deadline until) {
  if (auto there = staging_->need_chunks(); !there)
    return there;
  for (std::size_t at = 0; at < data.size();) {
    auto bytes = std::min(staging_->chunk_bytes(), data.size() - at);
    auto begun = launch("recv", peers, until, [&](comm_handle x) {
      return config_.library->recv(staging_->device_in(), bytes, peer.value(),
                                   x, staging_->stream());
    });
    if (!begun)
      return begun;
    if (auto down = staging_->copy(staging_->pinned_in(), staging_->device_in(),
                                   bytes);
        !down)
      return down;
    if (auto done = finish(peers, until); !done)
      return done;
    std::memcpy(data.data() + at, staging_->pinned_in(), bytes);
    at += bytes;
  }
  return {};
}

result<void> nccl_communicator::staged_broadcast(std::span<std::byte> data,
                                                 rank_id root,
                                                 const watch& peers,
                                                 deadline until) {
  if (auto there = staging_->need_chunks(); !there)
    return there;
  for (std::size_t at = 0; at < data.size();) {
    auto bytes = std::min(staging_->chunk_bytes(), data.size() - at);
    if (root == rank_) {
      std::memcpy(staging_->pinned_out(), data.data() + at, bytes);
      if (auto up = staging_->copy(staging_->device_out(),
                                   staging_->pinned_out(), bytes);
          !up)
        return up;
    }
    auto begun = launch("broadcast", peers, until, [&](comm_handle x) {
      return config_.library->broadcast(staging_->device_out(), bytes,
                                        root.value(), x, staging_->stream());
    });
    if (!begun)
      return begun;
    if (auto down = staging_->copy(staging_->pinned_in(),
                                   staging_->device_out(), bytes);
        !down)
      return down;
    if (auto done = finish(peers, until); !done)
      return done;
    if (root != rank_)
      std::memcpy(data.data() + at, staging_->pinned_in(), bytes);
    at += bytes;
  }
  return {};
}

result<void> nccl_communicator::gather_chunk(std::size_t bytes,
                                             const watch& peers,
                                             deadline until) {
  auto ranks = static_cast<std::size_t>(size_);
  if (auto up = staging_->copy(staging_->device_out(), staging_->pinned_out(),
                               bytes);
      !up)
    return up;
  auto begun = launch("all_gather", peers, until, [&](comm_handle x) {
    return config_.library->all_gather(staging_->device_out(),
                                       staging_->device_in(), bytes, x,
                                       staging_->stream());
  });
  if (!begun)
    return begun;
  if (auto down = staging_->copy(staging_->pinned_in(), staging_->device_in(),
                                 bytes * ranks);
      !down)
    return down;
  return finish(peers, until);
}

result<void> nccl_communicator::staged_gather(std::span<const std::byte> in,
                                              std::span<std::byte> out,
                                              const watch& peers,
                                              deadline until) {
  if (auto there = staging_->need_chunks(); !there)
    return there;
  auto ranks = static_cast<std::size_t>(size_);
  for (std::size_t at = 0; at < in.size();) {
    auto bytes = std::min(block_bytes(), in.size() - at);
    std::memcpy(staging_->pinned_out(), in.data() + at, bytes);
    if (auto done = gather_chunk(bytes, peers, until); !done)
      return done;
    for (std::size_t r = 0; r < ranks; ++r)
      std::memcpy(out.data() + r * in.size() + at,
                  staging_->pinned_in() + r * bytes, bytes);
    at += bytes;
  }
  return {};
}

result<void> nccl_communicator::exchange_blocks(std::size_t bytes,
                                                const watch& peers,
                                                deadline until) {
  auto ranks = static_cast<std::size_t>(size_);
  auto self = static_cast<std::size_t>(rank_.value());
  if (auto up = staging_->copy(staging_->device_out(), staging_->pinned_out(),
                               bytes * ranks);
      !up)
    return up;
  auto& lib = *config_.library;
  auto begun = launch("exchange", peers, until, [&](comm_handle x) {
    auto code = lib.group_begin();
    for (std::size_t r = 0; r < ranks && code == codes::success; ++r) {
      if (r == self)
        continue;
      auto peer = static_cast<std::int32_t>(r);
      code = lib.send(staging_->device_out() + r * bytes, bytes, peer, x,
                      staging_->stream());
      if (code == codes::success)
        code = lib.recv(staging_->device_in() + r * bytes, bytes, peer, x,
                        staging_->stream());
    }
    auto ended = lib.group_end();
    return code == codes::success ? ended : code;
  });
  if (!begun)
    return begun;
  if (auto down = staging_->copy(staging_->pinned_in(), staging_->device_in(),
                                 bytes * ranks);
      !down)
    return down;
  if (auto done = finish(peers, until); !done)
    return done;
  std::memcpy(staging_->pinned_in() + self * bytes,
              staging_->pinned_out() + self * bytes, bytes);
  return {};
}

void nccl_communicator::combine_blocks(std::size_t bytes, dtype type,
                                       reduce_op op, std::byte* out) {
  auto count = bytes / size_of(type);
  wide_.resize(count * size_of(wide_type(type)));
  widen(staging_->pinned_in(), type, wide_.data(), count);
  for (std::size_t r = 1; r < static_cast<std::size_t>(size_); ++r)
    combine(wide_.data(), staging_->pinned_in() + r * bytes, type, op, count);
  narrow(wide_.data(), type, out, count);
}

result<void> nccl_communicator::staged_scatter(std::span<const std::byte> in,
                                               std::span<std::byte> out,
                                               dtype type, reduce_op op,
                                               const watch& peers,
                                               deadline until) {
  if (auto there = staging_->need_chunks(); !there)
    return there;
  auto ranks = static_cast<std::size_t>(size_);
  for (std::size_t at = 0; at < out.size();) {
    auto bytes = std::min(block_bytes(), out.size() - at);
    for (std::size_t r = 0; r < ranks; ++r)
      std::memcpy(staging_->pinned_out() + r * bytes,
                  in.data() + r * out.size() + at, bytes);
    if (auto done = exchange_blocks(bytes, peers, until); !done)
      return done;
    combine_blocks(bytes, type, op, out.data() + at);
    at += bytes;
  }
  return {};
}

result<void> nccl_communicator::staged_reduce(std::span<std::byte> data,
                                              dtype type, reduce_op op,
                                              const watch& peers,
                                              deadline until) {
  if (auto there = staging_->need_chunks(); !there)
    return there;
  auto ranks = static_cast<std::size_t>(size_);
  auto element = size_of(type);
  for (std::size_t at = 0; at < data.size();) {
    auto bytes = std::min(block_bytes() * ranks, data.size() - at);
    // Each rank reduces one block; the last blocks may end in padding.
    auto block = (bytes / element + ranks - 1) / ranks * element;
    std::memcpy(staging_->pinned_out(), data.data() + at, bytes);
    std::memset(staging_->pinned_out() + bytes, 0, block * ranks - bytes);
    if (auto done = exchange_blocks(block, peers, until); !done)
      return done;
    combine_blocks(block, type, op, staging_->pinned_out());
    if (auto done = gather_chunk(block, peers, until); !done)
      return done;
    std::memcpy(data.data() + at, staging_->pinned_in(), bytes);
    at += bytes;
  }
  return {};
}

} // namespace troupe::comm::nccl
