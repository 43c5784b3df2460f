// SPDX-License-Identifier: Apache-2.0
// What the source holds and nobody takes.
#include "troupe/planner/weights/unclaimed.hpp"

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "planner/weights/sample_layouts.hpp"
#include "troupe/planner/weights/reshard.hpp"
#include "troupe/planner/weights/verify.hpp"

using namespace troupe;
using namespace troupe::planner::weights;
using test::good;
using test::single_tensor;

namespace {

using names = std::vector<std::string>;

/// Two halves of "w" that become a whole one.
struct fixture {
  weight_layout source = single_tensor("a", {4, 8}, {{0, {0, 2}}, {0, {1, 2}}});
  weight_layout destination = single_tensor("b", {4, 8}, {{0, {0, 1}}});

  /// A whole tensor more, which the model calls `stored`.
  static void add(weight_layout& to, std::size_t rank,
                  const std::string& logical, const std::string& stored,
                  const shape& extents = {3}) {
    to.ranks.at(rank).tensors.push_back(
      {stored,
       dtype::float32,
       extents,
       {good(whole_segment(logical, extents))}});
  }

  unclaimed_tensors found() const {
    auto from = good(shared_layout::make(source));
    auto to = good(shared_layout::make(destination));
    // Nothing is wrong with the plan.
    BOOST_TEST(verify(reshard(from, to), from, to).empty());
    return unclaimed(from, to);
  }

  std::string text() const {
    return unclaimed_text(good(shared_layout::make(source)),
                          good(shared_layout::make(destination)));
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(weights_unclaimed, fixture)

BOOST_AUTO_TEST_CASE(what_is_taken_is_not_named) {
  auto x = found();
  BOOST_TEST(x.names.empty());
  BOOST_TEST(x.held == 1u);
  BOOST_TEST(text().empty());
}

BOOST_AUTO_TEST_CASE(what_nobody_stores_is_named_once_whoever_holds_it) {
  add(source, 0, "lora_A", "lora_A");
  add(source, 1, "lora_A", "lora_A");
  add(source, 1, "lora_B", "lora_B");
  auto x = found();
  BOOST_TEST(x.names == (names{"lora_A", "lora_B"}),
             boost::test_tools::per_element());
  BOOST_TEST(x.held == 3u);
  BOOST_TEST(text()
             == "2 of 3 tensors of a go nowhere, because b has none of that "
                "name: 'lora_A', 'lora_B'");
}

BOOST_AUTO_TEST_CASE(of_many_the_first_are_named) {
  for (auto i = 0; i < 6; ++i)
    add(source, 0, fmt::format("t{}", i), fmt::format("t{}", i));
  BOOST_TEST(text()
             == "6 of 7 tensors of a go nowhere, because b has none of that "
                "name: 't0', 't1', 't2', 't3' and 2 more");
}

BOOST_AUTO_TEST_CASE(logical_names_count_not_those_they_are_stored_under) {
  add(source, 0, "head", "lm_head");
  add(destination, 0, "head", "tied_head");
  BOOST_TEST(found().names.empty());
}

BOOST_AUTO_TEST_CASE(tensors_without_elements_do_not_count) {
  add(source, 0, "empty", "empty", {0, 4});
  auto x = found();
  BOOST_TEST(x.names.empty());
  BOOST_TEST(x.held == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
