// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/parallel_layout.hpp"

#include <boost/test/unit_test.hpp>

#include <random>
#include <set>

#include "support/random_seed.hpp"
#include "support/why.hpp"

using namespace troupe;
using namespace troupe::planner;

namespace {

using table = std::vector<std::vector<int>>;

table plain(const rank_groups& groups) {
  table out;
  for (const auto& group : groups) {
    out.emplace_back();
    for (auto rank : group)
      out.back().push_back(rank.value());
  }
  return out;
}

planner::parallel_layout layout_of(std::int64_t world, layout_request request,
                                   rank_order order) {
  auto x = planner::parallel_layout::make_for_world(world, request, order);
  BOOST_REQUIRE_MESSAGE(x, test::why(x));
  return *x;
}

/// Every rank exactly once, groups ordered by first rank, ranks ascending.
void check_partition(const rank_groups& groups, std::int32_t world) {
  std::set<std::int32_t> seen;
  rank_id before{-1};
  for (const auto& group : groups) {
    BOOST_REQUIRE(!group.empty());
    BOOST_REQUIRE((group.front() > before));
    before = group.front();
    BOOST_REQUIRE(std::is_sorted(group.begin(), group.end()));
    for (auto rank : group) {
      BOOST_REQUIRE(rank.value() >= 0 && rank.value() < world);
      BOOST_REQUIRE(seen.insert(rank.value()).second);
    }
  }
  BOOST_REQUIRE_EQUAL(seen.size(), static_cast<std::size_t>(world));
}

constexpr std::array all_dimensions{
  dimension::tensor,      dimension::pipeline, dimension::data,
  dimension::context,     dimension::expert,   dimension::expert_tensor,
  dimension::expert_data,
};

} // namespace

BOOST_AUTO_TEST_SUITE(parallel_layout)

BOOST_AUTO_TEST_CASE(megatron_has_the_groups_of_its_documentation) {
  // 16 GPUs, tensor 2, pipeline 4: the example in Megatron's parallel_state.
  auto x = layout_of(16, {2, 4}, rank_order::megatron);
  BOOST_TEST((plain(x.groups(dimension::tensor))
              == table{{0, 1},
                       {2, 3},
                       {4, 5},
                       {6, 7},
                       {8, 9},
                       {10, 11},
                       {12, 13},
                       {14, 15}}));
  BOOST_TEST((plain(x.groups(dimension::data))
              == table{{0, 2},
                       {1, 3},
                       {4, 6},
                       {5, 7},
                       {8, 10},
                       {9, 11},
                       {12, 14},
                       {13, 15}}));
  BOOST_TEST(
    (plain(x.groups(dimension::pipeline))
     == table{{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15}}));
  BOOST_TEST(
    (plain(*x.groups({dimension::tensor, dimension::pipeline}))
     == table{{0, 1, 4, 5, 8, 9, 12, 13}, {2, 3, 6, 7, 10, 11, 14, 15}}));
  BOOST_TEST(
    (plain(x.embedding_groups()) == table{{0, 12}, {1, 13}, {2, 14}, {3, 15}}));
}

BOOST_AUTO_TEST_CASE(vllm_has_the_groups_of_its_documentation) {
  // 8 GPUs, tensor 2, pipeline 4: the example in vLLM's parallel_state.
  auto x = layout_of(8, {2, 4}, rank_order::vllm);
  BOOST_TEST((plain(x.groups(dimension::tensor))
              == table{{0, 1}, {2, 3}, {4, 5}, {6, 7}}));
  BOOST_TEST((plain(x.groups(dimension::pipeline))
              == table{{0, 2, 4, 6}, {1, 3, 5, 7}}));
}

BOOST_AUTO_TEST_CASE(vllm_puts_data_copies_outside_of_the_pipeline) {
  // arange(16).reshape(data 2, pipeline 4, tensor 2)
  auto x = layout_of(16, {2, 4}, rank_order::vllm);
  BOOST_TEST(
    (plain(x.groups(dimension::pipeline))
     == table{{0, 2, 4, 6}, {1, 3, 5, 7}, {8, 10, 12, 14}, {9, 11, 13, 15}}));
  BOOST_TEST((plain(x.groups(dimension::data))
              == table{{0, 8},
                       {1, 9},
                       {2, 10},
                       {3, 11},
                       {4, 12},
                       {5, 13},
                       {6, 14},
                       {7, 15}}));
  // Experts spread over data x tensor of one stage.
  BOOST_TEST(
    (plain(x.groups(dimension::expert))
     == table{{0, 1, 8, 9}, {2, 3, 10, 11}, {4, 5, 12, 13}, {6, 7, 14, 15}}));
  BOOST_TEST(x.size(dimension::expert_data) == 1);
}

BOOST_AUTO_TEST_CASE(vllm_counts_context_between_tensor_and_pipeline) {
  // arange(8).reshape(data 1, pipeline 2, context 2, tensor 2)
  auto x = layout_of(8, {2, 2, 2}, rank_order::vllm);
  BOOST_TEST((plain(x.groups(dimension::context))
              == table{{0, 2}, {1, 3}, {4, 6}, {5, 7}}));
  BOOST_TEST((plain(x.groups(dimension::pipeline))
              == table{{0, 4}, {1, 5}, {2, 6}, {3, 7}}));
}

BOOST_AUTO_TEST_CASE(megatron_counts_context_before_experts) {
  // tp-cp-ep-dp-pp: rank = tensor + 2 * (context + 2 * (expert + 2 * ...)).
  auto x = layout_of(16, {2, 2, 2, 2}, rank_order::megatron);
  BOOST_TEST((plain(x.groups(dimension::expert))
              == table{{0, 4},
                       {1, 5},
                       {2, 6},
                       {3, 7},
                       {8, 12},
                       {9, 13},
                       {10, 14},
                       {11, 15}}));
  BOOST_TEST((plain(x.groups(dimension::context))
              == table{{0, 2},
                       {1, 3},
                       {4, 6},
                       {5, 7},
                       {8, 10},
                       {9, 11},
                       {12, 14},
                       {13, 15}}));
  // Copies of an expert stand on all context ranks.
  auto two = layout_of(16, {2, 1, 2, 2}, rank_order::megatron);
  BOOST_TEST(
    (plain(two.groups(dimension::expert_data))
     == table{{0, 2, 8, 10}, {1, 3, 9, 11}, {4, 6, 12, 14}, {5, 7, 13, 15}}));
  // Experts are cut from the data copies, of which there is one here.
  auto none = planner::parallel_layout::make_for_world(8, {2, 1, 4, 4},
                                                       rank_order::megatron);
  BOOST_REQUIRE(!none);
  BOOST_TEST(none.error().message().find("divides 1") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(megatron_folds_context_into_experts_of_their_own_sizes) {
  // tensor 2, context 2, data 2, expert 2, and expert tensor given.
  auto x = layout_of(8, {2, 1, 2, 2, 2}, rank_order::megatron);
  BOOST_TEST((plain(x.groups(dimension::context))
              == table{{0, 2}, {1, 3}, {4, 6}, {5, 7}}));
  BOOST_TEST((plain(x.groups(dimension::data))
              == table{{0, 4}, {1, 5}, {2, 6}, {3, 7}}));
  BOOST_TEST((plain(x.groups(dimension::expert))
              == table{{0, 2}, {1, 3}, {4, 6}, {5, 7}}));
  BOOST_TEST((plain(x.groups(dimension::expert_data))
              == table{{0, 4}, {1, 5}, {2, 6}, {3, 7}}));
  BOOST_TEST((plain(*x.groups({dimension::data, dimension::context}))
              == table{{0, 2, 4, 6}, {1, 3, 5, 7}}));
  // With expert tensor 1 the experts lie side by side.
  layout_request narrow{2, 1, 2, 4};
  narrow.expert_tensor = 1;
  BOOST_TEST(
    (plain(layout_of(8, narrow, rank_order::megatron).groups(dimension::expert))
     == table{{0, 1, 2, 3}, {4, 5, 6, 7}}));
}

BOOST_AUTO_TEST_CASE(an_expert_size_not_given_is_the_frameworks_own) {
  auto megatron = layout_of(8, {2, 2}, rank_order::megatron);
  BOOST_TEST(megatron.size(dimension::expert) == 1);
  auto vllm = layout_of(8, {2, 2}, rank_order::vllm);
  BOOST_TEST(vllm.size(dimension::expert) == 4);
  auto alone = layout_of(8, {2, 2, 1, 1}, rank_order::vllm);
  BOOST_TEST(alone.size(dimension::expert) == 1);
}

BOOST_AUTO_TEST_CASE(neighbours_go_round_the_pipeline) {
  auto x = layout_of(16, {2, 4}, rank_order::megatron);
  const auto pp = dimension::pipeline;
  BOOST_TEST((x.first(pp, rank_id{9}) == rank_id{1}));
  BOOST_TEST((x.last(pp, rank_id{9}) == rank_id{13}));
  BOOST_TEST((x.next(pp, rank_id{9}) == rank_id{13}));
  BOOST_TEST((x.next(pp, rank_id{13}) == rank_id{1}));
  BOOST_TEST((x.previous(pp, rank_id{1}) == rank_id{13}));
  BOOST_TEST((x.source(dimension::tensor, rank_id{9}) == rank_id{8}));
  BOOST_TEST((x.source(dimension::data, rank_id{11}) == rank_id{9}));
  BOOST_TEST(x.is_pipeline_first(rank_id{3}));
  BOOST_TEST(!x.is_pipeline_first(rank_id{4}));
  BOOST_TEST(x.is_pipeline_last(rank_id{12}));
}

BOOST_AUTO_TEST_CASE(all_groups_come_under_their_short_names) {
  auto all = all_groups(16, {2, 4}, rank_order::megatron);
  BOOST_REQUIRE(all);
  std::vector<std::string_view> names;
  for (const auto& x : *all) {
    names.push_back(x.name);
    check_partition(x.groups, 16);
  }
  BOOST_TEST(
    (names == std::vector<std::string_view>{"tp", "pp", "dp", "cp", "ep"}));
}

BOOST_AUTO_TEST_CASE(impossible_sizes_are_errors_that_say_what_to_change) {
  auto message = [](std::int64_t world, layout_request request) {
    auto x = all_groups(world, request, rank_order::megatron);
    BOOST_REQUIRE(!x);
    BOOST_TEST((x.error().code() == errc::invalid));
    return x.error().message();
  };
  BOOST_TEST(message(7, {2, 4})
             == "world_size (7) is not divisible by "
                "tensor_model_parallel_size (2) x "
                "pipeline_model_parallel_size (4) x "
                "context_parallel_size (1)");
  BOOST_TEST(message(8, {0, 4})
             == "the tensor parallel size must be at least 1, got 0");
  BOOST_TEST(message(8, {2, -4})
             == "the pipeline parallel size must be at least 1, got -4");
  BOOST_TEST(message(8, {2, 2, 1, -1})
             == "the expert parallel size must be at least 1, got -1");
  BOOST_TEST(message(8, {2, 2, 1, 3}).find("divides 2") != std::string::npos);
  BOOST_TEST(!message(0, {}).empty());
  BOOST_TEST(!message(-8, {}).empty());
  BOOST_TEST(!message(std::int64_t{1} << 40, {}).empty());
  BOOST_TEST(!message(max_listed_world + 1, {}).empty());
  constexpr auto huge = std::numeric_limits<std::int32_t>::max();
  BOOST_TEST(!message(8, {huge, huge, huge}).empty());
  BOOST_TEST(!message(8, {1, 1, 1, huge, huge}).empty());
  parallel_sizes sizes{huge, huge, huge, huge, huge};
  auto layout = planner::parallel_layout::make(sizes, rank_order::vllm);
  BOOST_TEST(!layout);
}

BOOST_AUTO_TEST_CASE(a_second_initialization_must_have_equal_sizes) {
  parallel_state state;
  BOOST_TEST(!state.is_initialized());
  BOOST_TEST(state.layout().error().message()
             == "tensor model parallel group is not initialized");
  const auto order = rank_order::vllm;
  BOOST_TEST(state.ensure_initialized(8, {2, 4}, order).has_value());
  BOOST_TEST(state.ensure_initialized(8, {2, 4}, order).has_value());
  BOOST_TEST((*state.layout())->world() == 8);
  BOOST_TEST(state.initialize(8, {2, 4}, order).error().message()
             == "tensor model parallel group is already initialized");
  BOOST_TEST(state.ensure_initialized(8, {4, 2}, order).error().message()
             == "tensor parallel group already initialized, but of unexpected "
                "size: get_tensor_model_parallel_world_size()=2 vs. "
                "tensor_model_parallel_size=4");
  BOOST_TEST(state.ensure_initialized(8, {2, 2}, order).error().message()
             == "pipeline parallel group already initialized, but of "
                "unexpected size: "
                "get_pipeline_model_parallel_world_size()=4 vs. "
                "pipeline_model_parallel_size=2");
  BOOST_TEST(!state.ensure_initialized(16, {2, 4}, order));
  BOOST_TEST(!state.ensure_initialized(8, {2, 4, 1, 1}, order));
  BOOST_TEST(!state.ensure_initialized(8, {2, 4, 1, 2}, rank_order::megatron));
  state.reset();
  BOOST_TEST(state.ensure_initialized(8, {4, 2}, order).has_value());
  state.reset();
  const auto megatron = rank_order::megatron;
  BOOST_TEST(state.ensure_initialized(8, {2, 1, 2, 2}, megatron).has_value());
  BOOST_TEST(!state.ensure_initialized(8, {2, 1, 2, 2, 2}, megatron));
}

BOOST_AUTO_TEST_CASE(random_layouts_partition_the_ranks_and_round_trip) {
  const auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  BOOST_TEST_CONTEXT("seed " << seed) {
    std::mt19937 random{seed};
    auto pick = [&random](std::int32_t most) {
      return std::uniform_int_distribution<std::int32_t>{1, most}(random);
    };
    for (int round = 0; round < 1500; ++round) {
      parallel_sizes sizes{pick(4), pick(4), pick(4), pick(3), 0};
      auto order = pick(2) == 1 ? rank_order::megatron : rank_order::vllm;
      auto stage = sizes.tensor * sizes.context * sizes.data;
      // 0: Megatron cuts experts from the data copies, vLLM has size 1.
      auto expert_tensor = pick(5) - 1;
      sizes.expert = pick(8);
      auto made = planner::parallel_layout::make(sizes, order, expert_tensor);
      auto cut = expert_tensor > 0           ? stage / expert_tensor
                 : order == rank_order::vllm ? stage
                                             : sizes.data;
      BOOST_REQUIRE_EQUAL(made.has_value(),
                          cut % sizes.expert == 0
                            && stage % std::max(1, expert_tensor) == 0);
      if (!made)
        continue;
      const auto& x = *made;
      BOOST_REQUIRE_EQUAL(x.world(), sizes.world());
      BOOST_REQUIRE((x.sizes() == sizes));
      for (auto dim : all_dimensions) {
        auto groups = x.groups(dim);
        check_partition(groups, x.world());
        BOOST_REQUIRE((groups == *x.groups({dim})));
        for (const auto& group : groups) {
          BOOST_REQUIRE_EQUAL(group.size(),
                              static_cast<std::size_t>(x.size(dim)));
          for (std::size_t i = 0; i < group.size(); ++i) {
            auto rank = group[i];
            BOOST_REQUIRE_EQUAL(x.coordinates_of(rank).at(dim),
                                static_cast<std::int32_t>(i));
            BOOST_REQUIRE((x.group_of(dim, rank) == group));
            BOOST_REQUIRE((x.next(dim, rank) == group[(i + 1) % group.size()]));
            BOOST_REQUIRE((x.previous(dim, x.next(dim, rank)) == rank));
            BOOST_REQUIRE((x.first(dim, rank) == group.front()));
            BOOST_REQUIRE((x.last(dim, rank) == group.back()));
          }
        }
      }
      for (rank_id rank; x.contains(rank); rank = rank.next()) {
        auto at = x.coordinates_of(rank);
        BOOST_REQUIRE((x.rank_at(at) == rank));
        BOOST_REQUIRE((x.rank_at_expert(at) == rank));
      }
      auto outside = x.coordinates_of(rank_id{0});
      outside.at(dimension::data) = sizes.data;
      BOOST_REQUIRE(!x.rank_at(outside));
      check_partition(*x.groups({dimension::data, dimension::context}),
                      x.world());
      check_partition(*x.groups({dimension::expert, dimension::pipeline}),
                      x.world());
      BOOST_REQUIRE(!x.groups({dimension::tensor, dimension::expert}));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
