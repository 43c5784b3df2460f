// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include "troupe/core/error.hpp"

namespace troupe::checkpoint {

/// A descriptor that closes itself.
class open_file {
public:
  /// `flags` as for open(2); `get` is negative and errno set if it fails.
  open_file(const std::filesystem::path& file, int flags);

  ~open_file();

  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;

  [[nodiscard]] int get() const noexcept { return fd_; }

private:
  int fd_;
};

/// Writes all of `data`; 0, or the error number.
[[nodiscard]] int write_all(int fd, std::span<const std::byte> data) noexcept;

/// Reads until `to` is full or the file ends, and says in `count` how much that
/// was; 0, or the error number.
[[nodiscard]] int read_full(int fd, std::span<std::byte> to,
                            std::size_t& count) noexcept;

/// Returns when what `fd` stands for is on the disk; 0, or the error number.
[[nodiscard]] int sync_to_disk(int fd) noexcept;

/// What the system's error number `code` means for somebody who wanted to
/// `action` `file`.
[[nodiscard]] error file_error(int code, std::string_view action,
                               const std::filesystem::path& file);

} // namespace troupe::checkpoint
