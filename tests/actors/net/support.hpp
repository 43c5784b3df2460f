// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "actors/process/support.hpp"
#include "support/held_port.hpp"
#include "troupe/actors/net/endpoint.hpp"
#include "troupe/actors/net/stream.hpp"
#include "troupe/actors/process/unique_fd.hpp"
#include "troupe/core/codec.hpp"
#include "troupe/core/deadline.hpp"

/// What the tests of this room share.
namespace net_test {

using process_test::mutate;
using process_test::readable;
using process_test::seeded_generator;
using process_test::soon;

/// A server on 127.0.0.1 (or ::1) that treats each connection on a thread of
/// its own. The destructor shuts what is open and joins.
class server {
public:
  using treatment = std::function<void(troupe::net::stream&)>;

  explicit server(treatment treat, const std::string& host = "127.0.0.1");

  server(const server&) = delete;

  server& operator=(const server&) = delete;

  ~server();

  [[nodiscard]] std::uint16_t port() const { return at_.port; }

  [[nodiscard]] troupe::net::endpoint at() const { return at_; }

  /// Connections accepted so far.
  [[nodiscard]] int accepted() const { return accepted_; }

private:
  void accept_all();

  treatment treat_;
  troupe::process::unique_fd socket_;
  troupe::process::unique_fd stop_;
  troupe::net::endpoint at_;
  std::atomic<int> accepted_ = 0;
  std::mutex mutex_;
  /// Second descriptors of what is treated: whoever treats it may close its own.
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

/// Sends back what comes, until the end.
void echo(troupe::net::stream& x);

/// Waits until the other side says something or ends.
void hold(troupe::net::stream& x);

/// A port of 127.0.0.1 where packets vanish: its queue is full.
class black_hole {
public:
  black_hole();

  [[nodiscard]] troupe::net::endpoint at() const { return at_; }

private:
  troupe::process::unique_fd socket_;
  std::vector<troupe::process::unique_fd> fillers_;
  troupe::net::endpoint at_;
};

/// Where nobody listens as long as `x` lives.
[[nodiscard]] troupe::net::endpoint
closed_port(const troupe::test::held_port& x);

/// Whether this machine has an address for the name `localhost`: a chroot may
/// have no /etc/hosts. Says so if not.
[[nodiscard]] bool knows_localhost();

/// Connects; a null pointer if that fails.
[[nodiscard]] std::unique_ptr<troupe::net::stream>
connect_to(const troupe::net::endpoint& to);

/// `size` bytes of a pattern that repeats late.
[[nodiscard]] troupe::bytes pattern(std::size_t size);

/// Everything until the other side ends, or nothing if that takes too long.
[[nodiscard]] troupe::bytes read_to_end(troupe::net::stream& from);

/// True once the other side has ended or broken the connection; what it says
/// before does not count.
[[nodiscard]] bool ends(troupe::net::stream& x,
                        troupe::deadline until = soon());

/// Something that threads bring about and a test waits for.
template <class T>
class watched {
public:
  void set(T x) {
    std::lock_guard guard{mutex_};
    value_ = std::move(x);
    changed_.notify_all();
  }

  template <class F>
  void update(F f) {
    std::lock_guard guard{mutex_};
    f(value_);
    changed_.notify_all();
  }

  template <class Predicate>
  [[nodiscard]] bool wait(Predicate good, troupe::deadline until = soon()) {
    std::unique_lock lock{mutex_};
    while (!good(value_)) {
      if (until.passed())
        return false;
      changed_.wait_for(lock, until.left());
    }
    return true;
  }

  [[nodiscard]] T get() const {
    std::lock_guard guard{mutex_};
    return value_;
  }

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  T value_{};
};

/// For threads besides the test's own, where Boost.Test's checks race with
/// those of the test: ends the program, with a line, if it is not so.
void must_hold(bool so, const char* what);

/// Asks again and again, a few ms apart, until it is so.
[[nodiscard]] bool becomes(const std::function<bool()>& so,
                           troupe::deadline until = soon());

} // namespace net_test
