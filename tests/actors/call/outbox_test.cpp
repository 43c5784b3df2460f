// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/call/outbox.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/actor_cast.hpp>

#include "actors/call/asking_client.hpp"
#include "support/actor_fixture.hpp"

using namespace troupe;

namespace {

struct fixture : test::actor_fixture {
  caf::actor near = spawn<call_test::asking_client>();
  caf::actor far = spawn<call_test::asking_client>();
  caf::actor target = spawn<call_test::asking_client>();
  call::outbox uut;

  void add(std::vector<caf::actor> via, std::uint32_t timeout_ms) {
    protocol::parcel x;
    x.to = target;
    x.via = std::move(via);
    x.timeout_ms = timeout_ms;
    uut.add(std::move(x), [](const result<caf::message>&) {});
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(call_outbox, fixture)

BOOST_AUTO_TEST_CASE(a_target_has_its_last_route_until_it_is_forgotten) {
  auto address = caf::actor_cast<caf::actor_addr>(target);
  BOOST_TEST(uut.route_to(address) == nullptr);
  uut.route(address, {far});
  uut.route(address, {near, far});
  BOOST_REQUIRE(uut.route_to(address));
  BOOST_TEST((*uut.route_to(address) == std::vector{near, far}));
  uut.forget(address);
  BOOST_TEST(uut.route_to(address) == nullptr);
  uut.route(address, {near});
  uut.route(address, {});
  BOOST_TEST(uut.route_to(address) == nullptr);
}

BOOST_AUTO_TEST_CASE(what_has_the_same_next_hop_leaves_together_in_order) {
  add({near, far}, 1);
  add({far}, 2);
  add({near}, 3);
  auto all = uut.leave();
  BOOST_REQUIRE(all.size() == 2u);
  auto& first = all[0].next == near ? all[0] : all[1];
  auto& second = all[0].next == near ? all[1] : all[0];
  BOOST_TEST((first.next == near));
  BOOST_TEST((second.next == far));
  BOOST_REQUIRE(first.bundle.items.size() == 2u);
  BOOST_TEST(first.takers.size() == 2u);
  BOOST_TEST(first.bundle.items[0].timeout_ms == 1u);
  BOOST_TEST(first.bundle.items[1].timeout_ms == 3u);
  // The hop itself is not among those behind it.
  BOOST_TEST((first.bundle.items[0].via == std::vector{far}));
  BOOST_TEST(first.bundle.items[1].via.empty());
  BOOST_TEST(second.bundle.items.size() == 1u);
  BOOST_TEST(uut.leave().empty());
}

BOOST_AUTO_TEST_CASE(nothing_leaves_until_all_holds_are_released) {
  uut.hold();
  uut.hold();
  add({near}, 1);
  BOOST_TEST(uut.leave().empty());
  uut.release();
  BOOST_TEST(uut.leave().empty());
  uut.release();
  BOOST_TEST(uut.leave().size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_is_cleared_never_leaves) {
  uut.route(caf::actor_cast<caf::actor_addr>(target), {near});
  add({near}, 1);
  uut.clear();
  BOOST_TEST(uut.leave().empty());
  BOOST_TEST(uut.route_to(caf::actor_cast<caf::actor_addr>(target)) == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
