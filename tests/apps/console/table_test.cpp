// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/table.hpp"

#include <boost/test/unit_test.hpp>

using namespace troupe::console;

BOOST_AUTO_TEST_SUITE(table)

BOOST_AUTO_TEST_CASE(columns_are_aligned_and_lines_end_with_their_text) {
  troupe::console::table uut{{"name", "count"}, {align::left, align::right}};
  BOOST_TEST(uut.empty());
  uut.add({"a", "1"});
  uut.add({"longer name", "1,234"});
  uut.add({"cut short"});
  BOOST_TEST(uut.render()
             == "name         count\n"
                "-----------  -----\n"
                "a                1\n"
                "longer name  1,234\n"
                "cut short\n");
}

BOOST_AUTO_TEST_CASE(no_header_means_no_rule) {
  troupe::console::table uut{{"", ""}};
  uut.add({"a", "b"});
  BOOST_TEST(uut.render(80, 2) == "  a  b\n");
}

BOOST_AUTO_TEST_CASE(the_widest_text_gives_way_numbers_do_not) {
  troupe::console::table uut{{"pid", "models"}, {align::right, align::left}};
  uut.add({"1234567", "policy_trainer, policy, reference"});
  BOOST_TEST(uut.render(24)
             == "    pid  models\n"
                "-------  ---------------\n"
                "1234567  policy_train...\n");
}

BOOST_AUTO_TEST_CASE(foreign_text_and_wide_characters_keep_the_columns) {
  troupe::console::table uut{{"a", "b"}};
  uut.add({"日本", "x"});
  uut.add({"\x1b[2J", "y"});
  BOOST_TEST(uut.render(80, 0, true)
             == "a     b\n"
                "────  ─\n"
                "日本  x\n"
                "?[2J  y\n");
}

BOOST_AUTO_TEST_SUITE_END()
