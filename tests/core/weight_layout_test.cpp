// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/weight_layout.hpp"

#include <limits>

#include <boost/test/unit_test.hpp>

#include "support/why.hpp"
#include "troupe/core/transfer_plan.hpp"

using namespace troupe;

namespace {

using list = std::vector<std::int64_t>;

box make(const list& begin, const list& end) {
  auto out = box::make(begin, end);
  BOOST_REQUIRE_MESSAGE(out, test::why(out));
  return *out;
}

stored_tensor tensor(shape extents) {
  return {"w.local", dtype::float32, std::move(extents), {}};
}

} // namespace

BOOST_AUTO_TEST_SUITE(weight_layout)

BOOST_AUTO_TEST_CASE(a_region_has_the_extents_of_its_box) {
  auto region = local_region(tensor({8, 4}),
                             {"w", make({4, 8}, {6, 12}), {1, 0}});
  BOOST_REQUIRE(region);
  BOOST_TEST((*region == make({1, 0}, {3, 4})));
}

BOOST_AUTO_TEST_CASE(more_stored_dimensions_stand_in_front) {
  auto region = local_region(tensor({5, 2, 3}),
                             {"w", make({0, 0}, {2, 3}), {4, 0, 0}});
  BOOST_REQUIRE(region);
  BOOST_TEST((*region == make({4, 0, 0}, {5, 2, 3})));
  BOOST_TEST(local_region(tensor({1, 1}), {"w", box{}, {0, 0}}).has_value());
}

BOOST_AUTO_TEST_CASE(fewer_stored_dimensions_join_the_first_of_the_box) {
  auto flat = local_region(tensor({100}),
                           {"w", make({1, 0, 2}, {3, 4, 5}), {10}});
  BOOST_REQUIRE(flat);
  BOOST_TEST((*flat == make({10}, {34})));
  auto rows = local_region(tensor({20, 3}),
                           {"w", make({1, 0, 2}, {3, 4, 5}), {1, 0}});
  BOOST_REQUIRE(rows);
  BOOST_TEST((*rows == make({1, 0}, {9, 3})));
}

BOOST_AUTO_TEST_CASE(a_scalar_holds_one_element) {
  BOOST_TEST(local_region(tensor({}), {"w", make({3}, {4}), {}}).has_value());
  BOOST_TEST(!local_region(tensor({}), {"w", make({3}, {5}), {}}));
}

BOOST_AUTO_TEST_CASE(regions_outside_are_refused_by_name) {
  auto where = make({0}, {4});
  constexpr auto huge = std::numeric_limits<std::int64_t>::max();
  for (const auto& begin : std::vector<list>{{5}, {-1}, {huge}, {}, {0, 0}}) {
    auto bad = local_region(tensor({8}), {"w", where, begin});
    BOOST_REQUIRE(!bad);
    BOOST_TEST(bad.error().message().find("w.local") != std::string::npos);
    BOOST_TEST(bad.error().message().find("'w'") != std::string::npos);
  }
  BOOST_TEST(!local_region(tensor(shape(7, 1)), {"w", where, list(7, 0)}));
}

BOOST_AUTO_TEST_CASE(a_whole_segment_holds_all) {
  auto x = whole_segment("w", {2, 3});
  BOOST_REQUIRE(x);
  BOOST_TEST((x->where == make({0, 0}, {2, 3})));
  BOOST_TEST((x->local_begin == list{0, 0}));
  BOOST_TEST(!whole_segment("w", {-2}));
}

BOOST_AUTO_TEST_CASE(links_have_names) {
  BOOST_TEST(to_string(link_kind::inproc) == "inproc");
  BOOST_TEST(to_string(link_kind::shm) == "shm");
  BOOST_TEST(to_string(link_kind::gloo) == "gloo");
  BOOST_TEST(to_string(link_kind{}) == "unknown");
}

BOOST_AUTO_TEST_SUITE_END()
