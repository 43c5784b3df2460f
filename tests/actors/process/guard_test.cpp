// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/guard.hpp"

#include <boost/test/unit_test.hpp>

#include <iostream>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/process/harness.hpp"
#include "troupe/actors/process/guard_protocol.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;

namespace {

/// Everybody ends by themselves; how soon depends on who else has work here.
constexpr auto clean_up_max = std::chrono::seconds{10};

/// A driver in a process of its own, with its guard, hosts and orphans.
struct foreign_driver {
  std::string job_id = fresh_job_id();
  pid_t pid = 0;
  unique_fd pidfd;
  std::vector<unique_fd> others;

  foreign_driver() {
    auto ends = make_socket_pair();
    BOOST_REQUIRE(ends);
    auto program = host_program();
    auto fd = fmt::format("{}", ends->second.get());
    pid = ::fork();
    if (pid == 0) {
      ::fcntl(ends->second.get(), F_SETFD, 0);
      ::execl(program.c_str(), "test_process_host", "driver", fd.c_str(),
              job_id.c_str(), nullptr);
      ::_exit(127);
    }
    ends->second.reset();
    pidfd = open_pidfd(pid);
    // The guard, and each of two hosts with its orphan.
    for (int i = 0; i < 5; ++i) {
      auto in = receive(ends->first, soon());
      BOOST_REQUIRE(in.files.size() == 1);
      others.push_back(std::move(in.files[0]));
    }
  }

  ~foreign_driver() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }

  [[nodiscard]] bool all_gone(deadline until) const {
    for (const auto& x : others)
      if (!ended(x, until))
        return false;
    return true;
  }

  /// Waits for that, and says how long it took.
  [[nodiscard]] bool clean_up(duration at_most) const {
    auto began = steady_clock().now();
    auto gone = all_gone(deadline::after(at_most));
    auto took = steady_clock().now() - began;
    std::cout << (gone ? "all gone after " : "not gone after ")
              << std::chrono::round<std::chrono::milliseconds>(took).count()
              << " ms\n";
    return gone;
  }
};

std::string shared_memory_name(const std::string& job_id) {
  return fmt::format("/dev/shm/troupe.{}.probe", job_id);
}

void make_file(const std::string& path) {
  unique_fd file{::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
  BOOST_REQUIRE(file);
}

/// A guard with a socket whose messages the test writes itself.
struct bare_guard {
  unique_fd socket;
  pid_t pid = 0;
  unique_fd pidfd;

  explicit bare_guard(guard_settings config = {}) {
    auto ends = make_socket_pair();
    BOOST_REQUIRE(ends);
    config.job_id = fresh_job_id();
    config.executable = host_program();
    auto self = ::getpid();
    pid = ::fork();
    if (pid == 0)
      guard_main(std::move(ends->second), self, config);
    socket = std::move(ends->first);
    pidfd = open_pidfd(pid);
  }

  ~bare_guard() {
    socket.reset();
    ::waitpid(pid, nullptr, 0);
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(guard)

BOOST_AUTO_TEST_CASE(nothing_outlives_a_driver_that_is_killed) {
  foreign_driver driver;
  auto name = shared_memory_name(driver.job_id);
  make_file(name);
  auto other = shared_memory_name(driver.job_id + "-other");
  make_file(other);
  ::kill(driver.pid, SIGKILL);
  BOOST_TEST(driver.clean_up(clean_up_max));
  BOOST_TEST(::access(name.c_str(), F_OK) != 0);
  // Another job's memory is not ours to sweep.
  BOOST_TEST(::access(other.c_str(), F_OK) == 0);
  ::unlink(other.c_str());
}

BOOST_AUTO_TEST_CASE(nothing_outlives_a_driver_whose_hosts_are_frozen) {
  foreign_driver driver;
  for (const auto& x : driver.others)
    // The guard, first of them, must go on.
    if (&x != &driver.others.front())
      ::syscall(SYS_pidfd_send_signal, x.get(), SIGSTOP, nullptr, 0);
  ::kill(driver.pid, SIGKILL);
  BOOST_TEST(driver.clean_up(clean_up_max));
}

BOOST_AUTO_TEST_CASE(nothing_outlives_the_grace_of_a_driver_that_is_frozen) {
  foreign_driver driver;
  BOOST_REQUIRE(freeze(driver.pid));
  // Three times its pulse timeout: 4.5 s.
  BOOST_TEST(!driver.all_gone(deadline::after(std::chrono::milliseconds{500})));
  BOOST_TEST(driver.clean_up(soon().left()));
}

BOOST_AUTO_TEST_CASE(a_driver_that_comes_back_in_time_keeps_its_hosts) {
  foreign_driver driver;
  for (auto i = 0; i < 3; ++i) {
    BOOST_REQUIRE(freeze(driver.pid));
    BOOST_TEST(!ended(driver.others.front(),
                      deadline::after(std::chrono::milliseconds{1800})));
    ::kill(driver.pid, SIGCONT);
    BOOST_TEST(!ended(driver.others.front(),
                      deadline::after(std::chrono::milliseconds{300})));
  }
}

BOOST_AUTO_TEST_CASE(hosts_die_with_a_guard_that_is_killed) {
  foreign_driver driver;
  ::syscall(SYS_pidfd_send_signal, driver.others[0].get(), SIGKILL, nullptr, 0);
  auto until = deadline::after(clean_up_max);
  BOOST_TEST(ended(driver.others[1], until));
  BOOST_TEST(ended(driver.others[3], until));
  // Orphans outside of every session have lost the only process that could
  // know them: nobody but the test can end these two.
  for (auto i : {2, 4})
    ::syscall(SYS_pidfd_send_signal, driver.others[i].get(), SIGKILL, nullptr,
              0);
}

BOOST_AUTO_TEST_CASE(requests_of_the_terminal_do_not_reach_the_guard) {
  node_harness node;
  auto guard_pidfd = open_pidfd(node.guard->pid());
  for (auto x : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE})
    ::kill(node.guard->pid(), x);
  // It has seen them by the time it answers.
  BOOST_TEST(node.start(0).has_value());
  BOOST_TEST(!ended(guard_pidfd, deadline::after(duration::zero())));
  BOOST_TEST(::getsid(node.guard->pid()) == node.guard->pid());
}

BOOST_AUTO_TEST_CASE(
  a_node_that_sends_garbage_loses_its_guard_and_nothing_hangs) {
  auto random = seeded_generator();
  auto seed = guard_protocol::encode(
    guard_protocol::kill{3, incarnation{1}, SIGKILL});
  for (int i = 0; i < 20; ++i) {
    bare_guard guard;
    auto message = mutate(seed, random);
    auto harmless = guard_protocol::decode(message).has_value();
    send_message(guard.socket.get(), message);
    if (!harmless)
      BOOST_TEST(ended(guard.pidfd, soon()));
  }
}

// It looks once a pulse, and is not late for that.
BOOST_AUTO_TEST_CASE(a_grace_of_less_than_two_pulses_ends_as_well) {
  guard_settings config;
  config.pulse = std::chrono::milliseconds{300};
  config.pulse_timeout = std::chrono::milliseconds{500};
  config.node_grace = std::chrono::milliseconds{400};
  bare_guard guard{config};
  auto alive = guard_protocol::encode(guard_protocol::alive{});
  BOOST_REQUIRE((send_message(guard.socket.get(), alive) == io_status::done));
  BOOST_TEST(ended(guard.pidfd, soon()));
}

BOOST_AUTO_TEST_CASE(a_message_that_is_too_long_ends_the_guard) {
  bare_guard guard;
  bytes message(guard_protocol::message_bytes_max + 1);
  BOOST_TEST((send_message(guard.socket.get(), message) == io_status::done));
  BOOST_TEST(ended(guard.pidfd, soon()));
}

BOOST_AUTO_TEST_SUITE_END()
