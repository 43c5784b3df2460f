// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/listener.hpp"

#include <boost/test/unit_test.hpp>

#include <fcntl.h>
#include <sys/resource.h>

#include "actors/net/support.hpp"
#include "troupe/actors/net/dial.hpp"

using namespace troupe;
using namespace troupe::net;
using net_test::soon;

namespace {

/// A listener on a loop of its own that counts and keeps what it accepts.
struct open_door {
  explicit open_door(process::unique_fd socket)
    : at(net::socket_address::of_socket(socket.get()).to_endpoint()),
      loop(*event_loop::start()) {
    loop->run([&] {
      door = std::make_unique<net::listener>(*loop, std::move(socket),
                                             [this](process::unique_fd x) {
                                               kept.push_back(std::move(x));
                                               count.update(
                                                 [](int& n) { ++n; });
                                             });
    });
  }

  ~open_door() {
    loop->run([this] { door.reset(); });
  }

  endpoint at;
  net_test::watched<int> count;
  std::vector<process::unique_fd> kept;
  std::unique_ptr<event_loop> loop;
  std::unique_ptr<net::listener> door;
};

} // namespace

BOOST_AUTO_TEST_SUITE(listener)

BOOST_AUTO_TEST_CASE(a_taken_port_and_a_foreign_address_are_told_apart) {
  auto first = listen_at(net::socket_address::loopback(0));
  BOOST_REQUIRE(first);
  auto at = net::socket_address::of_socket(first->get());
  auto second = listen_at(at);
  BOOST_REQUIRE(!second);
  BOOST_TEST((second.error().code() == errc::unavailable));
  BOOST_TEST(second.error().message().find(to_string(at)) != std::string::npos);
  auto foreign = listen_at(resolve({"192.0.2.1", 0}, soon())->front());
  BOOST_REQUIRE(!foreign);
  BOOST_TEST((foreign.error().code() == errc::invalid));
}

BOOST_AUTO_TEST_CASE(without_descriptors_strangers_are_turned_away) {
  open_door door{*listen_at(net::socket_address::loopback(0))};
  std::vector<process::unique_fd> dialers;
  for (int i = 0; i < 3; ++i)
    dialers.push_back(*net::dial(door.at, soon()));
  BOOST_TEST(door.count.wait([](int n) { return n == 3; }));
  // A socket to come with, then no descriptor that is free.
  process::unique_fd late{
    ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  std::vector<process::unique_fd> fillers;
  auto lowered = before;
  lowered.rlim_cur = static_cast<rlim_t>(late.get()) + 32;
  ::setrlimit(RLIMIT_NOFILE, &lowered);
  for (;;) {
    process::unique_fd x{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    if (!x)
      break;
    fillers.push_back(std::move(x));
  }
  auto to = net::socket_address::loopback(door.at.port);
  ::connect(late.get(), to.data(), to.size());
  auto channel = make_plain_stream(std::move(late));
  BOOST_TEST(net_test::ends(*channel));
  BOOST_TEST(door.count.get() == 3);
  fillers.clear();
  ::setrlimit(RLIMIT_NOFILE, &before);
  // And it goes on.
  dialers.push_back(*net::dial(door.at, soon()));
  BOOST_TEST(door.count.wait([](int n) { return n == 4; }));
}

BOOST_AUTO_TEST_SUITE_END()
