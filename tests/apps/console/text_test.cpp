// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/text.hpp"

#include <random>

#include <boost/test/unit_test.hpp>

#include "support/random_seed.hpp"

using namespace troupe::console;

BOOST_AUTO_TEST_SUITE(text)

BOOST_AUTO_TEST_CASE(widths_are_those_of_a_terminal) {
  BOOST_TEST(display_width("") == 0u);
  BOOST_TEST(display_width("plain") == 5u);
  BOOST_TEST(display_width("grün") == 4u);
  BOOST_TEST(display_width("e\u0301") == 1u);
  BOOST_TEST(display_width("日本") == 4u);
  BOOST_TEST(display_width("\x1b[1;31mred\x1b[0m") == 3u);
  BOOST_TEST(display_width("\xff") == 1u);
}

BOOST_AUTO_TEST_CASE(foreign_text_cannot_disturb_a_terminal) {
  BOOST_TEST(printable("a\x1b[2Jb") == "a?[2Jb");
  BOOST_TEST(printable("a\nb\tc\rd") == "a b c d");
  BOOST_TEST(printable("\x7f\x01") == "??");
  BOOST_TEST(printable("\u009b31m") == "?31m");
  BOOST_TEST(printable("grün 日本") == "grün 日本");
  // Cut, overlong, surrogate, beyond the last character.
  BOOST_TEST(printable("\xc3") == "?");
  BOOST_TEST(printable("\xc0\xaf") == "??");
  BOOST_TEST(printable("\xed\xa0\x80") == "???");
  BOOST_TEST(printable("\xf4\x90\x80\x80") == "????");
}

BOOST_AUTO_TEST_CASE(long_text_is_cut_between_characters) {
  BOOST_TEST(fit("short", 5) == "short");
  BOOST_TEST(fit("longer", 5) == "lo...");
  BOOST_TEST(fit("日本語日本語", 8) == "日本...");
  BOOST_TEST(fit("longer", 2) == "..");
  BOOST_TEST(fit("longer", 0) == "");
}

BOOST_AUTO_TEST_CASE(paragraphs_are_broken_at_blanks) {
  std::vector<std::string> wanted{"the quick", "brown fox", "", "jumps"};
  BOOST_TEST(wrap("the quick brown  fox\n\njumps", 10) == wanted,
             boost::test_tools::per_element());
  wanted = {"a", "incomprehensible", "b"};
  BOOST_TEST(wrap("a incomprehensible b", 8) == wanted,
             boost::test_tools::per_element());
  wanted = {""};
  BOOST_TEST(wrap("", 8) == wanted, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(random_bytes_stay_within_their_columns) {
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 random{seed};
  for (auto round = 0; round < 5000; ++round) {
    std::string bytes(random() % 40, ' ');
    for (auto& ch : bytes)
      ch = static_cast<char>(random());
    auto clean = printable(bytes);
    BOOST_REQUIRE(printable(clean) == clean);
    auto columns = random() % 20;
    BOOST_REQUIRE(display_width(fit(clean, columns)) <= columns);
  }
}

BOOST_AUTO_TEST_SUITE_END()
