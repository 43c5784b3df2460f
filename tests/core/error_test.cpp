// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/error.hpp"

#include <boost/test/unit_test.hpp>

using namespace troupe;

BOOST_AUTO_TEST_SUITE(error)

BOOST_AUTO_TEST_CASE(every_code_has_a_name_that_leads_back) {
  for (int i = 1; i <= 10; ++i) {
    auto code = static_cast<errc>(i);
    auto name = to_string(code);
    BOOST_TEST(name != "unknown");
    errc back{};
    BOOST_TEST(from_string(name, back));
    BOOST_TEST((back == code));
  }
}

BOOST_AUTO_TEST_CASE(a_foreign_code_is_unknown_and_not_a_crash) {
  BOOST_TEST(to_string(static_cast<errc>(0)) == "unknown");
  BOOST_TEST(to_string(static_cast<errc>(200)) == "unknown");
  errc back{};
  BOOST_TEST(!from_string("nonsense", back));
}

BOOST_AUTO_TEST_CASE(within_keeps_the_code_and_says_where) {
  auto inner = troupe::error{errc::lost, "rank 3 is gone"};
  auto outer = inner.within("sync a2b");
  BOOST_TEST((outer.code() == errc::lost));
  BOOST_TEST(outer.message() == "sync a2b: rank 3 is gone");
  BOOST_TEST(to_string(outer) == "lost: sync a2b: rank 3 is gone");
}

BOOST_AUTO_TEST_SUITE_END()
