// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/metric_watch.hpp"

#include <boost/test/unit_test.hpp>

#include <limits>

using namespace troupe;
using engine::metric_watch;

namespace {

using lines = std::vector<std::string>;

constexpr auto not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr auto infinity = std::numeric_limits<double>::infinity();

} // namespace

BOOST_AUTO_TEST_SUITE(engine_metric_watch)

BOOST_AUTO_TEST_CASE(finite_metrics_say_nothing) {
  metric_watch x;
  BOOST_TEST(x.look({}, 1).empty());
  BOOST_TEST(x.look({{"loss", 0.0},
                     {"kl", -0.0},
                     {"tiny", std::numeric_limits<double>::denorm_min()},
                     {"most", std::numeric_limits<double>::max()}},
                    1)
               .empty());
}

BOOST_AUTO_TEST_CASE(each_that_is_not_finite_is_named_with_its_episode) {
  metric_watch x;
  auto got = x.look({{"kl", infinity},
                     {"loss", -not_a_number},
                     {"norm", -infinity},
                     {"reward", 1}},
                    12);
  BOOST_TEST(got
               == (lines{"kl is infinite in episode 12",
                         "loss is nan in episode 12",
                         "norm is negative infinite in episode 12"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_stays_so_is_told_once_and_again_when_it_comes_back) {
  metric_watch x;
  BOOST_TEST(x.look({{"loss", not_a_number}}, 1).size() == 1u);
  BOOST_TEST(x.look({{"loss", infinity}}, 2).empty());
  BOOST_TEST(x.look({{"loss", not_a_number}, {"kl", not_a_number}}, 3)
               == (lines{"kl is nan in episode 3"}),
             boost::test_tools::per_element());
  BOOST_TEST(x.look({{"loss", 1}, {"kl", not_a_number}}, 4).empty());
  BOOST_TEST(x.look({{"loss", not_a_number}, {"kl", not_a_number}}, 5)
               == (lines{"loss is nan in episode 5"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
