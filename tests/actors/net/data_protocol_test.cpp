// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/data_protocol.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/net/support.hpp"
#include "troupe/actors/process/host_types.hpp"

using namespace troupe;
using namespace troupe::net;
namespace protocol = troupe::net::data_protocol;

namespace {

const protocol::request some_request{5, incarnation{2}, buffer_id{77}, 1500,
                                     1u << 20};

} // namespace

BOOST_AUTO_TEST_SUITE(data_protocol)

BOOST_AUTO_TEST_CASE(requests_and_answers_arrive_as_sent) {
  auto raw = protocol::encode(some_request);
  BOOST_TEST(raw.size() == protocol::request::bytes_size);
  BOOST_TEST((protocol::decode_request(raw) == some_request));
  protocol::answer found{true, errc::internal, 1u << 30};
  raw = protocol::encode(found);
  BOOST_TEST(raw.size() == protocol::answer::bytes_size);
  BOOST_TEST((protocol::decode_answer(raw) == found));
  auto text = protocol::encode(error{errc::lost, std::string(9000, 'x')});
  BOOST_TEST(text.size()
             == protocol::answer::bytes_size
                  + protocol::answer::text_bytes_max);
  auto head = protocol::decode_answer(
    std::span{text}.first(protocol::answer::bytes_size));
  BOOST_REQUIRE(head);
  BOOST_TEST(!head->found);
  BOOST_TEST((head->code == errc::lost));
  BOOST_TEST(head->size == protocol::answer::text_bytes_max);
}

BOOST_AUTO_TEST_CASE(a_buffer_of_nothing_is_no_answer) {
  BOOST_TEST(!protocol::decode_answer(
                protocol::encode(protocol::answer{true, errc::internal, 0}))
                .has_value());
}

BOOST_AUTO_TEST_CASE(noise_never_decodes_into_impossible_values) {
  auto random = net_test::seeded_generator();
  for (int i = 0; i < 20'000; ++i) {
    if (auto x = protocol::decode_request(
          net_test::mutate(protocol::encode(some_request), random))) {
      BOOST_TEST(x->slot >= process::node_slot);
      BOOST_TEST(x->slot < process::slots_max);
    }
    protocol::answer found{random() % 2 == 0, errc::lost, random() % 2000};
    if (auto x = protocol::decode_answer(
          net_test::mutate(protocol::encode(found), random))) {
      BOOST_TEST(
        (x->found ? x->size > 0 : x->size <= protocol::answer::text_bytes_max));
      BOOST_TEST(to_string(x->code) != "unknown");
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
