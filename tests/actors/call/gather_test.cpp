// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/call/gather.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <numeric>
#include <random>

#include "support/actor_fixture.hpp"

using namespace troupe;

namespace {

using answers = result<std::vector<int>>;

struct collected {
  int count = 0;
  answers last;
};

auto make(std::size_t count, collected& out) {
  return std::make_shared<call::gather<int>>(count, [&out](answers x) {
    ++out.count;
    out.last = std::move(x);
  });
}

} // namespace

BOOST_AUTO_TEST_SUITE(call_gather)

BOOST_AUTO_TEST_CASE(nothing_to_wait_for_is_done_at_once) {
  collected got;
  auto all = make(0, got);
  BOOST_TEST(got.count == 1);
  BOOST_REQUIRE(got.last);
  BOOST_TEST(got.last->empty());
}

BOOST_AUTO_TEST_CASE(answers_come_out_in_the_order_of_their_indices) {
  auto seed = test::random_seed();
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  std::vector<int> order(17);
  std::iota(order.begin(), order.end(), 0);
  auto expected = order;
  for (auto round = 0; round < 20; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    collected got;
    auto all = make(order.size(), got);
    for (auto i : order) {
      BOOST_TEST(got.count == 0);
      all->set(static_cast<std::size_t>(i), i);
    }
    BOOST_TEST(got.count == 1);
    BOOST_REQUIRE(got.last);
    BOOST_TEST(*got.last == expected, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(the_first_error_ends_it_and_the_rest_is_ignored) {
  collected got;
  auto all = make(3, got);
  all->set(1, 1);
  all->set(0, fail(errc::lost, "first"));
  BOOST_TEST(got.count == 1);
  all->set(2, fail(errc::failed, "second"));
  all->set(2, 2);
  BOOST_TEST(got.count == 1);
  BOOST_REQUIRE(!got.last);
  BOOST_TEST(got.last.error().message() == "first");
}

BOOST_AUTO_TEST_CASE(an_index_counts_once_and_a_foreign_one_not_at_all) {
  collected got;
  auto all = make(2, got);
  all->set(0, 1);
  all->set(0, 2);
  all->set(7, 3);
  BOOST_TEST(got.count == 0);
  all->set(1, 4);
  BOOST_REQUIRE(got.last);
  BOOST_TEST(*got.last == (std::vector<int>{1, 4}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
