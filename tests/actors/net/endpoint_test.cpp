// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/endpoint.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/net/support.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

std::string message_of(std::string_view text) {
  auto x = parse_endpoint(text);
  if (x)
    return "read";
  BOOST_TEST((x.error().code() == errc::invalid));
  return x.error().message();
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_SUITE(endpoint)

BOOST_AUTO_TEST_CASE(names_and_both_kinds_of_addresses_are_read_and_written) {
  struct {
    const char* text;
    const char* host;
    std::uint16_t port;
  } const all[] = {{"a:4100", "a", 4100},
                   {"node-7.cluster_x:1", "node-7.cluster_x", 1},
                   {"10.0.0.1:65535", "10.0.0.1", 65535},
                   {"[::1]:4100", "::1", 4100},
                   {"[fd00::12]:0", "fd00::12", 0}};
  for (const auto& x : all) {
    auto read = parse_endpoint(x.text);
    BOOST_REQUIRE_MESSAGE(read, x.text);
    BOOST_TEST(read->host == x.host);
    BOOST_TEST(read->port == x.port);
    BOOST_TEST(to_string(*read) == x.text);
  }
}

BOOST_AUTO_TEST_CASE(an_error_names_the_text_what_is_wrong_and_an_example) {
  struct {
    const char* text;
    const char* what;
  } const all[] = {{"", "it is empty"},
                   {"node-a", "port is missing"},
                   {":4100", "host is missing"},
                   {"a:", "a port is a number"},
                   {"a:65536", "a port is a number"},
                   {"a:-1", "a port is a number"},
                   {"a:1x", "a port is a number"},
                   {"a: 1", "a port is a number"},
                   {"::1:4100", "stands in brackets"},
                   {"[::1:4100", "bracket is not closed"},
                   {"[::1]", "port is missing"},
                   {"[10.0.0.1]:1", "not an IPv6 address"},
                   {"a b:1", "a host name is made of"},
                   {"-a:1", "a host name is made of"}};
  for (const auto& x : all) {
    auto text = message_of(x.text);
    BOOST_TEST(has(text, x.what), x.text << " gave " << text);
    BOOST_TEST(has(text, std::string{"'"} + x.text + "'"));
    BOOST_TEST(has(text, "e.g. node-a:4100"));
  }
  BOOST_TEST(!has(message_of("\x1b[2Ja:1"), "\x1b"));
  BOOST_TEST(message_of(std::string(100'000, 'a')).size() < 400);
  BOOST_TEST(has(message_of(std::string_view{"[::1\0x]:1", 9}), "not an IPv6"));
}

BOOST_AUTO_TEST_CASE(a_list_has_each_machine_once_with_a_port) {
  auto x = parse_endpoints("a:1, [::1]:2 ,10.0.0.1:3");
  BOOST_REQUIRE(x);
  BOOST_REQUIRE_EQUAL(x->size(), 3);
  BOOST_TEST(to_string((*x)[1]) == "[::1]:2");
  for (const auto* bad : {"", "a:1,", ",a:1", "a:1,b", "a:1,a:1", "a:0", ",,"})
    BOOST_TEST(!parse_endpoints(bad).has_value(), bad);
  BOOST_TEST(has(parse_endpoints("a:1,b:2,a:1").error().message(), "twice"));
}

BOOST_AUTO_TEST_CASE(loopback_is_told_by_its_spelling_alone) {
  for (const auto* x :
       {"localhost", "127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1"})
    BOOST_TEST(is_loopback({x, 1}), x);
  for (const auto* x : {"128.0.0.1", "0.0.0.0", "::", "10.127.0.1", "fd00::1",
                        "localhost.example", "a", "::ffff:10.0.0.1", ""})
    BOOST_TEST(!is_loopback({x, 1}), x);
}

BOOST_AUTO_TEST_CASE(noise_is_refused_or_written_as_it_was_read) {
  auto random = net_test::seeded_generator();
  const std::string seeds[] = {"a:4100", "[::1]:4100", "10.0.0.1:1,b:2"};
  for (int i = 0; i < 20'000; ++i) {
    const auto& seed = seeds[random() % 3];
    auto raw = std::as_bytes(std::span{seed});
    auto noise = net_test::mutate(bytes{raw.begin(), raw.end()}, random);
    std::string_view text{reinterpret_cast<const char*>(noise.data()),
                          noise.size()};
    if (auto x = parse_endpoint(text)) {
      auto again = parse_endpoint(to_string(*x));
      BOOST_REQUIRE(again);
      BOOST_TEST((*again == *x));
    }
    if (auto x = parse_endpoints(text))
      BOOST_TEST(!x->empty());
  }
}

BOOST_AUTO_TEST_SUITE_END()
