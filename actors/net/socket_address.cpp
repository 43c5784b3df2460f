// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/socket_address.hpp"

#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

namespace troupe::net {

namespace {

using addresses = std::vector<socket_address>;

result<addresses> look_up(const endpoint& x, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  auto port = std::to_string(x.port);
  auto status = ::getaddrinfo(x.host.c_str(), port.c_str(), &hints, &list);
  if (status == EAI_AGAIN || status == EAI_SYSTEM || status == EAI_MEMORY
      || status == EAI_FAIL)
    return fail(errc::unavailable, fmt::format("the name '{}' cannot be looked "
                                               "up at the moment: {}",
                                               x.host, ::gai_strerror(status)));
  if (status != 0)
    return fail(errc::invalid,
                fmt::format("no machine is called '{}' here ({}): correct the "
                            "name, or write the address in figures",
                            x.host, ::gai_strerror(status)));
  addresses out;
  for (auto* i = list; i; i = i->ai_next)
    if (i->ai_family == AF_INET || i->ai_family == AF_INET6)
      out.emplace_back(i->ai_addr, i->ai_addrlen);
  ::freeaddrinfo(list);
  if (out.empty())
    return fail(errc::invalid,
                fmt::format("'{}' has no internet address", x.host));
  return out;
}

/// Shared with the thread that looks up, which may outlast the wait.
struct pending_lookup {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<result<addresses>> answer;
};

/// Counts the threads that look up. Lives as long as the process, because
/// such a thread may.
class lookup_slots {
public:
  static lookup_slots& all() {
    static auto* const slots = new lookup_slots;
    return *slots;
  }

  /// False if none came free in time.
  bool take(deadline until) {
    std::unique_lock lock{mutex_};
    while (taken_ >= lookups_max) {
      if (until.passed())
        return false;
      changed_.wait_for(lock, until.left());
    }
    ++taken_;
    return true;
  }

  void give_back() {
    std::lock_guard guard{mutex_};
    --taken_;
    changed_.notify_one();
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int taken_ = 0;
};

} // namespace

socket_address::socket_address(const sockaddr* from, socklen_t size) noexcept
  : size_(size <= sizeof(storage_) ? size : 0) {
  std::memcpy(&storage_, from, size_);
}

socket_address socket_address::loopback(std::uint16_t port) noexcept {
  sockaddr_in x{};
  x.sin_family = AF_INET;
  x.sin_port = htons(port);
  x.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return {reinterpret_cast<const sockaddr*>(&x), sizeof(x)};
}

socket_address socket_address::of_peer(int socket) noexcept {
  socket_address out;
  out.size_ = sizeof(out.storage_);
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&out.storage_),
                    &out.size_)
      != 0)
    return {};
  return out;
}

socket_address socket_address::of_socket(int socket) noexcept {
  socket_address out;
  out.size_ = sizeof(out.storage_);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&out.storage_),
                    &out.size_)
      != 0)
    return {};
  return out;
}

std::uint16_t socket_address::port() const noexcept {
  if (family() == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
  if (family() == AF_INET)
    return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  return 0;
}

bool socket_address::is_loopback() const noexcept {
  return net::is_loopback(to_endpoint());
}

endpoint socket_address::to_endpoint() const {
  char text[INET6_ADDRSTRLEN] = {};
  const void* raw = nullptr;
  if (family() == AF_INET6)
    raw = &reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr;
  else if (family() == AF_INET)
    raw = &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr;
  else
    return {};
  ::inet_ntop(family(), raw, text, sizeof(text));
  return {text, port()};
}

std::string to_string(const socket_address& x) {
  return x.family() == AF_UNSPEC ? std::string{"somebody"}
                                 : to_string(x.to_endpoint());
}

result<addresses> resolve(const endpoint& x, deadline until,
                          lookup_function lookup) {
  if (!lookup) {
    if (auto literal = look_up(x, AI_NUMERICHOST))
      return literal;
    lookup = [](const endpoint& name) { return look_up(name, 0); };
  }
  auto& slots = lookup_slots::all();
  if (!slots.take(until))
    return fail(errc::exhausted,
                fmt::format("{} names are being looked up already, so '{}' is "
                            "not: the resolver of this machine does not answer",
                            lookups_max, x.host));
  auto state = std::make_shared<pending_lookup>();
  try {
    // Left to itself if it takes too long: getaddrinfo cannot be ended.
    std::thread{[state, x, lookup = std::move(lookup), &slots] {
      auto found = lookup(x);
      {
        std::lock_guard guard{state->mutex};
        state->answer = std::move(found);
        state->changed.notify_all();
      }
      slots.give_back();
    }}.detach();
  } catch (const std::system_error&) {
    slots.give_back();
    return fail(errc::exhausted, "no thread to look up a name with");
  }
  std::unique_lock lock{state->mutex};
  while (!state->answer && !until.passed())
    state->changed.wait_for(lock, until.left());
  if (state->answer)
    return std::move(*state->answer);
  return fail(errc::timed_out,
              fmt::format("the name '{}' could not be looked up in time: write "
                          "the address in figures, or mend the resolver",
                          x.host));
}

} // namespace troupe::net
