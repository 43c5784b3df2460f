// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/protocol/rendezvous.hpp"

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"

using namespace troupe;
using namespace troupe::protocol;

namespace {

worker_name worker(int rank) {
  return {"policy", replica_id{0}, rank_id{rank}};
}

group_seat seat(int rank, std::string group) {
  return {worker(rank),      std::move(group), "gloo",
          seat_kind::member, rank_id{rank},    3};
}

group_address address(int rank, std::string group, std::uint8_t byte) {
  return {worker(rank), std::move(group), rank_id{rank}, {byte}};
}

} // namespace

BOOST_AUTO_TEST_SUITE(protocol_rendezvous)

BOOST_AUTO_TEST_CASE(every_seat_learns_its_group_in_rank_order) {
  open_groups seats;
  seats.timeout_ms = 5;
  for (auto rank : {2, 0, 1})
    seats.items.push_back(seat(rank, "world"));
  seats.items.push_back(seat(0, "alone"));
  group_addresses all;
  for (auto rank : {1, 2, 0})
    all.items.push_back(
      address(rank, "world", static_cast<std::uint8_t>(10 + rank)));
  all.items.push_back(address(0, "alone", 99));
  auto got = introduce(seats, all);
  BOOST_TEST(got.timeout_ms == 5u);
  BOOST_REQUIRE(got.items.size() == 4u);
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST((got.items[i].to == seats.items[i].to));
    BOOST_REQUIRE(got.items[i].addresses.size() == 3u);
    for (std::size_t rank = 0; rank < 3; ++rank)
      BOOST_TEST(got.items[i].addresses[rank].front() == 10 + rank);
  }
  BOOST_REQUIRE(got.items[3].addresses.size() == 1u);
  BOOST_TEST(got.items[3].addresses[0].front() == 99);
}

BOOST_AUTO_TEST_CASE(a_seat_whose_group_is_incomplete_gets_fewer_addresses) {
  open_groups seats;
  seats.items = {seat(0, "world"), seat(1, "world")};
  auto got = introduce(seats, {{address(0, "world", 1)}});
  BOOST_TEST(got.items[1].addresses.size() == 1u);
  BOOST_TEST(introduce(seats, {}).items[0].addresses.empty());
}

BOOST_AUTO_TEST_CASE(leaving_names_every_seat) {
  open_groups seats;
  seats.timeout_ms = 5;
  seats.items = {seat(0, "world"), seat(1, "other")};
  auto got = leave(seats);
  BOOST_TEST(got.timeout_ms == 5u);
  BOOST_REQUIRE(got.items.size() == 2u);
  BOOST_TEST(got.items[1].group == "other");
  BOOST_TEST((got.items[1].to == worker(1)));
}

BOOST_AUTO_TEST_SUITE_END()
