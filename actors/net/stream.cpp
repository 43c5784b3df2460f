// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/stream.hpp"

#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>

#include "troupe/actors/net/dial.hpp"

namespace troupe::net {

namespace {

class plain_stream final : public stream {
public:
  explicit plain_stream(process::unique_fd socket)
    : socket_(std::move(socket)) {
    // nop
  }

  [[nodiscard]] int fd() const noexcept override { return socket_.get(); }

  [[nodiscard]] process::unique_fd release() noexcept override {
    return std::move(socket_);
  }

  [[nodiscard]] io_state handshake() override { return io_state::done; }

  [[nodiscard]] io_outcome read(std::span<std::byte> out) override {
    auto got = ::recv(socket_.get(), out.data(), out.size(), MSG_DONTWAIT);
    if (got == 0)
      return {io_state::closed, 0};
    return outcome(got, io_state::want_read);
  }

  [[nodiscard]] io_outcome write(std::span<const std::byte> in) override {
    auto sent = ::send(socket_.get(), in.data(), in.size(),
                       MSG_DONTWAIT | MSG_NOSIGNAL);
    return outcome(sent, io_state::want_write);
  }

  [[nodiscard]] error failure() const override {
    auto* text = ::strerrordesc_np(error_);
    return error{errc::lost, text ? text : "unknown error"};
  }

private:
  io_outcome outcome(ssize_t moved, io_state again) {
    if (moved > 0)
      return {io_state::done, static_cast<std::size_t>(moved)};
    if (errno == EAGAIN || errno == EINTR)
      return {again, 0};
    error_ = errno;
    return {io_state::failed, 0};
  }

  process::unique_fd socket_;
  int error_ = 0;
};

/// Waits as `state` asks, or says why that is pointless.
result<void> wait_for(const stream& x, io_state state, deadline until) {
  switch (state) {
    case io_state::closed:
      return fail(errc::lost, "the other side has closed the connection");
    case io_state::failed: return fail(x.failure());
    default:
      return await_ready(x.fd(), static_cast<short>(stream::events_for(state)),
                         until);
  }
}

} // namespace

std::uint32_t stream::events_for(io_state x) noexcept {
  // poll and epoll have the same figures for these.
  switch (x) {
    case io_state::want_read: return POLLIN;
    case io_state::want_write: return POLLOUT;
    default: return 0;
  }
}

std::unique_ptr<stream> make_plain_stream(process::unique_fd socket) {
  return std::make_unique<plain_stream>(std::move(socket));
}

result<void> finish_handshake(stream& x, deadline until) {
  for (;;) {
    auto state = x.handshake();
    if (state == io_state::done)
      return {};
    if (auto ready = wait_for(x, state, until); !ready)
      return ready;
  }
}

result<void> send_all(stream& to, std::span<const std::byte> in,
                      deadline until) {
  while (!in.empty()) {
    auto outcome = to.write(in);
    in = in.subspan(outcome.bytes);
    if (outcome.state == io_state::done)
      continue;
    if (auto ready = wait_for(to, outcome.state, until); !ready)
      return ready;
  }
  return {};
}

result<void> receive_all(stream& from, std::span<std::byte> out,
                         deadline until) {
  while (!out.empty()) {
    auto outcome = from.read(out);
    out = out.subspan(outcome.bytes);
    // Whoever sends without a pause, a byte at a time, has a deadline too.
    if (outcome.state == io_state::done && !until.passed())
      continue;
    if (outcome.state == io_state::done && !out.empty())
      return fail(errc::timed_out, "no answer in time");
    if (out.empty())
      return {};
    if (auto ready = wait_for(from, outcome.state, until); !ready)
      return ready;
  }
  return {};
}

} // namespace troupe::net
