// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/status_server.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <string_view>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "troupe/core/deadline.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using monitor::status_server;
using process::unique_fd;

namespace {

/// One who connects.
class guest {
public:
  /// `room`: what the system keeps for it; 0 means the usual.
  explicit guest(std::uint16_t port, int room = 0)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (room > 0)
      BOOST_REQUIRE(
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof(room))
        == 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    BOOST_REQUIRE(
      ::connect(socket_.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to))
      == 0);
  }

  /// Reads until `text` has come; false at the end or after ten seconds.
  bool hears(const std::string& text) {
    auto until = deadline::after(10s);
    while (heard.find(text) == std::string::npos)
      if (!read_some(until))
        return false;
    return true;
  }

  /// True if the other end closes the connection.
  bool is_dropped() {
    auto until = deadline::after(10s);
    while (read_some(until))
      continue;
    return !until.passed();
  }

  void say(std::size_t bytes) {
    std::string text(bytes, 'x');
    static_cast<void>(
      ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL));
  }

  std::string heard;

private:
  bool read_some(deadline until) {
    pollfd ready{socket_.get(), POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(until.left_ms().count())) <= 0)
      return false;
    std::array<char, 65'536> chunk;
    auto count = ::recv(socket_.get(), chunk.data(), chunk.size(), 0);
    if (count <= 0)
      return false;
    heard.append(chunk.data(), static_cast<std::size_t>(count));
    return true;
  }

  unique_fd socket_;
};

struct fixture {
  std::atomic<int> asked = 0;
  std::atomic<std::size_t> padding = 0;
  std::atomic<bool> over = false;
  std::unique_ptr<status_server> server;

  void start(std::size_t clients_max = 4,
             std::chrono::milliseconds stall_max = 60s) {
    monitor::status_server_settings x;
    x.hello = "hello\n";
    x.interval = 10ms;
    x.clients_max = clients_max;
    x.stall_max = stall_max;
    auto made = status_server::start(x, [this]() -> std::string {
      if (over)
        return "over\n";
      return "line " + std::to_string(++asked)
             + std::string(padding.load(), '.') + "\n";
    });
    BOOST_REQUIRE(made);
    server = std::move(*made);
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(monitor_status_server, fixture)

BOOST_AUTO_TEST_CASE(who_comes_is_greeted_and_told_a_line_now_and_then) {
  start();
  guest x{server->port()};
  BOOST_TEST(x.hears("line 1\n"));
  BOOST_TEST(x.heard.starts_with("hello\nline 1\n"));
  BOOST_TEST(x.hears("line 3\n"));
}

BOOST_AUTO_TEST_CASE(nothing_is_asked_while_nobody_is_there) {
  start();
  {
    guest x{server->port()};
    BOOST_TEST(x.hears("line 1\n"));
  }
  // Whoever has left is noticed; then it is quiet, and a new one is greeted.
  auto until = deadline::after(10s);
  auto quiet = 0;
  for (auto last = asked.load(); quiet < 3 && !until.passed();) {
    ::poll(nullptr, 0, 30);
    quiet = asked == last ? quiet + 1 : 0;
    last = asked;
  }
  BOOST_TEST(quiet == 3);
  guest y{server->port()};
  BOOST_TEST(y.hears("hello\n"));
}

BOOST_AUTO_TEST_CASE(the_last_line_is_told_at_the_end) {
  start();
  guest x{server->port()};
  BOOST_TEST(x.hears("hello\n"));
  server.reset();
  BOOST_TEST(x.is_dropped());
  BOOST_TEST(x.heard.ends_with("line " + std::to_string(asked) + "\n"));
}

BOOST_AUTO_TEST_CASE(one_that_stalls_misses_lines_and_the_others_do_not) {
  start();
  // More than the system keeps for a socket.
  padding = 8'000'000;
  guest slow{server->port(), 4096};
  guest quick{server->port()};
  for (auto i = 0; i < 5; ++i) {
    BOOST_REQUIRE(quick.hears("\n"));
    quick.heard.clear();
  }
  padding = 0;
  over = true;
  BOOST_TEST(quick.hears("over\n"));
  BOOST_TEST(slow.hears("over\n"));
  // Its greeting, perhaps what waited for it, and then what is new.
  BOOST_TEST(asked >= 5);
  auto lines = std::ranges::count(std::string_view{slow.heard}
                                    .substr(0, slow.heard.find("over")),
                                  '\n');
  BOOST_TEST(lines <= 3);
}

BOOST_AUTO_TEST_CASE(one_that_takes_nothing_for_too_long_is_dropped) {
  start(1, 50ms);
  padding = 8'000'000;
  guest slow{server->port(), 4096};
  // Its place becomes free without its help.
  auto until = deadline::after(10s);
  for (;;) {
    BOOST_REQUIRE(!until.passed());
    guest next{server->port()};
    if (next.hears("\n") && next.heard.starts_with("hello"))
      break;
  }
}

BOOST_AUTO_TEST_CASE(one_too_many_is_told_so) {
  start(2);
  guest x{server->port()};
  guest y{server->port()};
  BOOST_TEST(x.hears("hello\n"));
  BOOST_TEST(y.hears("hello\n"));
  guest z{server->port()};
  BOOST_TEST(z.is_dropped());
  BOOST_TEST(z.heard.find("\"refused\"") != std::string::npos);
  BOOST_TEST(z.heard.find("2 monitors") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_guests_say_is_not_read_and_much_of_it_drops_them) {
  start();
  guest polite{server->port()};
  polite.say(10);
  BOOST_TEST(polite.hears("line 3"));
  guest loud{server->port()};
  BOOST_TEST(loud.hears("hello\n"));
  loud.say(1'000'000);
  BOOST_TEST(loud.is_dropped());
  auto next = "line " + std::to_string(asked + 2);
  BOOST_TEST(polite.hears(next));
}

BOOST_AUTO_TEST_CASE(a_port_that_is_taken_is_an_error) {
  start();
  monitor::status_server_settings x;
  x.port = server->port();
  auto second = status_server::start(x, [] { return std::string{}; });
  BOOST_REQUIRE(!second);
  BOOST_TEST((second.error().code() == errc::exhausted));
}

BOOST_AUTO_TEST_CASE(a_port_can_be_used_again_at_once) {
  start();
  guest x{server->port()};
  BOOST_TEST(x.hears("hello\n"));
  monitor::status_server_settings again;
  again.port = server->port();
  server.reset();
  BOOST_TEST(
    status_server::start(again, [] { return std::string{}; }).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
