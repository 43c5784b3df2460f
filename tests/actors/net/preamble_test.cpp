// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/preamble.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/net/support.hpp"

using namespace troupe;
using namespace troupe::net;
namespace protocol = troupe::net::preamble;

namespace {

std::vector<protocol::message> one_of_each() {
  auto a = *random_secret();
  auto b = *random_secret();
  return {protocol::hello{protocol::channel::control, process::node_slot, ""},
          protocol::hello{protocol::channel::data, 7, "job-1"},
          protocol::hello{protocol::channel::pulse, 4095, std::string(64, 'j')},
          protocol::challenge{a},
          protocol::answer{a, b},
          protocol::accepted{b},
          protocol::refused{error{errc::unavailable, "no process in slot 3"}}};
}

} // namespace

BOOST_AUTO_TEST_SUITE(preamble)

BOOST_AUTO_TEST_CASE(every_message_arrives_as_sent) {
  for (const auto& x : one_of_each()) {
    auto encoded = protocol::encode(x);
    BOOST_TEST((encoded.front() == protocol::first_byte));
    auto size = protocol::body_size(
      std::span{encoded}.first(protocol::header_bytes));
    BOOST_REQUIRE(size);
    BOOST_TEST(*size == encoded.size() - protocol::header_bytes);
    auto back = protocol::decode(encoded);
    BOOST_REQUIRE(back);
    BOOST_TEST((*back == x));
  }
}

BOOST_AUTO_TEST_CASE(a_message_cut_or_extended_anywhere_is_no_message) {
  for (const auto& x : one_of_each()) {
    auto encoded = protocol::encode(x);
    for (std::size_t size = 0; size < encoded.size(); ++size)
      BOOST_TEST(!protocol::decode(std::span{encoded}.first(size)).has_value());
    encoded.push_back(std::byte{0});
    BOOST_TEST(!protocol::decode(encoded).has_value());
  }
}

BOOST_AUTO_TEST_CASE(another_version_is_refused_with_both_numbers) {
  auto x = protocol::encode(one_of_each()[0]);
  x[4] = std::byte{9};
  auto size = protocol::body_size(std::span{x}.first(protocol::header_bytes));
  BOOST_REQUIRE(!size);
  BOOST_TEST((size.error().code() == errc::refused));
  BOOST_TEST(size.error().message().find("version 9") != std::string::npos);
  BOOST_TEST(size.error().message().find("version 1") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_refusal_is_cut_and_cannot_write_to_a_terminal) {
  auto x = protocol::decode(protocol::encode(protocol::refused{
    error{errc::refused, "\x1b[2J" + std::string(5000, 'x')}}));
  BOOST_REQUIRE(x);
  const auto& text = std::get<protocol::refused>(*x).reason.message();
  BOOST_TEST(text.size() == protocol::text_bytes_max);
  BOOST_TEST(text.substr(0, 4) == "?[2J");
}

BOOST_AUTO_TEST_CASE(only_control_goes_without_a_job) {
  for (auto kind : {protocol::channel::data, protocol::channel::pulse})
    BOOST_TEST(!protocol::decode(protocol::encode(protocol::hello{kind, 0, ""}))
                  .has_value());
  BOOST_TEST(
    !protocol::decode(
       protocol::encode(protocol::hello{protocol::channel::data, 0, "../../x"}))
       .has_value());
}

BOOST_AUTO_TEST_CASE(noise_never_decodes_into_impossible_values) {
  auto random = net_test::seeded_generator();
  auto seeds = one_of_each();
  for (int i = 0; i < 20'000; ++i) {
    auto raw = net_test::mutate(protocol::encode(
                                  seeds[random() % seeds.size()]),
                                random);
    if (raw.size() >= protocol::header_bytes) {
      auto size = protocol::body_size(
        std::span{raw}.first(protocol::header_bytes));
      BOOST_TEST((!size || *size <= protocol::body_bytes_max));
    }
    auto x = protocol::decode(raw);
    if (!x)
      continue;
    // What was read says again what it said.
    auto again = protocol::decode(protocol::encode(*x));
    BOOST_REQUIRE(again);
    BOOST_TEST((*again == *x));
    if (auto* y = std::get_if<protocol::hello>(&*x)) {
      BOOST_TEST(y->slot >= process::node_slot);
      BOOST_TEST(y->slot < process::slots_max);
      BOOST_TEST(y->job.size() <= 64);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
