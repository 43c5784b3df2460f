// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "troupe/core/codec.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm {

/// Memory of this process that other processes of the machine can read in
/// place, and what they need to find it: a file descriptor (comm/shm/arena.hpp)
/// or bytes (comm/cuda_ipc/).
class shared_memory {
public:
  virtual ~shared_memory();

  [[nodiscard]] virtual std::span<std::byte> memory() const noexcept = 0;

  /// Travels beside the name; owned by the memory. Negative: none.
  [[nodiscard]] virtual int fd() const noexcept = 0;

  /// What the other process opens it by, if there is no descriptor. At most
  /// `shared_name_bytes_max`.
  [[nodiscard]] virtual const bytes& name() const noexcept = 0;

  /// True if all of `data` lies in this memory.
  [[nodiscard]] bool contains(std::span<const std::byte> data) const noexcept;
};

inline constexpr std::size_t shared_name_bytes_max = 256;

/// Another process's memory, readable as long as this lives.
class foreign_memory {
public:
  virtual ~foreign_memory();

  [[nodiscard]] virtual std::span<const std::byte> memory() const noexcept = 0;
};

/// Opens by name what a peer shares. Nothing in a name is trusted.
class memory_opener {
public:
  virtual ~memory_opener();

  [[nodiscard]] virtual result<std::shared_ptr<foreign_memory>>
  open(std::span<const std::byte> name) = 0;
};

} // namespace troupe::comm
