// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <stdexcept>
#include <utility>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace troupe::test {

/// A port of 127.0.0.1 that the kernel gives to nobody else as long as this
/// lives. Nobody listens there unless a program is told to and sets
/// SO_REUSEADDR, as Troupe's do; it may end and begin again.
class held_port {
public:
  /// Throws std::runtime_error if no port is left.
  held_port() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    int on = 1;
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    auto* raw = reinterpret_cast<sockaddr*>(&at);
    if (fd_ < 0
        || ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0
        || ::bind(fd_, raw, size) != 0 || ::getsockname(fd_, raw, &size) != 0) {
      close();
      throw std::runtime_error{"no port for the test"};
    }
    number_ = ntohs(at.sin_port);
  }

  held_port(held_port&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      number_(other.number_) {
    // nop
  }

  held_port& operator=(held_port&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(number_, other.number_);
    return *this;
  }

  ~held_port() { close(); }

  [[nodiscard]] std::uint16_t number() const noexcept { return number_; }

private:
  void close() const {
    if (fd_ >= 0)
      ::close(fd_);
  }

  int fd_ = -1;
  std::uint16_t number_ = 0;
};

} // namespace troupe::test
