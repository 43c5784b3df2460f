// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/tunnel.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/net/support.hpp"
#include "troupe/actors/net/gate.hpp"

using namespace troupe;
using namespace troupe::net;
using net_test::soon;
using process::node_slot;

namespace {

struct fixture {
  fixture() { gate->route(node_slot, there.port()); }

  [[nodiscard]] std::unique_ptr<net::tunnel> open() const {
    auto x = net::tunnel::open(gate->bound(), nullptr, node_slot, soon());
    BOOST_REQUIRE(x);
    return std::move(*x);
  }

  static std::unique_ptr<stream> enter(const net::tunnel& x) {
    auto channel = net_test::connect_to({"127.0.0.1", x.local_port()});
    BOOST_REQUIRE(channel);
    return channel;
  }

  net_test::server there{net_test::echo};
  std::unique_ptr<net::gate> gate = *net::gate::start({});
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(tunnel, fixture)

BOOST_AUTO_TEST_CASE(sixteen_megabytes_come_back_as_sent) {
  auto way = open();
  auto x = enter(*way);
  auto data = net_test::pattern(16 * 1024 * 1024);
  std::thread sender{[&] {
    net_test::must_hold(send_all(*x, data, soon()).has_value(), "all is sent");
  }};
  bytes back(data.size());
  BOOST_TEST(receive_all(*x, back, soon()).has_value());
  sender.join();
  BOOST_TEST((back == data));
  BOOST_TEST(!way->ended());
}

BOOST_AUTO_TEST_CASE(when_the_near_end_closes_so_does_the_far_one) {
  auto way = open();
  auto x = enter(*way);
  bytes word(5);
  BOOST_REQUIRE(send_all(*x, word, soon()));
  BOOST_REQUIRE(receive_all(*x, word, soon()));
  BOOST_TEST(gate->connections() == 1);
  x.reset();
  BOOST_TEST(net_test::becomes([&] { return way->ended(); }));
  BOOST_TEST(net_test::becomes([&] { return gate->connections() == 0; }));
}

BOOST_AUTO_TEST_CASE(when_the_far_end_closes_so_does_the_near_one) {
  // One that leaves at the first word.
  net_test::server leaver{net_test::hold};
  gate->route(7, leaver.port());
  auto way = net::tunnel::open(gate->bound(), nullptr, 7, soon());
  BOOST_REQUIRE(way);
  auto x = enter(**way);
  bytes word(5);
  BOOST_REQUIRE(send_all(*x, word, soon()));
  BOOST_TEST(net_test::ends(*x));
  BOOST_TEST(net_test::becomes([&] { return (*way)->ended(); }));
}

BOOST_AUTO_TEST_CASE(when_the_machine_goes_so_does_the_near_end) {
  auto way = open();
  auto x = enter(*way);
  gate.reset();
  BOOST_TEST(net_test::ends(*x));
  auto again = net::tunnel::open({"127.0.0.1", way->local_port()}, nullptr,
                                 node_slot, soon());
  BOOST_TEST(!again.has_value());
}

BOOST_AUTO_TEST_CASE(a_far_end_that_goes_before_anybody_came_ends_it) {
  auto way = open();
  gate.reset();
  BOOST_TEST(net_test::becomes([&] { return way->ended(); }));
}

BOOST_AUTO_TEST_CASE(it_serves_one_connection) {
  auto way = open();
  auto x = enter(*way);
  bytes word(5);
  BOOST_REQUIRE(send_all(*x, word, soon()));
  BOOST_REQUIRE(receive_all(*x, word, soon()));
  // The connection keeps its port: no other test can have it.
  BOOST_TEST(!net_test::connect_to({"127.0.0.1", way->local_port()}));
}

BOOST_AUTO_TEST_CASE(closing_ends_both_sides) {
  auto way = open();
  auto x = enter(*way);
  bytes word(5);
  BOOST_REQUIRE(send_all(*x, word, soon()));
  BOOST_REQUIRE(receive_all(*x, word, soon()));
  way->close();
  BOOST_TEST(way->ended());
  BOOST_TEST(net_test::ends(*x));
  BOOST_TEST(net_test::becomes([&] { return gate->connections() == 0; }));
  way->close();
}

BOOST_AUTO_TEST_CASE(no_such_slot_no_gate_and_no_listener_are_told_apart) {
  auto code = [](const endpoint& at, std::int32_t slot,
                 duration wait = std::chrono::seconds{20}) {
    auto x = net::tunnel::open(at, nullptr, slot, deadline::after(wait));
    BOOST_REQUIRE(!x);
    return x.error();
  };
  auto no_slot = code(gate->bound(), 3);
  BOOST_TEST((no_slot.code() == errc::unavailable));
  BOOST_TEST(no_slot.message()
             == to_string(gate->bound()) + ": no process in slot 3");
  // Something else listens there.
  BOOST_TEST((code(there.at(), 3).code() == errc::corrupt));
  test::held_port held;
  BOOST_TEST(
    (code(net_test::closed_port(held), 3).code() == errc::unavailable));
  net_test::black_hole hole;
  BOOST_TEST((code(hole.at(), 3, std::chrono::milliseconds{100}).code()
              == errc::timed_out));
  // Accepts, and never says anything.
  net_test::server mute{[](stream& x) { (void) net_test::ends(x); }};
  BOOST_TEST((code(mute.at(), 3, std::chrono::milliseconds{100}).code()
              == errc::timed_out));
}

BOOST_AUTO_TEST_SUITE_END()
