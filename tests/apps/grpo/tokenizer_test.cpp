// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/tokenizer.hpp"

#include <stdexcept>

#include <boost/test/unit_test.hpp>

using namespace troupe;

BOOST_AUTO_TEST_SUITE(grpo_tokenizer)

BOOST_AUTO_TEST_CASE(text_comes_back_from_its_tokens) {
  grpo::tokenizer x{"37+58=95"};
  BOOST_TEST(x.alphabet() == "+35789=");
  BOOST_TEST(x.vocab_size() == 9);
  auto ids = x.encode("95=3+");
  BOOST_TEST(ids.size() == 5u);
  BOOST_TEST(x.decode(ids) == "95=3+");
}

BOOST_AUTO_TEST_CASE(decoding_stops_at_the_end_and_skips_pads) {
  grpo::tokenizer x{"ab"};
  using ids = std::vector<std::int64_t>;
  BOOST_TEST(x.decode(ids{0, 0, 2, 3, 1, 2, 0}) == "ab");
  BOOST_TEST(x.decode(ids{2, 99, -1}) == "a??");
  BOOST_TEST(x.decode(ids{}) == "");
}

BOOST_AUTO_TEST_CASE(unknown_characters_are_refused) {
  grpo::tokenizer x{"ab"};
  BOOST_CHECK_THROW((void) x.encode("abc"), std::invalid_argument);
  BOOST_CHECK_THROW((void) x.encode("\xc3\xa4"), std::invalid_argument);
  BOOST_CHECK_THROW(grpo::tokenizer{"a\n"}, std::invalid_argument);
  BOOST_CHECK_THROW(grpo::tokenizer{"\x80"}, std::invalid_argument);
  BOOST_TEST(grpo::tokenizer{}.vocab_size() == 2);
}

BOOST_AUTO_TEST_SUITE_END()
