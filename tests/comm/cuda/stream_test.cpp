// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <optional>

#include "support/cuda/stand_in_fixture.hpp"
#include "troupe/comm/cuda/event.hpp"
#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/cuda/stream.hpp"

using namespace troupe;
using namespace troupe::comm::cuda;
using test::count;
using test::make_stand_in;
using test::make_stepped;
using test::soon;

BOOST_AUTO_TEST_SUITE(cuda_stream)

BOOST_AUTO_TEST_CASE(work_is_done_in_order_and_synchronize_waits_for_it) {
  auto api = make_stand_in();
  {
    auto memory = device_memory::allocate(api, 0, 64).value();
    auto host = pinned_memory::allocate(api, 64).value();
    auto on = stream::create(api, 0).value();
    stream_view view = on;
    BOOST_REQUIRE(view.fill(memory.data(), 1, 64));
    BOOST_REQUIRE(view.fill(memory.data(), 2, 32));
    BOOST_REQUIRE(view.copy(host.data(), memory.data(), 64));
    BOOST_REQUIRE(on.synchronize(soon()));
    BOOST_CHECK(host.bytes()[0] == std::byte{2});
    BOOST_CHECK(host.bytes()[31] == std::byte{2});
    BOOST_CHECK(host.bytes()[32] == std::byte{1});
    BOOST_CHECK(host.bytes()[63] == std::byte{1});
  }
  auto wrong = api->finish();
  BOOST_CHECK_MESSAGE(wrong.empty(), test::lines(wrong));
}

BOOST_AUTO_TEST_CASE(an_event_orders_two_streams) {
  auto api = make_stepped();
  {
    auto memory = device_memory::allocate(api, 0, 8).value();
    auto host = pinned_memory::allocate(api, 8).value();
    auto first = stream::create(api, 0).value();
    auto second = stream::create(api, 0).value();
    auto filled = event::create(api, 0).value();
    BOOST_REQUIRE(first.view().fill(memory.data(), 7, 8));
    BOOST_REQUIRE(first.view().record(filled));
    BOOST_REQUIRE(second.view().wait_for(filled));
    BOOST_REQUIRE(second.view().copy(host.data(), memory.data(), 8));
    // The second stream stands still until the first has come so far.
    BOOST_CHECK(!api->step(second.handle()));
    BOOST_CHECK(!filled.done().value());
    BOOST_CHECK(api->step(first.handle()));
    BOOST_CHECK(!api->step(second.handle()));
    BOOST_CHECK(api->step(first.handle()));
    BOOST_CHECK(filled.done().value());
    BOOST_CHECK_EQUAL(api->run_all(), 2u);
    BOOST_CHECK(host.bytes()[7] == std::byte{7});
    BOOST_REQUIRE_EQUAL(api->synchronize_device(), codes::success);
  }
  auto wrong = api->finish();
  BOOST_CHECK_MESSAGE(wrong.empty(), test::lines(wrong));
}

BOOST_AUTO_TEST_CASE(waiting_for_an_event_is_for_its_record_at_that_time) {
  auto api = make_stepped();
  auto first = stream::create(api, 0).value();
  auto second = stream::create(api, 0).value();
  auto mark = event::create(api, 0).value();
  // Never recorded: nothing to wait for.
  BOOST_CHECK(mark.done().value());
  BOOST_REQUIRE(second.view().wait_for(mark));
  BOOST_REQUIRE(first.view().record(mark));
  BOOST_CHECK(api->step(second.handle()));
  BOOST_CHECK(!mark.done().value());
  api->run_all();
  BOOST_CHECK(mark.done().value());
}

BOOST_AUTO_TEST_CASE(streams_and_events_are_made_on_their_device) {
  auto api = make_stand_in({.devices = {0, 1}});
  auto on = stream::create(api, 1).value();
  auto here = event::create(api, 1).value();
  auto there = event::create(api, 0).value();
  BOOST_CHECK(on.view().record(here));
  auto wrong = on.view().record(there);
  BOOST_REQUIRE(!wrong);
  BOOST_CHECK(wrong.error().code() == errc::failed);
  BOOST_CHECK(wrong.error().message().find("cudaEventRecord: invalid resource "
                                           "handle")
              != std::string::npos);
  BOOST_CHECK_EQUAL(count(api->hazards(), "event 3 is of device 0"), 1u);
  auto none = stream::create(api, 2);
  BOOST_REQUIRE(!none);
  BOOST_CHECK(none.error().code() == errc::unavailable);
}

BOOST_AUTO_TEST_CASE(a_launch_makes_the_streams_device_the_current_one) {
  auto api = make_stand_in({.devices = {0, 1}});
  api->set_device(0);
  api->execute_with([](const copy_launch&) {});
  auto on = stream::create(api, 1).value();
  auto tables = pinned_memory::allocate(api, sizeof(device_part)).value();
  auto* part = new (tables.data()) device_part{};
  copy_launch what;
  what.parts = part;
  what.part_count = 1;
  what.tiles = 1;
  BOOST_CHECK(on.view().launch(what));
  BOOST_CHECK(on.synchronize(soon()));
  // By hand, without the guard.
  BOOST_CHECK_EQUAL(api->launch(what, on.handle()), codes::invalid_handle);
  BOOST_CHECK_EQUAL(count(api->hazards(), "of device 1, current is 0"), 1u);
}

BOOST_AUTO_TEST_CASE(owners_move_and_release_once) {
  auto api = make_stand_in();
  {
    auto first = stream::create(api, 0).value();
    auto handle = first.handle();
    std::optional<stream> second{std::move(first)};
    BOOST_CHECK(first.handle() == nullptr);
    BOOST_CHECK(second->handle() == handle);
    auto third = stream::create(api, 0).value();
    third = std::move(*second);
    BOOST_CHECK(third.handle() == handle);
    auto mark = event::create(api, 0).value();
    auto other = std::move(mark);
    BOOST_CHECK(mark.handle() == nullptr);
    BOOST_CHECK(other.done().value());
  }
  auto wrong = api->finish();
  BOOST_CHECK_MESSAGE(wrong.empty(), test::lines(wrong));
  BOOST_CHECK_EQUAL(api->calls("destroy_stream"), 2u);
}

BOOST_AUTO_TEST_CASE(a_stream_that_cannot_be_made_leaves_nothing) {
  auto api = make_stand_in();
  api->fail_next("create_stream", codes::out_of_memory);
  auto bad = stream::create(api, 0);
  BOOST_REQUIRE(!bad);
  BOOST_CHECK(bad.error().code() == errc::exhausted);
  BOOST_CHECK(api->leaks().empty());
}

BOOST_AUTO_TEST_CASE(an_error_of_the_device_comes_with_the_next_call) {
  auto api = make_stand_in();
  auto memory = device_memory::allocate(api, 0, 8).value();
  auto on = stream::create(api, 0).value();
  api->fail_async(codes::launch_failure);
  BOOST_REQUIRE(on.view().fill(memory.data(), 0, 8));
  auto bad = on.synchronize(soon());
  BOOST_REQUIRE(!bad);
  BOOST_CHECK(bad.error().code() == errc::lost);
  BOOST_CHECK(on.view().fill(memory.data(), 0, 8).error().code() == errc::lost);
  BOOST_CHECK(device_memory::allocate(api, 0, 8).error().code() == errc::lost);
}

BOOST_AUTO_TEST_CASE(time_between_events_needs_timed_ones) {
  auto api = make_stand_in();
  auto on = stream::create(api, 0).value();
  auto begin = event::create(api, 0, true).value();
  auto end = event::create(api, 0, true).value();
  auto plain = event::create(api, 0).value();
  for (const auto* x : {&begin, &end, &plain})
    BOOST_REQUIRE(on.view().record(*x));
  BOOST_REQUIRE(on.synchronize(soon()));
  BOOST_CHECK(begin.until(end).value() >= duration::zero());
  BOOST_CHECK(!begin.until(plain));
}

BOOST_AUTO_TEST_SUITE_END()
