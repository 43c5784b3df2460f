// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <thread>

#include "support/cuda/stand_in_fixture.hpp"
#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/cuda/event.hpp"
#include "troupe/comm/cuda/stream.hpp"
#include "troupe/comm/cuda/wait.hpp"

using namespace troupe;
using namespace troupe::comm::cuda;
using test::make_stand_in;
using test::soon;

BOOST_AUTO_TEST_SUITE(cuda_wait)

BOOST_AUTO_TEST_CASE(what_is_done_is_not_waited_for) {
  auto api = make_stand_in();
  auto mark = event::create(api, 0).value();
  BOOST_CHECK(mark.wait(deadline::after(duration::zero())));
  BOOST_CHECK_EQUAL(api->calls("query"), 1u);
}

BOOST_AUTO_TEST_CASE(it_asks_until_the_work_is_done) {
  test::stand_in_options options;
  options.stepped = true;
  options.steps_per_query = 1;
  auto api = make_stand_in(options);
  auto on = stream::create(api, 0).value();
  // Past the queries without a pause and those that yield.
  for (int i = 0; i < 150; ++i)
    api->enqueue(on.handle(), "something",
                 [](const std::atomic<bool>&) { return codes::success; });
  BOOST_CHECK(on.synchronize(soon()));
  BOOST_CHECK_EQUAL(api->calls("query"), 151u);
}

BOOST_AUTO_TEST_CASE(a_device_that_hangs_meets_the_deadline) {
  auto api = make_stand_in();
  auto on = stream::create(api, 0).value();
  api->hang(on.handle());
  scoped_rank rank{2};
  auto bad = on.synchronize(deadline::after(std::chrono::milliseconds{5}));
  BOOST_REQUIRE(!bad);
  BOOST_CHECK(bad.error().code() == errc::timed_out);
  BOOST_CHECK(bad.error().message().find("rank 2") != std::string::npos);
  api->resume(on.handle());
  BOOST_CHECK(on.synchronize(soon()));
}

BOOST_AUTO_TEST_CASE(an_abort_ends_it) {
  auto api = make_stand_in();
  auto on = stream::create(api, 0).value();
  api->hang();
  std::atomic<bool> aborted = false;
  // Once it is surely asking.
  std::thread other{[&] {
    while (api->calls("query") < 200)
      std::this_thread::yield();
    aborted = true;
  }};
  auto bad = on.synchronize(soon(), &aborted);
  other.join();
  BOOST_REQUIRE(!bad);
  BOOST_CHECK(bad.error().code() == errc::aborted);
}

BOOST_AUTO_TEST_CASE(what_is_done_is_a_success_also_if_aborted_or_late) {
  auto api = make_stand_in();
  auto mark = event::create(api, 0).value();
  std::atomic<bool> aborted = true;
  BOOST_CHECK(mark.wait(deadline::after(duration::zero()), &aborted));
}

BOOST_AUTO_TEST_CASE(an_error_of_the_device_ends_it) {
  auto api = make_stand_in();
  auto on = stream::create(api, 0).value();
  api->enqueue(on.handle(), "a kernel",
               [](const std::atomic<bool>&) { return codes::illegal_address; });
  auto bad = on.synchronize(soon());
  BOOST_REQUIRE(!bad);
  BOOST_CHECK(bad.error().code() == errc::lost);
}

BOOST_AUTO_TEST_CASE(a_failing_query_is_told_once) {
  auto api = make_stand_in();
  auto mark = event::create(api, 0).value();
  api->fail_next("query", codes::invalid_handle);
  auto bad = mark.wait(soon());
  BOOST_REQUIRE(!bad);
  BOOST_CHECK(bad.error().code() == errc::failed);
  BOOST_CHECK(mark.wait(soon()));
  BOOST_CHECK_EQUAL(api->take_last_error(), codes::success);
}

BOOST_AUTO_TEST_SUITE_END()
