// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/shm/factory.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/core.h>
#include <sys/socket.h>

#include "troupe/comm/shm/ends.hpp"

namespace troupe::comm::shm {

namespace {

result<void> check(const socket& line) {
  int domain = 0;
  int type = 0;
  socklen_t length = sizeof(int);
  if (!line
      || ::getsockopt(line.fd(), SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0
      || ::getsockopt(line.fd(), SOL_SOCKET, SO_TYPE, &type, &length) != 0
      || domain != AF_UNIX || type != SOCK_SEQPACKET)
    return fail(errc::invalid, "not a socket that make_sockets has made");
  return {};
}

} // namespace

probe_result probe() {
  auto made = arena::create(1);
  if (!made)
    return {false, made.error().message()};
  return {true, "sealed memfd"};
}

result<std::pair<int, int>> make_sockets() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0)
    return fail(errc::exhausted,
                fmt::format("no socketpair: {}", std::strerror(errno)));
  return std::pair{fds[0], fds[1]};
}

result<link_ptr>
make_sender(int fd, std::vector<std::shared_ptr<shared_memory>> memories,
            std::string_view backend) {
  socket line{fd};
  if (auto good = check(line); !good)
    return fail(good.error());
  return std::make_shared<sender>(backend, std::move(line),
                                  std::move(memories));
}

result<link_ptr> make_receiver(int fd, std::shared_ptr<memory_opener> opener,
                               std::string_view backend) {
  socket line{fd};
  if (auto good = check(line); !good)
    return fail(good.error());
  return std::make_shared<receiver>(backend, std::move(line),
                                    std::move(opener));
}

} // namespace troupe::comm::shm
