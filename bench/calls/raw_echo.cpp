// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/calls/raw_echo.hpp"

#include <array>
#include <chrono>

#include <sys/socket.h>
#include <unistd.h>

namespace troupe::bench {

namespace {

bool write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    auto done = ::send(fd, data, size, MSG_NOSIGNAL);
    if (done <= 0)
      return false;
    data += done;
    size -= static_cast<std::size_t>(done);
  }
  return true;
}

bool read_all(int fd, char* data, std::size_t size) {
  while (size > 0) {
    auto done = ::recv(fd, data, size, 0);
    if (done <= 0)
      return false;
    data += done;
    size -= static_cast<std::size_t>(done);
  }
  return true;
}

/// Waits end by themselves: a poll before each read would be measured too.
void limit_reads(int fd, deadline until) {
  auto left = until.left_ms().count();
  timeval limit{left / 1000, (left % 1000) * 1000};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

} // namespace

int raw_echo_main() {
  std::array<char, raw_bytes> message;
  while (read_all(STDIN_FILENO, message.data(), message.size()))
    if (!write_all(STDOUT_FILENO, message.data(), message.size()))
      return 1;
  return 0;
}

result<std::vector<double>> raw_round(const child_process& echo,
                                      std::size_t count, deadline until) {
  using clock = std::chrono::steady_clock;
  using microseconds = std::chrono::duration<double, std::micro>;
  limit_reads(echo.socket(), until);
  std::array<char, raw_bytes> message{};
  std::vector<double> samples;
  samples.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto start = clock::now();
    if (!write_all(echo.socket(), message.data(), message.size())
        || !read_all(echo.socket(), message.data(), message.size()))
      return fail(errc::lost, "the echo process does not answer");
    samples.push_back(microseconds{clock::now() - start}.count());
  }
  return samples;
}

} // namespace troupe::bench
