// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/gloo/rendezvous.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <list>
#include <string>
#include <utility>

#include <fmt/core.h>
#include <poll.h>

namespace troupe::comm::gloo {

namespace {

constexpr std::uint32_t hello_magic = 0x4f4c4548;
constexpr std::uint32_t ack_magic = 0x4b434121;

// magic, callee's nonce, caller's nonce, caller's rank
constexpr std::size_t hello_size = 4 + 16 + 16 + 4;
// magic, callee's nonce
constexpr std::size_t ack_size = 4 + 16;

/// Callers that have not said hello yet, beyond one a rank.
constexpr std::size_t strangers_max = 64;

/// A connection on its way to be one of the group.
struct talk {
  enum class stage { calling, awaiting_ack, awaiting_hello };

  socket line;
  stage now;
  /// The rank we called; unknown for a caller.
  std::int32_t rank = -1;
  std::array<std::byte, hello_size> text{};
  std::size_t got = 0;
};

enum class progress { waiting, complete, broken };

class meeting {
public:
  meeting(const socket& listener, const socket& wake, rank_id self,
          const std::vector<contact>& ranks)
    : listener_(listener),
      wake_(wake),
      self_(self.value()),
      ranks_(ranks),
      lines_(ranks.size()) {
    missing_ = ranks.size() - 1;
  }

  result<std::vector<socket>> run(deadline until) {
    for (std::int32_t rank = 0; rank < self_; ++rank)
      if (auto called = call(rank); !called)
        return fail(called.error());
    while (missing_ > 0) {
      if (auto turned = turn(until); !turned)
        return fail(turned.error());
    }
    return std::move(lines_);
  }

private:
  const contact& at(std::int32_t rank) const {
    return ranks_[static_cast<std::size_t>(rank)];
  }

  static error lost(std::int32_t rank, int code) {
    return {errc::lost, fmt::format("rank {} cannot be reached: {}", rank,
                                    std::strerror(code))};
  }

  result<void> call(std::int32_t rank) {
    const auto& where = at(rank).where;
    socket line{::socket(where.storage.ss_family,
                         SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!line)
      return fail(errc::exhausted,
                  fmt::format("no socket: {}", std::strerror(errno)));
    if (::connect(line.fd(), where.raw(), where.length) != 0
        && errno != EINPROGRESS)
      return fail(lost(rank, errno));
    talks_.push_back({std::move(line), talk::stage::calling, rank, {}, 0});
    return {};
  }

  /// One wait and everything that became possible by it.
  result<void> turn(deadline until) {
    std::vector<pollfd> watched;
    watched.push_back({wake_.fd(), POLLIN, 0});
    watched.push_back({listener_.fd(), POLLIN, 0});
    for (const auto& x : talks_) {
      short events = x.now == talk::stage::calling ? POLLOUT : POLLIN;
      watched.push_back({x.line.fd(), events, 0});
    }
    auto left = std::min<std::int64_t>(until.left_ms().count(), INT_MAX);
    auto ready = ::poll(watched.data(), watched.size(), static_cast<int>(left));
    if (watched[0].revents != 0)
      return fail(errc::aborted, "the rendezvous was aborted");
    if (ready <= 0) {
      if (until.passed())
        return fail(errc::timed_out, "ranks that did not come: " + absent());
      return {};
    }
    std::size_t index = 2;
    for (auto it = talks_.begin(); it != talks_.end(); ++index) {
      auto outcome = progress::waiting;
      if (watched[index].revents != 0) {
        auto advanced = advance(*it);
        if (!advanced)
          return fail(advanced.error());
        outcome = *advanced;
      }
      it = outcome == progress::waiting ? std::next(it) : talks_.erase(it);
    }
    if (watched[1].revents != 0)
      answer();
    return {};
  }

  void answer() {
    for (;;) {
      socket line{::accept4(listener_.fd(), nullptr, nullptr,
                            SOCK_NONBLOCK | SOCK_CLOEXEC)};
      if (!line)
        return;
      if (talks_.size() < ranks_.size() + strangers_max)
        talks_.push_back(
          {std::move(line), talk::stage::awaiting_hello, -1, {}, 0});
    }
  }

  result<progress> advance(talk& x) {
    switch (x.now) {
      case talk::stage::calling: return greet(x);
      case talk::stage::awaiting_ack: return read_ack(x);
      case talk::stage::awaiting_hello: break;
    }
    return read_hello(x);
  }

  result<progress> greet(talk& x) {
    int code = 0;
    socklen_t length = sizeof(code);
    if (::getsockopt(x.line.fd(), SOL_SOCKET, SO_ERROR, &code, &length) != 0)
      code = errno;
    if (code != 0)
      return fail(lost(x.rank, code));
    bytes text;
    encoder to{text};
    to.put(hello_magic);
    to.append(at(x.rank).secret.data(), sizeof(nonce));
    to.append(at(self_).secret.data(), sizeof(nonce));
    to.put(self_);
    if (!say(x, text))
      return fail(lost(x.rank, errno));
    x.now = talk::stage::awaiting_ack;
    return progress::waiting;
  }

  result<progress> read_ack(talk& x) {
    switch (listen(x, ack_size)) {
      case progress::waiting: return progress::waiting;
      case progress::broken: return fail(lost(x.rank, ECONNRESET));
      case progress::complete: break;
    }
    decoder from{std::span{x.text}.first(ack_size)};
    std::uint32_t magic = 0;
    nonce secret{};
    if (!from.get(magic) || !from.read(secret.data(), secret.size())
        || magic != ack_magic || secret != at(x.rank).secret)
      return fail(errc::lost, fmt::format("somebody else answers in place of "
                                          "rank {}",
                                          x.rank));
    seat(x);
    return progress::complete;
  }

  result<progress> read_hello(talk& x) {
    if (auto heard = listen(x, hello_size); heard != progress::complete)
      return heard;
    decoder from{x.text};
    std::uint32_t magic = 0;
    nonce ours{};
    nonce theirs{};
    std::int32_t rank = 0;
    auto good = from.get(magic) && from.read(ours.data(), ours.size())
                && from.read(theirs.data(), theirs.size()) && from.get(rank)
                && magic == hello_magic && ours == at(self_).secret
                && rank > self_ && rank < static_cast<int>(ranks_.size())
                && theirs == at(rank).secret
                && !lines_[static_cast<std::size_t>(rank)];
    if (!good)
      return progress::broken;
    bytes text;
    encoder to{text};
    to.put(ack_magic);
    to.append(ours.data(), ours.size());
    x.rank = rank;
    if (!say(x, text))
      return fail(lost(rank, errno));
    seat(x);
    return progress::complete;
  }

  void seat(talk& x) {
    lines_[static_cast<std::size_t>(x.rank)] = std::move(x.line);
    --missing_;
  }

  /// A greeting always fits into the buffer of a fresh socket.
  static bool say(const talk& x, const bytes& text) {
    return ::send(x.line.fd(), text.data(), text.size(), MSG_NOSIGNAL)
           == static_cast<ssize_t>(text.size());
  }

  /// Reads up to `size` bytes in all, never more: what follows is Gloo's.
  static progress listen(talk& x, std::size_t size) {
    auto got = ::recv(x.line.fd(), x.text.data() + x.got, size - x.got, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
      return progress::waiting;
    if (got <= 0)
      return progress::broken;
    x.got += static_cast<std::size_t>(got);
    return x.got == size ? progress::complete : progress::waiting;
  }

  std::string absent() const {
    std::string text;
    for (std::size_t rank = 0; rank < lines_.size(); ++rank)
      if (!lines_[rank] && rank != static_cast<std::size_t>(self_))
        text += fmt::format("{}{}", text.empty() ? "" : ", ", rank);
    return text;
  }

  const socket& listener_;
  const socket& wake_;
  const std::int32_t self_;
  const std::vector<contact>& ranks_;
  std::vector<socket> lines_;
  std::list<talk> talks_;
  std::size_t missing_ = 0;
};

} // namespace

result<std::vector<socket>> meet(const socket& listener, const socket& wake,
                                 rank_id self,
                                 const std::vector<contact>& ranks,
                                 deadline until) {
  return meeting{listener, wake, self, ranks}.run(until);
}

} // namespace troupe::comm::gloo
