// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/monitoring/run_feed.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace troupe::monitoring {

namespace {

/// At once, so that a run that tells much cannot keep us from our terminal.
constexpr int chunks_max = 64;

bool wait_for(int fd, short events, deadline until) {
  pollfd x{fd, events, 0};
  for (;;) {
    auto count = ::poll(&x, 1, static_cast<int>(until.left_ms().count()));
    if (count > 0)
      return true;
    if (count == 0 || errno != EINTR)
      return false;
  }
}

} // namespace

result<run_feed> run_feed::connect(const run_address& to, deadline until) {
  auto refuse = [&](int number) {
    return fail(errc::unavailable,
                fmt::format("nobody tells of a run at {}: {}", to_string(to),
                            std::strerror(number)));
  };
  process::unique_fd socket{
    ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket)
    return refuse(errno);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(to.port);
  ::inet_pton(AF_INET, to.host.c_str(), &at.sin_addr);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0
      && errno != EINPROGRESS)
    return refuse(errno);
  if (!wait_for(socket.get(), POLLOUT, until))
    return refuse(ETIMEDOUT);
  int problem = 0;
  socklen_t size = sizeof(problem);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &problem, &size) != 0)
    problem = errno;
  if (problem != 0)
    return refuse(problem);
  return run_feed{std::move(socket)};
}

result<std::vector<std::string>> run_feed::read() {
  std::array<char, 16'384> chunk;
  for (auto i = 0; i < chunks_max; ++i) {
    auto count = ::recv(socket_.get(), chunk.data(), chunk.size(),
                        MSG_DONTWAIT);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      break;
    if (count <= 0) {
      if (!lines_.empty())
        break;
      return fail(errc::lost, "the run is gone: its driver has ended without "
                              "a word");
    }
    std::string_view left{chunk.data(), static_cast<std::size_t>(count)};
    for (auto end = left.find('\n'); end != std::string_view::npos;
         end = left.find('\n')) {
      begun_ += left.substr(0, end);
      lines_.push_back(std::exchange(begun_, {}));
      left.remove_prefix(end + 1);
    }
    begun_ += left;
    if (begun_.size() > line_max)
      return fail(errc::corrupt, "what is told there has no end: this is no "
                                 "run of Troupe");
  }
  return std::exchange(lines_, {});
}

result<std::string> run_feed::wait_line(deadline until) {
  for (;;) {
    auto got = read();
    if (!got)
      return fail(got.error());
    if (!got->empty()) {
      auto first = std::move(got->front());
      got->erase(got->begin());
      lines_ = std::move(*got);
      return first;
    }
    if (!wait_for(socket_.get(), POLLIN, until))
      return fail(errc::timed_out, "nothing is told there: this is no run of "
                                   "Troupe, or it stands still");
  }
}

} // namespace troupe::monitoring
