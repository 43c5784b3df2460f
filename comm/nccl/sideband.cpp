// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/sideband.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "troupe/core/codec.hpp"

namespace troupe::comm::nccl {

namespace {

enum class kind : std::uint8_t { header = 1, goodbye = 2 };

bytes frame_of(kind what, std::uint8_t flag, std::uint32_t tag,
               std::uint64_t first, std::uint64_t second) {
  bytes out;
  encoder to{out};
  to.put(static_cast<std::uint8_t>(what));
  to.put(flag);
  to.put(std::uint16_t{0});
  to.put(tag);
  to.put(first);
  to.put(second);
  return out;
}

} // namespace

result<std::unique_ptr<sideband>> sideband::make(rank_id self,
                                                 std::vector<socket> lines) {
  socket poller{::epoll_create1(EPOLL_CLOEXEC)};
  socket waker{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  auto watch = [&](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return ::epoll_ctl(poller.fd(), EPOLL_CTL_ADD, fd, &event) == 0;
  };
  auto good = poller && waker && watch(waker.fd());
  for (const auto& x : lines)
    good = good && (!x || watch(x.fd()));
  if (!good)
    return fail(errc::exhausted,
                fmt::format("no descriptors for the connections beside NCCL: "
                            "{}; raise the limit of open files",
                            std::strerror(errno)));
  return std::unique_ptr<sideband>{
    new sideband(self, std::move(lines), std::move(poller), std::move(waker))};
}

sideband::sideband(rank_id self, std::vector<socket> lines, socket poller,
                   socket waker)
  : self_(self),
    poller_(std::move(poller)),
    waker_(std::move(waker)),
    peers_(lines.size()) {
  for (std::size_t rank = 0; rank < lines.size(); ++rank)
    peers_[rank].line = std::move(lines[rank]);
}

sideband::~sideband() = default;

result<void> sideband::announce(rank_id to, const message_header& what,
                                deadline until) {
  auto text = frame_of(kind::header, what.staged ? 1 : 0, what.tag, what.bytes,
                       0);
  const auto& line = peers_[static_cast<std::size_t>(to.value())].line;
  std::size_t sent = 0;
  while (sent < text.size()) {
    auto rc = ::send(line.fd(), text.data() + sent, text.size() - sent,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
    if (rc > 0) {
      sent += static_cast<std::size_t>(rc);
      continue;
    }
    if (errno != EAGAIN && errno != EINTR)
      return fail(errc::lost, fmt::format("rank {} is gone", to.value()));
    if (auto good = check(); !good)
      return good;
    if (until.passed())
      return fail(errc::timed_out,
                  fmt::format("waited in vain for rank {} to listen",
                              to.value()));
    pollfd watched{line.fd(), POLLOUT, 0};
    ::poll(&watched, 1, 1);
  }
  return {};
}

result<std::optional<message_header>> sideband::take(rank_id from) {
  std::unique_lock lock{mutex_};
  read_all();
  auto& peer = peers_[static_cast<std::size_t>(from.value())];
  // What came before a failure elsewhere does not help: the group is dead.
  if (auto good = check_locked(); !good)
    return fail(good.error());
  if (!peer.headers.empty()) {
    auto out = peer.headers.front();
    peer.headers.pop_front();
    return out;
  }
  if (peer.farewell)
    return fail(errc::lost, fmt::format("rank {} is done", from.value()));
  return std::optional<message_header>{};
}

result<void> sideband::check() {
  std::unique_lock lock{mutex_};
  read_all();
  return check_locked();
}

result<void> sideband::check_locked() {
  if (failed_)
    return fail(errc::lost, fmt::format("rank {} failed", *failed_));
  return {};
}

result<void> sideband::check_collective(std::uint64_t number) {
  std::unique_lock lock{mutex_};
  read_all();
  if (auto good = check_locked(); !good)
    return good;
  for (std::size_t rank = 0; rank < peers_.size(); ++rank)
    if (peers_[rank].farewell && peers_[rank].farewell->collectives < number)
      return fail(errc::lost, fmt::format("rank {} is done", rank));
  return {};
}

result<void> sideband::check_send(rank_id to, std::uint64_t number) {
  std::unique_lock lock{mutex_};
  read_all();
  if (auto good = check_locked(); !good)
    return good;
  const auto& x = peers_[static_cast<std::size_t>(to.value())];
  if (x.farewell && x.farewell->received < number)
    return fail(errc::lost, fmt::format("rank {} is done", to.value()));
  return {};
}

void sideband::rest(std::chrono::microseconds longest) noexcept {
  pollfd watched{poller_.fd(), POLLIN, 0};
  auto ns = std::chrono::nanoseconds{longest}.count();
  timespec time{static_cast<std::time_t>(ns / 1'000'000'000),
                static_cast<long>(ns % 1'000'000'000)};
  ::ppoll(&watched, 1, &time, nullptr);
}

void sideband::wake() noexcept {
  // Fails only if the counter is full, and then it is readable anyway.
  [[maybe_unused]] auto rc = ::eventfd_write(waker_.fd(), 1);
}

void sideband::leave(std::uint64_t collectives,
                     const std::vector<std::uint64_t>& received) noexcept {
  std::unique_lock lock{mutex_};
  try {
    // What a peer said last must not lie unread when the connection closes: the
    // kernel would then drop our goodbye with it.
    read_all();
    for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
      auto& peer = peers_[rank];
      if (!peer.line || peer.closed)
        continue;
      auto text = frame_of(kind::goodbye, 0, 0, collectives, received[rank]);
      // 24 bytes fit; a peer that has let its buffer fill up is not waited for.
      [[maybe_unused]] auto rc = ::send(peer.line.fd(), text.data(),
                                        text.size(),
                                        MSG_NOSIGNAL | MSG_DONTWAIT);
      ::shutdown(peer.line.fd(), SHUT_WR);
    }
  } catch (...) {
    // Out of memory: without a goodbye the peers take us for failed.
  }
}

void sideband::kill() noexcept {
  // Descriptors are closed by the destructor alone, so none of these is a
  // stranger's.
  for (const auto& x : peers_)
    if (x.line)
      ::shutdown(x.line.fd(), SHUT_RDWR);
}

void sideband::read_all() {
  std::array<epoll_event, 64> events{};
  auto count = ::epoll_wait(poller_.fd(), events.data(),
                            static_cast<int>(events.size()), 0);
  if (count <= 0)
    return;
  // Which socket it was does not matter often enough to keep a table: a group
  // has something to read only when somebody sends, fails or leaves.
  for (std::int32_t rank = 0; rank < static_cast<std::int32_t>(peers_.size());
       ++rank)
    if (peers_[static_cast<std::size_t>(rank)].line
        && !peers_[static_cast<std::size_t>(rank)].closed)
      read(rank);
}

void sideband::read(std::int32_t rank) {
  auto& peer = peers_[static_cast<std::size_t>(rank)];
  auto end = [&](bool by_itself) {
    peer.closed = true;
    ::epoll_ctl(poller_.fd(), EPOLL_CTL_DEL, peer.line.fd(), nullptr);
    if ((!by_itself || !peer.farewell) && !failed_)
      failed_ = rank;
  };
  for (;;) {
    auto got = ::recv(peer.line.fd(), peer.partial.data() + peer.got,
                      peer.partial.size() - peer.got, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0 && errno == EAGAIN)
      return;
    if (got <= 0)
      return end(true);
    peer.got += static_cast<std::size_t>(got);
    if (peer.got < frame_bytes)
      continue;
    peer.got = 0;
    if (!understand(peer.partial, peer))
      return end(false);
  }
}

bool sideband::understand(const frame& text, peer& from) {
  decoder in{text};
  std::uint8_t what = 0;
  std::uint8_t flag = 0;
  std::uint16_t unused = 0;
  std::uint32_t tag = 0;
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  auto good = in.get(what) && in.get(flag) && in.get(unused) && in.get(tag)
              && in.get(first) && in.get(second);
  // Nobody speaks after a goodbye.
  if (!good || unused != 0 || flag > 1 || from.farewell)
    return false;
  switch (static_cast<kind>(what)) {
    case kind::header: from.headers.push_back({first, tag, flag != 0}); break;
    case kind::goodbye: from.farewell = progress{first, second}; break;
    default: return false;
  }
  return true;
}

} // namespace troupe::comm::nccl
