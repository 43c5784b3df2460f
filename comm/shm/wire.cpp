// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/shm/wire.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>

namespace troupe::comm::shm {

namespace {

error hung_up() {
  return {errc::lost, "the other end of the link is gone"};
}

bool would_block(int code) {
  return code == EAGAIN || code == EINTR || code == ENOBUFS;
}

} // namespace

result<void> wire::send(const void* message, std::size_t size, int fd,
                        deadline until) {
  iovec part{const_cast<void*>(message), size};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::byte control[CMSG_SPACE(sizeof(int))]{};
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    auto* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
  }
  for (;;) {
    auto sent = ::sendmsg(line_.fd(), &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == static_cast<ssize_t>(size))
      return {};
    if (sent >= 0 || !would_block(errno))
      return fail(hung_up());
    if (auto room = ready(POLLOUT, until); !room)
      return room;
  }
}

result<void> wire::receive(void* message, std::size_t size, socket& fd,
                           deadline until) {
  for (;;) {
    iovec part{message, size};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) std::byte control[CMSG_SPACE(sizeof(int))]{};
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    auto got = ::recvmsg(line_.fd(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && would_block(errno)) {
      if (auto some = ready(POLLIN, until); !some)
        return some;
      continue;
    }
    if (got <= 0)
      return fail(hung_up());
    auto* rights = CMSG_FIRSTHDR(&header);
    if (rights != nullptr && rights->cmsg_level == SOL_SOCKET
        && rights->cmsg_type == SCM_RIGHTS
        && rights->cmsg_len == CMSG_LEN(sizeof(int))) {
      int raw = -1;
      std::memcpy(&raw, CMSG_DATA(rights), sizeof(raw));
      fd = socket{raw};
    }
    if (got != static_cast<ssize_t>(size)
        || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
      return fail(errc::corrupt, "the other end does not speak our protocol");
    return {};
  }
}

void wire::close_ears() noexcept {
  ::shutdown(line_.fd(), SHUT_RD);
}

error wire::die(error what) {
  std::unique_lock lock{mutex_};
  if (cause_)
    return *cause_;
  cause_ = what;
  dead_ = true;
  ::shutdown(line_.fd(), SHUT_RDWR);
  return what;
}

void wire::abort() noexcept {
  try {
    die(error{errc::aborted, "the link was aborted"});
  } catch (...) {
    // No memory for the text; waking needs none.
    dead_ = true;
    ::shutdown(line_.fd(), SHUT_RDWR);
  }
}

std::optional<error> wire::cause() {
  std::unique_lock lock{mutex_};
  return cause_;
}

/// Waits until the socket is ready or hung up, which the next call tells.
result<void> wire::ready(short events, deadline until) {
  pollfd watched{line_.fd(), events, 0};
  auto left = std::min<std::int64_t>(until.left_ms().count(), INT_MAX);
  auto rc = ::poll(&watched, 1, static_cast<int>(left));
  if (rc == 0 && until.passed())
    return fail(errc::timed_out, "the other end of the link did not answer");
  return {};
}

} // namespace troupe::comm::shm
