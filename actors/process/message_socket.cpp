// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/message_socket.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace troupe::process {

namespace {

// One is all we ever send; room for a few shows who sends more.
constexpr std::size_t files_max = 4;

} // namespace

result<std::pair<unique_fd, unique_fd>> make_socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   ends)
      != 0)
    return fail(system_error(errc::exhausted, "no socket pair", errno));
  return std::pair{unique_fd{ends[0]}, unique_fd{ends[1]}};
}

io_status send_message(int socket, std::span<const std::byte> message,
                       int file) noexcept {
  iovec part{const_cast<std::byte*>(message.data()), message.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (file >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    auto* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &file, sizeof(int));
  }
  for (;;) {
    if (::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
      return io_status::done;
    switch (errno) {
      case EINTR: continue;
      case EAGAIN: return io_status::would_block;
      case EMSGSIZE: return io_status::malformed;
      // Also where the system has no memory or descriptors left for what is on
      // its way: a poll would not tell when it has, so waiting would spin.
      default: return io_status::closed;
    }
  }
}

io_status receive_message(int socket, std::size_t bytes_max, incoming& out) {
  out.files.clear();
  out.message.resize(bytes_max);
  iovec part{out.message.data(), out.message.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(files_max * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t size = 0;
  do
    size = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (size < 0 && errno == EINTR);
  if (size < 0)
    return errno == EAGAIN ? io_status::would_block : io_status::closed;
  for (auto* x = CMSG_FIRSTHDR(&header); x; x = CMSG_NXTHDR(&header, x)) {
    if (x->cmsg_level != SOL_SOCKET || x->cmsg_type != SCM_RIGHTS)
      continue;
    auto count = (x->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(x) + i * sizeof(int), sizeof(int));
      out.files.emplace_back(fd);
    }
  }
  // Nobody sends empty messages, so no bytes mean the end.
  if (size == 0)
    return io_status::closed;
  if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
    return io_status::malformed;
  out.message.resize(static_cast<std::size_t>(size));
  return io_status::done;
}

result<unique_fd> make_wake_fd() {
  unique_fd fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!fd)
    return fail(system_error(errc::exhausted, "no event descriptor", errno));
  return fd;
}

void wake(int fd) noexcept {
  std::uint64_t one = 1;
  // A full counter wakes just as well.
  [[maybe_unused]] auto written = ::write(fd, &one, sizeof(one));
}

void unwake(int fd) noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] auto got = ::read(fd, &count, sizeof(count));
}

error system_error(errc code, std::string_view what, int number) {
  return error{code,
               fmt::format("{}: {}", what,
                           ::strerrordesc_np(number) ? ::strerrordesc_np(number)
                                                     : "unknown error")};
}

} // namespace troupe::process
