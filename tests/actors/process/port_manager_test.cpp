// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/port_manager.hpp"

#include <boost/test/unit_test.hpp>

#include <set>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "actors/process/support.hpp"

using namespace troupe;
using namespace troupe::process;

namespace {

bool can_bind(std::uint16_t port) {
  unique_fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  return ::bind(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to))
         == 0;
}

} // namespace

BOOST_AUTO_TEST_SUITE(port_manager)

BOOST_AUTO_TEST_CASE(a_port_handed_out_is_held_and_never_handed_out_again) {
  troupe::process::port_manager ports;
  std::set<std::uint16_t> seen;
  for (int i = 0; i < 200; ++i) {
    auto x = ports.take();
    BOOST_REQUIRE(x);
    BOOST_TEST(seen.insert(x->port).second);
    BOOST_TEST(!can_bind(x->port));
    BOOST_TEST(::listen(x->socket.get(), 1) == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_range_is_handed_out_in_order_and_skips_what_is_taken) {
  // Somewhere the kernel has just found free; others may take neighbours, so
  // only order and bounds can be asked for.
  troupe::process::port_manager any;
  auto taken = any.take();
  BOOST_REQUIRE(taken);
  BOOST_REQUIRE(taken->port < 65'000);
  auto last = static_cast<std::uint16_t>(taken->port + 50);
  troupe::process::port_manager range{"127.0.0.1", taken->port, last};
  std::uint16_t previous = taken->port;
  for (;;) {
    auto x = range.take();
    if (!x) {
      BOOST_TEST((x.error().code() == errc::exhausted));
      break;
    }
    BOOST_TEST(x->port > previous);
    BOOST_TEST(x->port <= last);
    previous = x->port;
  }
  BOOST_TEST(previous > taken->port);
  BOOST_TEST((range.take().error().code() == errc::exhausted));
}

BOOST_AUTO_TEST_CASE(the_last_port_of_all_is_a_port) {
  troupe::process::port_manager range{"127.0.0.1", 65'535, 65'535};
  auto x = range.take();
  if (x)
    BOOST_TEST(x->port == 65'535);
  BOOST_TEST((range.take().error().code() == errc::exhausted));
}

BOOST_AUTO_TEST_CASE(an_address_that_is_none_of_ours_is_invalid) {
  for (auto* x : {"", "localhost", "300.1.1.1", "192.0.2.1"}) {
    troupe::process::port_manager ports{x};
    auto port = ports.take();
    BOOST_REQUIRE(!port);
    BOOST_TEST((port.error().code() == errc::invalid));
  }
}

BOOST_AUTO_TEST_CASE(every_address_has_its_own_place_in_the_list) {
  custom_ports ports{{5, 6}};
  BOOST_TEST(ports.next("a").value() == 5);
  BOOST_TEST(ports.next("a").value() == 6);
  BOOST_TEST(ports.next("b").value() == 5);
  auto past = ports.next("a");
  BOOST_REQUIRE(!past);
  BOOST_TEST((past.error().code() == errc::exhausted));
  BOOST_TEST(past.error().message()
             == "address a has used all 2 ports of the list");
  BOOST_TEST(ports.next("b").value() == 6);
}

BOOST_AUTO_TEST_CASE(the_list_is_read_as_chatlearn_reads_it) {
  auto ports = custom_ports::parse(
    "10001;8265;49948;52365;63529;10002;19999;30000;30001;30002;9999;20000");
  BOOST_REQUIRE(ports);
  BOOST_TEST(ports->list() == (std::vector<std::uint16_t>{30002, 9999, 20000}),
             boost::test_tools::per_element());
  BOOST_TEST(custom_ports::parse("").value().list().empty());
  BOOST_TEST(custom_ports::parse("30000").value().list().empty());
  for (auto* x : {"a", "30000;;30001", "70000", "-1", "1 2", "0"}) {
    auto bad = custom_ports::parse(x);
    BOOST_REQUIRE(!bad);
    BOOST_TEST((bad.error().code() == errc::invalid));
  }
}

BOOST_AUTO_TEST_SUITE_END()
