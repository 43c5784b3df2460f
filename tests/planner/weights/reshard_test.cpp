// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/reshard.hpp"

#include <algorithm>

#include <boost/test/unit_test.hpp>

#include "planner/weights/sample_layouts.hpp"
#include "troupe/planner/weights/figures.hpp"
#include "troupe/planner/weights/flows.hpp"
#include "troupe/planner/weights/load_leveler.hpp"
#include "troupe/planner/weights/verify.hpp"

using namespace troupe;
using namespace troupe::planner::weights;
using test::good;
using test::make_box;
using test::single_tensor;

namespace {

using parts = std::vector<std::pair<std::size_t, slice>>;

/// `n` ranks that hold all.
parts copies(std::size_t n) {
  return parts(n, {0, {0, 1}});
}

shared_layout shared(weight_layout x) {
  return good(shared_layout::make(std::move(x)));
}

/// A layout on nodes of their own, so that every link is the same.
shared_layout far(weight_layout x, std::int32_t first_node) {
  seat(x, 1, first_node);
  return shared(std::move(x));
}

void require_sound(const transfer_plan& plan, const shared_layout& from,
                   const shared_layout& to) {
  auto problems = verify(plan, from, to);
  BOOST_TEST(problems.empty(), (problems.empty() ? "" : problems.front()));
  BOOST_TEST(measure(plan, from, to).bytes_total == lower_bound(from, to));
}

} // namespace

BOOST_AUTO_TEST_SUITE(resharding)

BOOST_AUTO_TEST_CASE(column_to_row_parallel) {
  auto from = far(single_tensor("a", {4, 4}, {{0, {0, 2}}, {0, {1, 2}}}), 0);
  auto to = far(single_tensor("b", {4, 4}, {{1, {0, 2}}, {1, {1, 2}}}), 2);
  auto plan = reshard(from, to);
  require_sound(plan, from, to);
  BOOST_REQUIRE(plan.transfers.size() == 4u);
  BOOST_TEST((plan.transfers[0].where == make_box({0, 0}, {2, 2})));
  BOOST_TEST((plan.logical == std::vector<std::string>{"w"}));
}

BOOST_AUTO_TEST_CASE(one_box_for_many_is_one_transfer) {
  auto from = far(single_tensor("a", {4, 4}, copies(1)), 0);
  auto to = far(single_tensor("b", {4, 4}, copies(5)), 1);
  auto plan = reshard(from, to);
  require_sound(plan, from, to);
  BOOST_REQUIRE(plan.transfers.size() == 1u);
  BOOST_TEST(plan.transfers[0].destinations.size() == 5u);
}

BOOST_AUTO_TEST_CASE(the_nearest_source_sends) {
  auto source = single_tensor("a", {4, 4}, copies(3));
  seat(source, 1);
  auto destination = single_tensor("b", {4, 4}, copies(3));
  // The device of source 0; the node of source 1; a node without a source.
  const std::pair<int, int> seats[] = {{0, 0}, {1, 7}, {9, 9}};
  for (std::size_t i = 0; i < 3; ++i) {
    destination.ranks[i].node = node_id{seats[i].first};
    destination.ranks[i].device = device_id{seats[i].second};
  }
  auto from = shared(source);
  auto to = shared(destination);
  auto plan = reshard(from, to);
  require_sound(plan, from, to);
  BOOST_REQUIRE(plan.transfers.size() == 3u);
  const link_kind links[] = {link_kind::inproc, link_kind::shm,
                             link_kind::gloo};
  for (std::int32_t i = 0; i < 3; ++i) {
    auto found = std::ranges::find_if(plan.transfers, [&](const auto& x) {
      return x.destinations.front() == rank_id{i};
    });
    BOOST_REQUIRE((found != plan.transfers.end()));
    // The last is served by the one that has nothing to do.
    BOOST_TEST((found->source == rank_id{i}));
    BOOST_TEST((found->link == links[i]));
  }
}

BOOST_AUTO_TEST_CASE(copies_share_the_load) {
  for (std::size_t sources : {1, 2, 3, 4, 7})
    for (std::size_t destinations : {1, 2, 3, 8}) {
      auto from = far(single_tensor("a", {64, 96}, copies(sources)), 0);
      auto to = far(single_tensor("b", {64, 96}, copies(destinations)), 10);
      auto plan = reshard(from, to);
      require_sound(plan, from, to);
      auto figures = measure(plan, from, to);
      auto fair = figures.bytes_total / sources;
      BOOST_TEST(figures.max_bytes_sent <= fair + fair / 32 + 512);
    }
}

BOOST_AUTO_TEST_CASE(a_float_source_feeds_a_bfloat_destination) {
  auto from = far(single_tensor("a", {4, 4}, copies(1)), 0);
  auto to = far(single_tensor("b", {4, 4}, copies(1), dtype::bfloat16), 1);
  BOOST_TEST(measure(reshard(from, to), from, to).bytes_total == 32u);
  BOOST_TEST(measure(reshard(to, from), to, from).bytes_total == 32u);
}

BOOST_AUTO_TEST_CASE(equal_ranks_share_a_part) {
  auto x = single_tensor("a", {4, 4}, copies(100));
  auto layout = shared(x);
  BOOST_TEST(layout.parts().size() == 1u);
  BOOST_TEST(layout.ranks().size() == 100u);
}

BOOST_AUTO_TEST_CASE(boxes_of_many_sources_meet) {
  // Rows of thirteen sources and columns of two that hold all as well.
  parts cuts;
  for (std::int64_t i = 0; i < 13; ++i)
    cuts.push_back({0, {i, 13}});
  cuts.push_back({1, {0, 2}});
  cuts.push_back({1, {1, 2}});
  auto from = far(single_tensor("a", {39, 10}, cuts), 0);
  auto to = far(single_tensor("b", {39, 10}, copies(2)), 20);
  require_sound(reshard(from, to), from, to);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_counted_is_refused) {
  constexpr std::int64_t huge = std::int64_t{1} << 60;
  auto x = single_tensor("a", {huge}, copies(1));
  BOOST_TEST(!shared_layout::make(x)); // More bytes than can be counted.
  x.ranks[0].tensors[0].type = dtype::uint8;
  BOOST_TEST(shared_layout::make(x).has_value());
  auto many = replicated(x, 5);
  auto bad = shared_layout::make(many);
  BOOST_REQUIRE(!bad);
  BOOST_TEST(bad.error().message().find("rank 3") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(levels_rise_together) {
  load_leveler leveler{4};
  auto none = [](auto...) {};
  const std::uint32_t first[] = {0};
  const std::uint32_t all[] = {0, 1, 2, 3};
  const level_item heavy[] = {{make_box({0}, {4000}), 4, 1}};
  const level_item light[] = {{make_box({0, 0}, {40, 30}), 4, 3},
                              {make_box({0, 0}, {80, 30}), 4, 1}};
  leveler.assign(first, heavy, none);
  leveler.assign(all, light, none);
  // 16,000 bytes are there already; 24,000 rise on three others.
  BOOST_TEST(leveler.loads()[0] == 16000u);
  for (std::size_t i = 1; i < 4; ++i) {
    BOOST_TEST(leveler.loads()[i] >= 7600u);
    BOOST_TEST(leveler.loads()[i] <= 8400u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
