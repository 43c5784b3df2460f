// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include <unistd.h>

namespace troupe::comm {

/// Owns a file descriptor.
class socket {
public:
  socket() noexcept = default;

  explicit socket(int fd) noexcept : fd_(fd) {
    // nop
  }

  socket(socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {
    // nop
  }

  socket& operator=(socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  ~socket() {
    if (fd_ >= 0)
      ::close(fd_);
  }

  [[nodiscard]] int fd() const noexcept { return fd_; }

  explicit operator bool() const noexcept { return fd_ >= 0; }

  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

private:
  int fd_ = -1;
};

} // namespace troupe::comm
