// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/pulse_link.hpp"

#include <boost/test/unit_test.hpp>

#include <csignal>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/net/support.hpp"
#include "troupe/actors/net/gate.hpp"

using namespace troupe;
using namespace troupe::net;
using namespace std::chrono_literals;
using net_test::soon;

namespace {

struct seen {
  int silent = 0;
  int heard = 0;
  int closed = 0;
  int late = 0;
  std::chrono::milliseconds lateness{0};
  std::chrono::milliseconds silence{0};
};

pulse_listener into(net_test::watched<seen>& x) {
  return {[&x](std::chrono::milliseconds ms) {
            x.update([ms](seen& s) {
              ++s.silent;
              s.silence = ms;
            });
          },
          [&x] { x.update([](seen& s) { ++s.heard; }); },
          [&x] { x.update([](seen& s) { ++s.closed; }); },
          [&x](std::chrono::milliseconds ms) {
            x.update([ms](seen& s) {
              ++s.late;
              s.lateness = ms;
            });
          }};
}

struct two_sockets {
  process::unique_fd near;
  process::unique_fd far;
};

two_sockets make_sockets() {
  int fds[2];
  BOOST_REQUIRE(
    ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds)
    == 0);
  return {process::unique_fd{fds[0]}, process::unique_fd{fds[1]}};
}

/// A process that pulses on a socket until it is killed.
class pulsing_child {
public:
  explicit pulsing_child(process::unique_fd socket) {
    pid_ = ::fork();
    BOOST_REQUIRE(pid_ >= 0);
    if (pid_ > 0)
      return;
    {
      auto link = net::pulse_link::adopt(std::move(socket), {20ms, 60s}, {});
      // Ends at the latest when a test can only have failed.
      ::alarm(60);
      if (link)
        ::pause();
    }
    ::_exit(0);
  }

  ~pulsing_child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  void send(int signal) const { ::kill(pid_, signal); }

private:
  pid_t pid_ = -1;
};

} // namespace

BOOST_AUTO_TEST_SUITE(pulse_link)

BOOST_AUTO_TEST_CASE(a_frozen_process_falls_silent_and_is_heard_again) {
  auto sockets = make_sockets();
  // Before this process has threads.
  pulsing_child child{std::move(sockets.far)};
  BOOST_REQUIRE(net_test::readable(sockets.near.get(), soon()));
  net_test::watched<seen> events;
  auto began = steady_clock().now();
  auto link = net::pulse_link::adopt(std::move(sockets.near), {20ms, 1500ms},
                                     into(events));
  BOOST_REQUIRE(link);
  child.send(SIGSTOP);
  BOOST_TEST(events.wait([](const seen& x) { return x.silent == 1; }));
  auto took = steady_clock().now() - began;
  BOOST_TEST((took >= 1500ms));
  BOOST_TEST((events.get().silence >= 1500ms));
  std::cout << "seen after "
            << std::chrono::round<std::chrono::milliseconds>(took).count()
            << " ms\n";
  child.send(SIGCONT);
  BOOST_TEST(events.wait([](const seen& x) { return x.heard == 1; }));
  BOOST_TEST(events.get().closed == 0);
  child.send(SIGKILL);
  BOOST_TEST(events.wait([](const seen& x) { return x.closed == 1; }));
  BOOST_TEST(events.get().silent == 1);
}

BOOST_AUTO_TEST_CASE(a_process_that_was_held_up_for_a_moment_is_late) {
  auto sockets = make_sockets();
  // Before this process has threads.
  pulsing_child child{std::move(sockets.far)};
  // The first sign must have come: it is never late.
  BOOST_REQUIRE(net_test::readable(sockets.near.get(), soon()));
  net_test::watched<seen> events;
  auto link = net::pulse_link::adopt(std::move(sockets.near),
                                     {20ms, 60s, 300ms}, into(events));
  BOOST_REQUIRE(link);
  auto is_late = [](const seen& x) { return x.late > 0; };
  auto until = soon();
  // Once, unless this process was held up itself meanwhile.
  do {
    child.send(SIGSTOP);
    BOOST_TEST(!events.wait([](const seen& x) { return x.silent > 0; },
                            deadline::after(600ms)));
    child.send(SIGCONT);
  } while (!events.wait(is_late, until.at_most(2s)) && !until.passed());
  BOOST_TEST(is_late(events.get()));
  BOOST_TEST((events.get().lateness >= 300ms));
  BOOST_TEST(events.get().silent == 0);
}

BOOST_AUTO_TEST_CASE(two_that_pulse_hear_each_other_until_one_goes) {
  auto sockets = make_sockets();
  net_test::watched<seen> a;
  net_test::watched<seen> b;
  auto left = net::pulse_link::adopt(std::move(sockets.near), {5ms, 2s},
                                     into(a));
  auto right = net::pulse_link::adopt(std::move(sockets.far), {5ms, 2s},
                                      into(b));
  BOOST_REQUIRE((left && right));
  BOOST_TEST(!a.wait([](const seen& x) { return x.silent + x.closed > 0; },
                     deadline::after(200ms)));
  BOOST_TEST(b.get().silent == 0);
  left->reset();
  BOOST_TEST(b.wait([](const seen& x) { return x.closed == 1; }));
  // Who closes is not told.
  BOOST_TEST(a.get().closed == 0);
}

BOOST_AUTO_TEST_CASE(who_never_speaks_is_silent_once) {
  auto sockets = make_sockets();
  net_test::watched<seen> events;
  auto link = net::pulse_link::adopt(std::move(sockets.near), {5ms, 50ms},
                                     into(events));
  BOOST_REQUIRE(link);
  BOOST_TEST(events.wait([](const seen& x) { return x.silent > 0; }));
  BOOST_TEST(!events.wait([](const seen& x) { return x.silent > 1; },
                          deadline::after(200ms)));
  // And gets our signs all the same.
  auto far = make_plain_stream(std::move(sockets.far));
  bytes signs(5);
  BOOST_TEST(receive_all(*far, signs, soon()).has_value());
}

BOOST_AUTO_TEST_CASE(a_link_through_a_gate_pulses_both_ways) {
  auto gate = *net::gate::start({});
  auto key = *job_key::make();
  gate->admit("job", key);
  net_test::watched<std::unique_ptr<net::pulse_link>> taken;
  net_test::watched<seen> there;
  gate->on_pulse([&](process::unique_fd x) {
    taken.set(*net::pulse_link::adopt(std::move(x), {5ms, 5s}, into(there)));
  });
  net_test::watched<seen> here;
  auto link = net::pulse_link::dial(gate->bound(), "job", key, {5ms, 5s},
                                    into(here), soon());
  BOOST_REQUIRE(link);
  BOOST_TEST(taken.wait([](const auto& x) { return x != nullptr; }));
  BOOST_TEST(!here.wait([](const seen& x) { return x.silent + x.closed > 0; },
                        deadline::after(100ms)));
  link->reset();
  BOOST_TEST(there.wait([](const seen& x) { return x.closed == 1; }));
  taken.set(nullptr);
  auto refused = net::pulse_link::dial(gate->bound(), "job", *job_key::make(),
                                       {}, {}, soon());
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code() == errc::refused));
}

BOOST_AUTO_TEST_SUITE_END()
