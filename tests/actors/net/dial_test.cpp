// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/dial.hpp"

#include <boost/test/unit_test.hpp>

#include <charconv>
#include <string>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "actors/net/support.hpp"

using namespace troupe;
using namespace troupe::net;
using net_test::soon;

namespace {

int option(int socket, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  ::getsockopt(socket, level, name, &value, &size);
  return value;
}

} // namespace

BOOST_AUTO_TEST_SUITE(dial)

BOOST_AUTO_TEST_CASE(who_listens_is_reached_with_a_socket_set_up) {
  for (const auto* host : {"127.0.0.1", "::1"}) {
    if (std::string_view{host} == "::1"
        && !begin_connect(resolve({"::1", 1}, soon())->front())) {
      std::cout << "no IPv6 here\n";
      continue;
    }
    net_test::server there{net_test::hold, host};
    auto x = net::dial(there.at(), soon());
    BOOST_REQUIRE(x);
    BOOST_TEST(option(x->get(), IPPROTO_TCP, TCP_NODELAY) == 1);
    BOOST_TEST(option(x->get(), SOL_SOCKET, SO_KEEPALIVE) == 1);
  }
}

BOOST_AUTO_TEST_CASE(a_port_without_a_listener_is_unavailable) {
  test::held_port held;
  auto at = net_test::closed_port(held);
  auto x = net::dial(at, soon());
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::unavailable));
  BOOST_TEST(x.error().message()
             == "nobody listens at " + to_string(at) + " (connection refused)");
}

BOOST_AUTO_TEST_CASE(a_black_hole_costs_its_own_deadline) {
  net_test::black_hole hole;
  auto began = steady_clock().now();
  auto x = net::dial(hole.at(),
                     deadline::after(std::chrono::milliseconds{150}));
  auto took = steady_clock().now() - began;
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::timed_out));
  // What was left of the 150 ms when it began.
  std::string before = to_string(hole.at()) + " does not answer within ";
  std::string after = " ms (wrong address, or a firewall drops packets)";
  const auto& said = x.error().message();
  BOOST_TEST_INFO(said);
  BOOST_REQUIRE((said.starts_with(before) && said.ends_with(after)));
  auto ms = 0;
  const auto* end = said.data() + said.size() - after.size();
  auto read = std::from_chars(said.data() + before.size(), end, ms);
  BOOST_TEST((read.ec == std::errc{} && read.ptr == end));
  BOOST_TEST(ms > 0);
  BOOST_TEST(ms <= 150);
  BOOST_TEST((took >= std::chrono::milliseconds{150}));
  // TCP itself goes on for minutes.
  BOOST_TEST((took < std::chrono::seconds{10}));
}

BOOST_AUTO_TEST_CASE(a_name_with_two_addresses_is_tried_at_both) {
  if (!net_test::knows_localhost())
    return;
  // localhost is ::1 and 127.0.0.1 on most machines; the server has one.
  net_test::server there{net_test::hold};
  BOOST_TEST(net::dial({"localhost", there.port()}, soon()).has_value());
}

BOOST_AUTO_TEST_CASE(port_0_is_nowhere) {
  auto x = net::dial({"127.0.0.1", 0}, soon());
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::invalid));
}

BOOST_AUTO_TEST_SUITE_END()
