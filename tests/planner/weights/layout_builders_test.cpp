// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/layout_builders.hpp"

#include <boost/test/unit_test.hpp>

#include "planner/weights/sample_layouts.hpp"
#include "support/weight_memory.hpp"

using namespace troupe;
using namespace troupe::planner::weights;
using test::good;
using test::make_box;

namespace {

constexpr auto f32 = dtype::float32;

using rows = std::vector<std::pair<std::string, std::int64_t>>;

/// For each row of a stored tensor the logical tensor and row that it holds;
/// nothing for padding.
rows rows_of(const stored_tensor& x) {
  rows out(static_cast<std::size_t>(x.extents.at(0)));
  auto width = x.extents.size() > 1 ? x.extents[1] : 1;
  for (const auto& segment : x.segments) {
    auto positions = test::element_positions(x, segment);
    auto logical = test::elements_of(segment.where);
    for (std::size_t i = 0; i < positions.size(); ++i)
      out.at(static_cast<std::size_t>(
        positions[i] / width)) = {segment.logical, logical[i].at(0)};
  }
  return out;
}

std::string text_of(const stored_tensor& x) {
  std::string out;
  for (const auto& [name, row] : rows_of(x))
    out += (out.empty() ? "" : " ")
           + (name.empty() ? "-" : name + std::to_string(row));
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(layout_builders)

BOOST_AUTO_TEST_CASE(parts_cover_an_extent) {
  for (std::int64_t extent : {0, 1, 7, 8, 9})
    for (std::int64_t count : {1, 3, 8, 20}) {
      std::int64_t even = 0;
      std::int64_t chunk = 0;
      for (std::int64_t i = 0; i < count; ++i) {
        auto a = even_part(extent, {i, count});
        auto b = chunk_part(extent, {i, count});
        BOOST_TEST(a.begin == even);
        BOOST_TEST(b.begin == chunk);
        even = a.end;
        chunk = b.end;
      }
      BOOST_TEST(even == extent);
      BOOST_TEST(chunk == extent);
    }
  // torch.chunk(7, 4): 2, 2, 2, 1.
  BOOST_TEST(chunk_part(7, {3, 4}).size() == 1);
}

BOOST_AUTO_TEST_CASE(column_and_row_parallel) {
  auto column = good(sliced_tensor("c", {"w", {8, 4}}, f32, 0, {2, 4}));
  BOOST_TEST((column.extents == shape{2, 4}));
  BOOST_TEST((column.segments[0].where == make_box({2, 0}, {4, 4})));
  auto row = good(sliced_tensor("r", {"w", {8, 4}}, f32, 1, {3, 4}));
  BOOST_TEST((row.extents == shape{8, 1}));
  BOOST_TEST((row.segments[0].where == make_box({0, 3}, {8, 4})));
  BOOST_TEST(!sliced_tensor("x", {"w", {8, 4}}, f32, 2, {0, 1}));
  BOOST_TEST(!sliced_tensor("x", {"w", {8, 4}}, f32, 0, {4, 9}));
}

BOOST_AUTO_TEST_CASE(flat_elements_are_few_boxes_in_order) {
  logical_tensor x{"w", {3, 4, 5}};
  for (std::int64_t begin = 0; begin <= 60; ++begin)
    for (auto end = begin; end <= 60; ++end) {
      auto segments = good(flat_segments(x, {begin, end}, 7));
      BOOST_TEST(segments.size() <= 5u);
      // The boxes one after the other are the elements in order.
      auto next = begin;
      for (const auto& segment : segments) {
        BOOST_TEST(segment.local_begin[0] == 7 + next - begin);
        for (const auto& at : test::elements_of(segment.where))
          BOOST_REQUIRE(at[0] * 20 + at[1] * 5 + at[2] == next++);
      }
      BOOST_TEST(next == end);
    }
  BOOST_TEST(!flat_segments(x, {0, 61}, 0));
}

BOOST_AUTO_TEST_CASE(flat_shards_join_tensors_and_pad_the_last) {
  std::vector<logical_tensor> tensors{{"a", {3}}, {"b", {2, 2}}};
  BOOST_TEST(text_of(good(flat_shard("f", tensors, f32, {0, 2})))
             == "a0 a1 a2 b0");
  BOOST_TEST(text_of(good(flat_shard("f", tensors, f32, {1, 2})))
             == "b0 b1 b1 -");
  auto empty = good(flat_shard("f", tensors, f32, {4, 5}));
  BOOST_TEST((empty.extents == shape{2}));
  BOOST_TEST(empty.segments.empty());
}

BOOST_AUTO_TEST_CASE(fused_qkv_in_both_orders) {
  qkv_heads x{"q", "k", "v", 4, 2, 1, {3}};
  auto at = [&](std::int64_t i, std::int64_t n, qkv_order order) {
    return text_of(good(fused_qkv("qkv", x, f32, {i, n}, order)));
  };
  BOOST_TEST(at(0, 1, qkv_order::blocks) == "q0 q1 q2 q3 k0 k1 v0 v1");
  BOOST_TEST(at(0, 1, qkv_order::groups) == "q0 q1 k0 v0 q2 q3 k1 v1");
  BOOST_TEST(at(1, 2, qkv_order::blocks) == "q2 q3 k1 v1");
  BOOST_TEST(at(1, 2, qkv_order::groups) == "q2 q3 k1 v1");
  // More ranks than heads of keys and values: ranks 2 and 3 hold head 1.
  BOOST_TEST(at(2, 4, qkv_order::blocks) == "q2 k1 v1");
  BOOST_TEST(at(3, 4, qkv_order::groups) == "q3 k1 v1");
  BOOST_TEST(!fused_qkv("qkv", x, f32, {0, 3}, qkv_order::blocks));
  qkv_heads bias{"q", "k", "v", 2, 1, 2, {}};
  BOOST_TEST(text_of(good(fused_qkv("b", bias, f32, {0, 1}, qkv_order::groups)))
             == "q0 q1 q2 q3 k0 k1 v0 v1");
}

BOOST_AUTO_TEST_CASE(gate_and_up_lie_behind_each_other) {
  std::vector<logical_tensor> x{{"g", {4, 2}}, {"u", {4, 2}}};
  BOOST_TEST(text_of(good(fused_rows("gu", x, f32, {1, 2}))) == "g2 g3 u2 u3");
  x[1].extents = {4, 3};
  BOOST_TEST(!fused_rows("gu", x, f32, {0, 1}));
}

BOOST_AUTO_TEST_CASE(padding_is_in_no_segment) {
  logical_tensor x{"e", {5, 2}};
  BOOST_TEST(text_of(good(padded_rows("w", x, f32, 8, {1, 2}))) == "e4 - - -");
  BOOST_TEST(good(padded_rows("w", x, f32, 12, {2, 3})).segments.empty());
  BOOST_TEST(!padded_rows("w", x, f32, 7, {0, 2}));
  BOOST_TEST(!padded_rows("w", x, f32, 4, {0, 2}));
}

BOOST_AUTO_TEST_CASE(experts_are_stacked) {
  auto x = good(stacked_tensor("e", {{"e4", {2, 3}}, {"e5", {2, 3}}}, f32));
  BOOST_TEST((x.extents == shape{2, 2, 3}));
  BOOST_TEST(
    (*local_region(x, x.segments[1]) == make_box({1, 0, 0}, {2, 2, 3})));
  BOOST_TEST(!stacked_tensor("e", {{"a", {2}}, {"b", {3}}}, f32));
}

BOOST_AUTO_TEST_CASE(replicas_count_on) {
  weight_layout x{"m", {}};
  x.ranks.resize(2);
  auto two = replicated(x, 3);
  seat(two, 4, 1);
  BOOST_REQUIRE(two.ranks.size() == 6u);
  BOOST_TEST((two.ranks[5].rank == rank_id{5}));
  BOOST_TEST((two.ranks[5].node == node_id{2}));
  BOOST_TEST((two.ranks[5].device == device_id{9}));
}

BOOST_AUTO_TEST_SUITE_END()
