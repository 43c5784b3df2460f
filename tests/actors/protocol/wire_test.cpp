// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/protocol/wire.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>

#include <bit>
#include <random>

#include "actors/protocol/odd_doubles.hpp"
#include "support/actor_fixture.hpp"

using namespace troupe;
using protocol::wire_double;

BOOST_FIXTURE_TEST_SUITE(protocol_wire, test::actor_fixture)

BOOST_AUTO_TEST_CASE(a_wire_double_keeps_every_bit) {
  std::vector<wire_double> sent;
  for (auto x : test::odd_doubles())
    sent.emplace_back(x);
  auto seed = test::random_seed();
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  for (auto i = 0; i < 1000; ++i)
    sent.emplace_back(std::bit_cast<double>(random()));
  std::vector<char> buffer;
  caf::binary_serializer sink{system(), buffer};
  BOOST_REQUIRE(!sink(sent));
  std::vector<wire_double> got;
  caf::binary_deserializer source{system(), buffer};
  BOOST_REQUIRE(!source(got));
  BOOST_TEST((got == sent));
  for (std::size_t i = 0; i < test::odd_doubles().size(); ++i)
    BOOST_TEST(std::bit_cast<std::uint64_t>(got[i].value())
               == std::bit_cast<std::uint64_t>(test::odd_doubles()[i]));
}

BOOST_AUTO_TEST_CASE(wire_doubles_are_equal_if_their_bits_are) {
  auto nan = std::numeric_limits<double>::quiet_NaN();
  BOOST_TEST((wire_double{nan} == wire_double{nan}));
  BOOST_TEST((wire_double{0.0} != wire_double{-0.0}));
  BOOST_TEST((wire_double{} == wire_double{0.0}));
}

BOOST_AUTO_TEST_CASE(bytes_become_a_payload_and_back) {
  std::vector<std::byte> bytes{std::byte{0}, std::byte{255}, std::byte{7}};
  auto packed = protocol::to_payload(bytes);
  BOOST_TEST(packed == (protocol::payload{0, 255, 7}),
             boost::test_tools::per_element());
  auto view = protocol::as_bytes(packed);
  BOOST_TEST(std::equal(view.begin(), view.end(), bytes.begin(), bytes.end()));
  BOOST_TEST(protocol::to_payload({}).empty());
}

BOOST_AUTO_TEST_SUITE_END()
