// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/nearest.hpp"

#include <boost/test/unit_test.hpp>

using namespace troupe::config;

BOOST_AUTO_TEST_SUITE(nearest)

BOOST_AUTO_TEST_CASE(distances_count_slips_of_the_keyboard) {
  BOOST_TEST(edit_distance("", "") == 0u);
  BOOST_TEST(edit_distance("", "abc") == 3u);
  BOOST_TEST(edit_distance("kitten", "sitting") == 3u);
  BOOST_TEST(edit_distance("seed", "sede") == 1u);
  BOOST_TEST(edit_distance("num_gpus", "num_gpu") == 1u);
}

BOOST_AUTO_TEST_CASE(the_nearest_candidate_is_what_was_meant) {
  std::vector<std::string> keys{"num_cpu", "num_gpu", "seed", "num_episode"};
  auto meant = [&](const char* typed) {
    return troupe::config::nearest(typed, keys).value_or("-");
  };
  BOOST_TEST(meant("num_gpus") == "num_gpu");
  BOOST_TEST(meant("NUM-GPU") == "num_gpu");
  BOOST_TEST(meant("sede") == "seed");
  BOOST_TEST(meant("num_episodes") == "num_episode");
  BOOST_TEST(meant("num_epi") == "num_episode");
  BOOST_TEST(meant("learning_rate") == "-");
  BOOST_TEST(meant("") == "-");
  BOOST_TEST(meant("x") == "-");
}

BOOST_AUTO_TEST_CASE(very_long_names_are_not_compared) {
  std::vector<std::string> keys{"seed"};
  BOOST_TEST(
    !troupe::config::nearest(std::string(100000, 's'), keys).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
