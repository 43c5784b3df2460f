// SPDX-License-Identifier: Apache-2.0
#include "support/remote_calls.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

namespace troupe::test {

namespace {

/// Of a frame: far more than any test moves in one call.
constexpr std::uint64_t frame_bytes_max = std::uint64_t{1} << 30;

bool await(int fd, short what, deadline until) {
  pollfd watched{fd, what, 0};
  for (;;) {
    auto left = std::min<std::int64_t>(until.left_ms().count(), INT_MAX);
    auto rc = ::poll(&watched, 1, static_cast<int>(left));
    if (rc > 0)
      return true;
    if (rc == 0 || errno != EINTR)
      return false;
  }
}

/// True if the system call that said -1 is to be tried again.
bool again(int fd, short what, deadline until) {
  if (errno == EINTR)
    return true;
  return (errno == EAGAIN || errno == EWOULDBLOCK) && await(fd, what, until);
}

void put(encoder& to, std::span<const std::byte> x) {
  to.put(static_cast<std::uint64_t>(x.size()));
  to.append(x.data(), x.size());
}

bool get(decoder& from, std::span<const std::byte>& x) {
  std::uint64_t size = 0;
  return from.get(size) && from.view(size, x);
}

template <class T>
bool get_enum(decoder& from, T& x) {
  std::uint8_t value = 0;
  if (!from.get(value))
    return false;
  x = static_cast<T>(value);
  return true;
}

} // namespace

// -- calls and answers --------------------------------------------------------

bytes encode(std::uint64_t number, const remote_call& x) {
  bytes out;
  out.reserve(x.in.size() + x.out.size() + 64);
  encoder to{out};
  to.put(number);
  to.put(static_cast<std::uint8_t>(x.what));
  to.put(x.object);
  to.put(static_cast<std::int64_t>(x.left.count()));
  to.put(x.rank);
  to.put(x.tag);
  to.put(static_cast<std::uint8_t>(x.type));
  to.put(static_cast<std::uint8_t>(x.op));
  put(to, x.in);
  put(to, x.out);
  return out;
}

bytes encode(std::uint64_t number, const remote_answer& x) {
  bytes out;
  out.reserve(x.data.size() + 64);
  encoder to{out};
  to.put(number);
  to.put(static_cast<std::uint8_t>(x.outcome ? 1 : 0));
  if (!x.outcome) {
    to.put(static_cast<std::uint8_t>(x.outcome.error().code()));
    to.put(std::string_view{x.outcome.error().message()});
  }
  to.put(x.value);
  put(to, x.data);
  return out;
}

bool decode(const bytes& frame, std::uint64_t& number, remote_call& x) {
  decoder from{frame};
  std::int64_t left = 0;
  if (!from.get(number) || !get_enum(from, x.what) || !from.get(x.object)
      || !from.get(left) || !from.get(x.rank) || !from.get(x.tag)
      || !get_enum(from, x.type) || !get_enum(from, x.op) || !get(from, x.in)
      || !get(from, x.out))
    return false;
  x.left = duration{left};
  return from.left() == 0;
}

bool decode(const bytes& frame, std::uint64_t& number, remote_answer& x) {
  decoder from{frame};
  std::uint8_t good = 0;
  if (!from.get(number) || !from.get(good))
    return false;
  if (good == 0) {
    errc code{};
    std::string message;
    if (!get_enum(from, code) || !from.get(message))
      return false;
    x.outcome = fail(code, std::move(message));
  }
  std::span<const std::byte> data;
  if (!from.get(x.value) || !get(from, data))
    return false;
  x.data.assign(data.begin(), data.end());
  return from.left() == 0;
}

// -- frame_socket -------------------------------------------------------------

bool frame_socket::write(const bytes& frame, deadline until) {
  std::lock_guard lock{writing_};
  auto size = static_cast<std::uint64_t>(frame.size());
  if (send(&size, sizeof(size), until)
      && send(frame.data(), frame.size(), until))
    return true;
  close();
  return false;
}

std::optional<bytes> frame_socket::read(deadline until) const {
  std::uint64_t size = 0;
  if (!recv(&size, sizeof(size), until) || size > frame_bytes_max)
    return std::nullopt;
  bytes out(size);
  if (!recv(out.data(), out.size(), until))
    return std::nullopt;
  return out;
}

void frame_socket::close() noexcept {
  // The descriptor stays: somebody may be about to use it.
  ::shutdown(fd_.fd(), SHUT_RDWR);
}

bool frame_socket::send(const void* data, std::size_t size,
                        deadline until) const {
  const auto* first = static_cast<const std::byte*>(data);
  while (size > 0) {
    auto n = ::send(fd_.fd(), first, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      first += n;
      size -= static_cast<std::size_t>(n);
    } else if (!again(fd_.fd(), POLLOUT, until)) {
      return false;
    }
  }
  return true;
}

bool frame_socket::recv(void* data, std::size_t size, deadline until) const {
  auto* first = static_cast<std::byte*>(data);
  while (size > 0) {
    auto n = ::recv(fd_.fd(), first, size, MSG_DONTWAIT);
    if (n > 0) {
      first += n;
      size -= static_cast<std::size_t>(n);
    } else if (n == 0 || !again(fd_.fd(), POLLIN, until)) {
      return false;
    }
  }
  return true;
}

} // namespace troupe::test
