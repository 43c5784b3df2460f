// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/call/pending_calls.hpp"

#include <boost/test/unit_test.hpp>

#include <random>
#include <set>

#include "support/actor_fixture.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

using table = call::pending_calls<int>;

const error gone{errc::lost, "gone"};

} // namespace

BOOST_AUTO_TEST_SUITE(call_pending_calls)

BOOST_AUTO_TEST_CASE(a_call_is_settled_once) {
  table calls;
  auto failures = 0;
  auto id = calls.add(1, [&](const error&) { ++failures; });
  BOOST_TEST(calls.size() == 1u);
  BOOST_TEST(calls.settle(id));
  BOOST_TEST(!calls.settle(id));
  calls.target_down(1, gone);
  BOOST_TEST(failures == 0);
  BOOST_TEST(calls.size() == 0u);
}

BOOST_AUTO_TEST_CASE(a_target_that_goes_down_fails_its_calls_in_their_order) {
  table calls;
  std::vector<int> failed;
  for (auto i = 0; i < 100; ++i)
    static_cast<void>(calls.add(i % 2, [&failed, i](const error& x) {
      BOOST_TEST((x == gone));
      failed.push_back(i);
    }));
  calls.target_down(1, gone);
  std::vector<int> odd;
  for (auto i = 1; i < 100; i += 2)
    odd.push_back(i);
  BOOST_TEST(failed == odd, boost::test_tools::per_element());
  BOOST_TEST(calls.size() == 50u);
}

BOOST_AUTO_TEST_CASE(deadlines_pass_in_their_order) {
  table calls;
  table::time_point begin{};
  std::vector<int> late;
  auto add = [&](int i, std::chrono::seconds after) {
    return calls.add(
      i,
      [&late, i](const error& x) {
        BOOST_TEST((x == gone));
        late.push_back(i);
      },
      begin + after);
  };
  static_cast<void>(add(1, 30s));
  auto second = add(2, 10s);
  static_cast<void>(add(3, 20s));
  static_cast<void>(add(4, 20s));
  // A watch.
  static_cast<void>(calls.add(5, [](const error&) {}));
  BOOST_TEST((calls.next_deadline() == begin + 10s));
  BOOST_TEST(calls.settle(second));
  BOOST_TEST((calls.next_deadline() == begin + 20s));
  BOOST_TEST(calls.expire(begin + 19s).empty());
  for (auto& handler : calls.expire(begin + 20s))
    handler(gone);
  BOOST_TEST(late == (std::vector{3, 4}), boost::test_tools::per_element());
  calls.target_down(1, gone);
  BOOST_TEST(!calls.next_deadline());
  BOOST_TEST(calls.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_failure_handler_may_make_calls_of_its_own) {
  table calls;
  auto second = 0;
  static_cast<void>(calls.add(1, [&](const error&) {
    static_cast<void>(calls.add(1, [&](const error&) { ++second; }));
  }));
  calls.target_down(1, gone);
  BOOST_TEST(second == 0);
  BOOST_TEST(calls.size() == 1u);
  calls.target_down(1, gone);
  BOOST_TEST(second == 1);
}

BOOST_AUTO_TEST_CASE(every_call_ends_exactly_once_whatever_the_order) {
  auto seed = test::random_seed();
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  table calls;
  std::map<table::call_id, int> ended;
  std::vector<table::call_id> ids;
  for (auto step = 0; step < 5000; ++step) {
    auto target = static_cast<int>(random() % 5);
    auto what = random() % 100;
    if (what < 60) {
      auto id = std::make_shared<table::call_id>();
      *id = calls.add(target, [&ended, id](const error&) { ++ended[*id]; });
      ids.push_back(*id);
    } else if (what < 95 && !ids.empty()) {
      auto id = ids[random() % ids.size()];
      if (calls.settle(id))
        ++ended[id];
    } else {
      calls.target_down(target, gone);
    }
  }
  for (auto target = 0; target < 5; ++target)
    calls.target_down(target, gone);
  BOOST_TEST(calls.size() == 0u);
  BOOST_TEST(ended.size() == ids.size());
  for (auto& [id, count] : ended)
    BOOST_TEST(count == 1);
}

BOOST_AUTO_TEST_SUITE_END()
