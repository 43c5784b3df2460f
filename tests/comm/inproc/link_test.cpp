// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include "comm/conformance.hpp"
#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/inproc/hub.hpp"

using namespace troupe;

namespace {

const test::conformance::link_maker by_name = [] {
  comm::inproc::hub hub;
  auto receiver = hub.make_link("a to b", comm::inproc::link_end::receiver);
  auto sender = hub.make_link("a to b", comm::inproc::link_end::sender);
  return std::make_pair(sender.value(), receiver.value());
};

} // namespace

BOOST_AUTO_TEST_SUITE(inproc_link)

TROUPE_LINK_CONFORMANCE(by_name)

BOOST_AUTO_TEST_CASE(an_end_that_is_taken_is_refused) {
  using comm::inproc::link_end;
  comm::inproc::hub hub;
  auto sender = hub.make_link("name", link_end::sender).value();
  auto second = hub.make_link("name", link_end::sender);
  BOOST_REQUIRE(!second);
  BOOST_CHECK(second.error().code() == errc::refused);
  auto receiver = hub.make_link("name", link_end::receiver).value();
  BOOST_CHECK(!hub.make_link("name", link_end::receiver));
  BOOST_CHECK(!hub.make_link("name", link_end::sender));
  // Once an end is dropped the name stands for a new link.
  sender.reset();
  sender = hub.make_link("name", link_end::sender).value();
  BOOST_CHECK(!hub.make_link("name", link_end::sender));
  BOOST_CHECK(hub.make_link("name", link_end::receiver));
}

BOOST_AUTO_TEST_SUITE_END()
