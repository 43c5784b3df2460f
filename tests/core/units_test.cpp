// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/units.hpp"

#include <boost/test/unit_test.hpp>

#include "troupe/core/deadline.hpp"
#include "troupe/core/ids.hpp"

using namespace troupe;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(units)

BOOST_AUTO_TEST_CASE(bytes_read_well) {
  BOOST_TEST(format_bytes(0) == "0 B");
  BOOST_TEST(format_bytes(1023) == "1023 B");
  BOOST_TEST(format_bytes(1536) == "1.5 KiB");
  BOOST_TEST(format_bytes(mib - 1) == "1.0 MiB");
  BOOST_TEST(format_bytes(3 * gib) == "3.0 GiB");
}

BOOST_AUTO_TEST_CASE(durations_read_well) {
  BOOST_TEST(format_duration(850us) == "850 us");
  BOOST_TEST(format_duration(12300us) == "12.3 ms");
  BOOST_TEST(format_duration(4200ms) == "4.2 s");
  BOOST_TEST(format_duration(185s) == "3 min 05 s");
}

BOOST_AUTO_TEST_CASE(counts_have_separators) {
  BOOST_TEST(format_count(0) == "0");
  BOOST_TEST(format_count(999) == "999");
  BOOST_TEST(format_count(6600) == "6,600");
  BOOST_TEST(format_count(1234567) == "1,234,567");
}

BOOST_AUTO_TEST_CASE(deadlines_follow_the_clock_that_was_handed_in) {
  manual_clock clock;
  auto until = deadline::after(100ms, clock);
  BOOST_TEST(!until.passed());
  BOOST_TEST((until.left() == 100ms));
  clock.advance(99ms + 1us);
  BOOST_TEST((until.left_ms() == 1ms));
  BOOST_TEST((until.at_most(1s).when() == until.when()));
  BOOST_TEST((until.at_most(10us).left() == 10us));
  clock.advance(1s);
  BOOST_TEST(until.passed());
  BOOST_TEST((until.left() == duration::zero()));
}

BOOST_AUTO_TEST_CASE(ids_of_two_kinds_do_not_convert) {
  static_assert(!std::is_convertible_v<rank_id, device_id>);
  static_assert(!std::is_convertible_v<int, rank_id>);
  BOOST_TEST((rank_id{1}.next() == rank_id{2}));
  BOOST_TEST(to_string(rank_id{7}) == "7");
}

BOOST_AUTO_TEST_SUITE_END()
