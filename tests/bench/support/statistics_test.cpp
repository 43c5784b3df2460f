// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/support/statistics.hpp"

#include <numeric>

#include <boost/test/unit_test.hpp>

using namespace troupe::bench;

BOOST_AUTO_TEST_SUITE(support_statistics)

BOOST_AUTO_TEST_CASE(quantiles_are_samples_by_nearest_rank) {
  std::vector<double> xs(100);
  std::iota(xs.rbegin(), xs.rend(), 1.);
  auto x = summarize(xs);
  BOOST_TEST(x.min == 1);
  BOOST_TEST(x.median == 50);
  BOOST_TEST(x.p99 == 99);
  BOOST_TEST(x.max == 100);
  BOOST_TEST(quantile(xs, 0.25) == 25);
}

BOOST_AUTO_TEST_CASE(few_samples_do_not_invent_a_tail) {
  auto x = summarize({3, 1, 2});
  BOOST_TEST(x.median == 2);
  BOOST_TEST(x.p99 == 3);
  BOOST_TEST(quantile({7}, 0) == 7);
}

BOOST_AUTO_TEST_CASE(no_samples_are_zeros) {
  auto x = summarize({});
  BOOST_TEST(x.min == 0);
  BOOST_TEST(x.median == 0);
  BOOST_TEST(x.max == 0);
}

BOOST_AUTO_TEST_CASE(fractions_outside_of_the_range_are_its_ends) {
  BOOST_TEST(quantile({1, 2, 3}, -1) == 1);
  BOOST_TEST(quantile({1, 2, 3}, 2) == 3);
}

BOOST_AUTO_TEST_SUITE_END()
