// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/job_key.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/net/support.hpp"

using namespace troupe;
using namespace troupe::net;

BOOST_AUTO_TEST_SUITE(job_key)

BOOST_AUTO_TEST_CASE(a_key_survives_its_hexadecimal_form) {
  auto x = net::job_key::make();
  auto y = net::job_key::make();
  BOOST_REQUIRE((x && y));
  BOOST_TEST(!(*x == *y));
  BOOST_TEST(x->hex().size() == 64);
  auto again = net::job_key::from_hex(x->hex());
  BOOST_REQUIRE(again);
  BOOST_TEST((*again == *x));
}

BOOST_AUTO_TEST_CASE(an_error_does_not_repeat_the_key) {
  auto hex = net::job_key::make()->hex();
  auto shorter = hex.substr(0, 63);
  auto strange = hex.substr(0, 63) + "g";
  for (const auto& bad : {shorter, strange, hex + "0", std::string{}}) {
    auto x = net::job_key::from_hex(bad);
    BOOST_REQUIRE(!x);
    BOOST_TEST(x.error().message().find(hex.substr(0, 8)) == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(the_mac_is_hmac_sha256) {
  // RFC 4231, test case 1, whose key of 20 bytes HMAC pads with zeros.
  auto key = net::job_key::from_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
                                    "000000000000000000000000");
  BOOST_REQUIRE(key);
  std::string_view text = "Hi There";
  auto mac = key->mac(std::as_bytes(std::span{text}));
  auto expected = net::job_key::from_hex(
    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  BOOST_REQUIRE(expected);
  std::string hex;
  for (auto x : mac) {
    static constexpr char digits[] = "0123456789abcdef";
    hex += digits[static_cast<int>(x) / 16];
    hex += digits[static_cast<int>(x) % 16];
  }
  BOOST_TEST(hex == expected->hex());
}

BOOST_AUTO_TEST_CASE(equal_means_equal_in_every_byte) {
  auto a = *random_secret();
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto b = a;
    b[i] ^= std::byte{1};
    BOOST_TEST(!same_bytes(a, b));
  }
  BOOST_TEST(same_bytes(a, a));
  BOOST_TEST(!same_bytes(a, std::span{a}.first(31)));
}

BOOST_AUTO_TEST_SUITE_END()
