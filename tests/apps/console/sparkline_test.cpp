// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/sparkline.hpp"

#include <cmath>
#include <limits>

#include <boost/test/unit_test.hpp>

using namespace troupe::console;

BOOST_AUTO_TEST_SUITE(sparkline)

BOOST_AUTO_TEST_CASE(heights_follow_the_values) {
  std::vector<double> values{0, 1, 2, 3, 4, 5, 6, 7};
  BOOST_TEST(troupe::console::sparkline(values, 8, true) == "▁▂▃▄▅▆▇█");
  BOOST_TEST(troupe::console::sparkline(values, 8, false) == "_.-~=+*#");
  BOOST_TEST(troupe::console::sparkline(values, 2, false) == "_#");
  BOOST_TEST(troupe::console::sparkline(values, 0, false) == "");
  BOOST_TEST(troupe::console::sparkline({}, 8, false) == "");
}

BOOST_AUTO_TEST_CASE(equal_values_lie_low) {
  std::vector<double> values{3, 3, 3};
  BOOST_TEST(troupe::console::sparkline(values, 8, false) == "___");
}

BOOST_AUTO_TEST_CASE(bars_are_as_long_as_their_share) {
  BOOST_TEST(bar(0, 4, false) == "----");
  BOOST_TEST(bar(0.5, 4, false) == "##--");
  BOOST_TEST(bar(1, 4, false) == "####");
  BOOST_TEST(bar(7, 4, false) == "####");
  BOOST_TEST(bar(-1, 4, false) == "----");
  BOOST_TEST(bar(std::nan(""), 4, false) == "----");
}

BOOST_AUTO_TEST_CASE(a_long_course_is_kept_in_bounded_memory) {
  history uut;
  uut.push(std::numeric_limits<double>::infinity());
  uut.push(std::nan(""));
  BOOST_TEST(uut.values().empty());
  for (auto i = 0; i < 100000; ++i)
    uut.push(i);
  BOOST_TEST(uut.values().size() <= 1024u);
  BOOST_TEST(uut.values().size() >= 512u);
  BOOST_TEST(std::is_sorted(uut.values().begin(), uut.values().end()));
  BOOST_TEST(uut.values().back() > 99000);
}

BOOST_AUTO_TEST_SUITE_END()
