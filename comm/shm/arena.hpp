// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

#include "troupe/comm/shared_memory.hpp"
#include "troupe/core/buffer.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm::shm {

/// Memory that other processes may read: a memfd, mapped writable here and
/// sealed, so that nobody else can write, shrink or grow it. What is pushed
/// from an arena is not copied on this side.
///
/// `allocate` may be called from any thread; who writes the memory when is
/// agreed outside.
class arena final : public shared_memory,
                    public std::enable_shared_from_this<arena> {
public:
  /// An arena of `bytes`, rounded up to whole pages; pages cost memory once
  /// they are written. Fails with `errc::exhausted` or, where the kernel has
  /// no sealed memfd, `errc::unavailable`.
  [[nodiscard]] static result<std::shared_ptr<arena>> create(std::size_t bytes);

  ~arena() override;

  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;

  /// The next `bytes`, aligned to `buffer::alignment` and zeroed. The buffer
  /// keeps the arena alive; memory comes back with the whole arena only.
  /// Fails with `errc::exhausted`.
  [[nodiscard]] result<buffer> allocate(std::size_t bytes);

  [[nodiscard]] std::span<std::byte> memory() const noexcept override {
    return memory_;
  }

  /// The sealed memfd; owned by the arena.
  [[nodiscard]] int fd() const noexcept override { return fd_; }

  /// Empty: the memfd says it all.
  [[nodiscard]] const bytes& name() const noexcept override { return name_; }

private:
  arena(int fd, std::span<std::byte> memory) noexcept
    : fd_(fd),
      memory_(memory) {
    // nop
  }

  int fd_;
  std::span<std::byte> memory_;
  bytes name_;
  std::mutex mutex_;
  std::size_t used_ = 0;
};

/// Another process's arena, mapped for reading.
class foreign_arena final : public foreign_memory {
public:
  /// Maps `fd`, which came from a peer and is not trusted: it must be a memfd
  /// that can no longer shrink, or reading it could kill us. Does not take
  /// `fd`. Fails with `errc::corrupt`.
  [[nodiscard]] static result<foreign_arena> map(int fd);

  foreign_arena() noexcept = default;
  foreign_arena(foreign_arena&& other) noexcept;
  foreign_arena& operator=(foreign_arena&& other) noexcept;
  ~foreign_arena() override;

  [[nodiscard]] std::span<const std::byte> memory() const noexcept override {
    return memory_;
  }

private:
  std::span<const std::byte> memory_;
};

} // namespace troupe::comm::shm
