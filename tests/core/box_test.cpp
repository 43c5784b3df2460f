// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/box.hpp"

#include <limits>

#include <boost/test/unit_test.hpp>

#include "support/why.hpp"

using namespace troupe;

namespace {

using list = std::vector<std::int64_t>;

troupe::box make(const list& begin, const list& end) {
  auto out = troupe::box::make(begin, end);
  BOOST_REQUIRE_MESSAGE(out, test::why(out));
  return *out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(box)

BOOST_AUTO_TEST_CASE(a_box_counts_its_elements) {
  BOOST_TEST(make({0, 8}, {4, 16}).size() == 32);
  BOOST_TEST(make({}, {}).size() == 1);
  BOOST_TEST(make({3}, {3}).empty());
  BOOST_TEST(to_string(make({0, 8}, {4, 16})) == "[0:4, 8:16]");
  BOOST_TEST(to_string(troupe::box{}) == "[]");
}

BOOST_AUTO_TEST_CASE(what_is_no_box_is_refused) {
  constexpr auto huge = std::numeric_limits<std::int64_t>::max();
  BOOST_TEST(!troupe::box::make(list{0}, list{1, 2}));
  BOOST_TEST(!troupe::box::make(list{-1}, list{1}));
  BOOST_TEST(!troupe::box::make(list{2}, list{1}));
  BOOST_TEST(!troupe::box::make(list(7, 0), list(7, 1)));
  BOOST_TEST(!troupe::box::make(list{0, 0}, list{huge, 2}));
  BOOST_TEST(!troupe::box::make(list{0, 0, 0}, list{0, huge, huge}));
  BOOST_TEST(!troupe::box::whole({2, -1}));
  BOOST_TEST(!troupe::box::whole(shape(7, 1)));
  auto bad = troupe::box::make(list{0, 5}, list{1, 4});
  BOOST_REQUIRE(!bad);
  BOOST_TEST(bad.error().message().find("dimension 1") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(boxes_intersect) {
  auto a = make({0, 0}, {4, 4});
  auto b = make({2, 3}, {6, 8});
  BOOST_TEST((a.intersection(b) == make({2, 3}, {4, 4})));
  BOOST_TEST(!a.intersection(make({4, 0}, {5, 4})));
  BOOST_TEST(!a.intersection(make({0}, {4})));
  BOOST_TEST(!a.intersection(make({1, 1}, {1, 4})));
  BOOST_TEST((troupe::box{}.intersection(troupe::box{}) == troupe::box{}));
  BOOST_TEST(a.contains(make({1, 1}, {4, 2})));
  BOOST_TEST(!a.contains(b));
  BOOST_TEST(!a.contains(make({0}, {4})));
  BOOST_TEST((a.part(1, {1, 3}) == make({0, 1}, {4, 3})));
}

BOOST_AUTO_TEST_SUITE_END()
