// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/socket_address.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/net/support.hpp"

using namespace troupe;
using namespace troupe::net;
using net_test::soon;

BOOST_AUTO_TEST_SUITE(socket_address)

// The first of all: lookups of others may still be under way.
BOOST_AUTO_TEST_CASE(a_resolver_that_hangs_costs_the_deadline_and_has_a_bound) {
  // The threads outlast the test by a moment.
  static net_test::watched<bool> released;
  static net_test::watched<int> ended;
  auto hang =
    [](const net::endpoint&) -> result<std::vector<net::socket_address>> {
    [[maybe_unused]] auto in_time = released.wait([](bool x) { return x; });
    ended.update([](int& x) { ++x; });
    return fail(errc::invalid, "late");
  };
  for (int i = 0; i < lookups_max; ++i) {
    auto x = resolve({"slow", 1}, deadline::after(duration::zero()), hang);
    BOOST_REQUIRE(!x);
    BOOST_TEST((x.error().code() == errc::timed_out));
    BOOST_TEST(x.error().message().find("'slow'") != std::string::npos);
  }
  auto x = resolve({"slow", 1}, deadline::after(std::chrono::milliseconds{50}),
                   hang);
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::exhausted));
  // A further one waits for its turn.
  std::thread later{[] { released.set(true); }};
  auto known = [](const net::endpoint&) {
    return result<std::vector<net::socket_address>>{
      {net::socket_address::loopback(7)}};
  };
  BOOST_TEST(resolve({"quick", 1}, soon(), known).has_value());
  later.join();
  BOOST_TEST(ended.wait([](int n) { return n == lookups_max; }));
}

BOOST_AUTO_TEST_CASE(literal_addresses_resolve_to_themselves) {
  for (const auto* text : {"127.0.0.1:80", "[::1]:80", "10.1.2.3:4"}) {
    auto x = resolve(*parse_endpoint(text), soon());
    BOOST_REQUIRE(x);
    BOOST_REQUIRE_EQUAL(x->size(), 1);
    BOOST_TEST(to_string(x->front()) == text);
    BOOST_TEST(x->front().is_loopback() == (text[1] != '0'));
  }
  BOOST_TEST(to_string(net::socket_address{}) == "somebody");
  BOOST_TEST(net::socket_address{}.port() == 0);
}

BOOST_AUTO_TEST_CASE(localhost_is_known) {
  if (!net_test::knows_localhost())
    return;
  auto x = resolve({"localhost", 80}, soon());
  BOOST_REQUIRE(x);
  for (const auto& address : *x)
    BOOST_TEST(address.is_loopback());
}

BOOST_AUTO_TEST_SUITE_END()
