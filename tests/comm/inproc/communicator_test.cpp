// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include "comm/conformance.hpp"
#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/inproc/hub.hpp"

using namespace troupe;

namespace {

const test::conformance::backend subject{
  [](std::int32_t size, const comm::collective_options& options) {
    static comm::inproc::hub shared;
    std::vector<comm::endpoint_ptr> out;
    for (std::int32_t rank = 0; rank < size; ++rank)
      out.push_back(
        shared.make_endpoint("group", rank_id{rank}, size, options).value());
    return out;
  }};

} // namespace

BOOST_AUTO_TEST_SUITE(inproc_communicator)

TROUPE_COMMUNICATOR_CONFORMANCE(subject)

BOOST_AUTO_TEST_CASE(the_backend_is_usable) {
  BOOST_CHECK(comm::inproc::probe().usable);
}

BOOST_AUTO_TEST_CASE(a_whole_group_can_be_made_at_once) {
  auto group = comm::inproc::make_group(3);
  BOOST_REQUIRE_EQUAL(group.size(), 3u);
  for (std::int32_t rank = 0; rank < 3; ++rank) {
    BOOST_CHECK_EQUAL(group[static_cast<std::size_t>(rank)]->rank().value(),
                      rank);
    BOOST_CHECK_EQUAL(group[static_cast<std::size_t>(rank)]->size(), 3);
  }
}

BOOST_AUTO_TEST_CASE(addresses_of_another_hub_are_refused) {
  comm::inproc::hub ours;
  comm::inproc::hub theirs;
  auto a = ours.make_endpoint("group", rank_id{0}, 2).value();
  auto b = theirs.make_endpoint("group", rank_id{1}, 2).value();
  auto made = a->connect({a->address(), b->address()},
                         deadline::after(std::chrono::seconds{60}));
  BOOST_REQUIRE(!made);
  BOOST_CHECK(made.error().code() == errc::invalid);
}

BOOST_AUTO_TEST_CASE(ranks_outside_the_group_are_invalid) {
  comm::inproc::hub hub;
  BOOST_CHECK(!hub.make_endpoint("group", rank_id{2}, 2));
  BOOST_CHECK(!hub.make_endpoint("group", rank_id{-1}, 2));
  BOOST_CHECK(!hub.make_endpoint("group", rank_id{0}, 0));
}

BOOST_AUTO_TEST_SUITE_END()
