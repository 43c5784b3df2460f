// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/rank_map.hpp"

#include <algorithm>

#include <boost/test/unit_test.hpp>

#include "planner/jobs.hpp"
#include "troupe/planner/rank_map.hpp"

using namespace troupe;
using namespace troupe::planner::chatlearn;
using troupe::planner::testing::dice;

namespace {

/// A source laid out as Megatron does and a destination on the same GPUs, each
/// replica reversed, or on GPUs of its own.
sync_request make_request(std::int64_t tensor, std::int64_t pipeline,
                          std::int64_t expert, std::int64_t data,
                          std::int64_t to_tensor, std::int64_t to_pipeline,
                          std::int64_t replicas, bool colocated) {
  sync_request x;
  x.colocated = colocated;
  auto& src = x.source;
  src.tensor = tensor;
  src.pipeline = pipeline;
  src.expert = expert;
  src.dp_size = data * expert;
  for (std::int64_t r = 0; r < tensor * pipeline * expert * data; ++r) {
    src.gpu.push_back(r);
    src.dp_rank.push_back(r / tensor % (expert * data));
    src.data_index.push_back(r / (tensor * expert) % data);
  }
  auto& dst = x.destination;
  dst.tensor = to_tensor;
  dst.pipeline = to_pipeline;
  auto size = to_tensor * to_pipeline;
  for (std::int64_t i = 0; i < replicas; ++i) {
    dst.replica_sizes.push_back(size);
    for (std::int64_t k = 0; k < size; ++k)
      dst.gpu.push_back(colocated ? i * size + size - 1 - k
                                  : 1'000'000 + i * size + k);
  }
  return x;
}

} // namespace

BOOST_AUTO_TEST_SUITE(chatlearn_rank_map)

BOOST_AUTO_TEST_CASE(two_stages_hand_slices_on) {
  auto request = make_request(1, 1, 1, 2, 2, 1, 1, true);
  auto plan = map_ranks(request);
  BOOST_REQUIRE(plan);
  BOOST_TEST((plan->stage1 == rank_pairs{{0, 2}}));
  BOOST_TEST((*plan->stage2 == rank_pairs{{2, 3}}));
  BOOST_TEST(verify(*plan, request).empty());
}

BOOST_AUTO_TEST_CASE(defects_are_refused_with_a_reason) {
  auto refused = [](sync_request request) {
    auto plan = map_ranks(request);
    BOOST_REQUIRE(!plan);
    BOOST_TEST(!plan.error().message.empty());
    return plan.error().kind;
  };
  // Tensor 2 -> 3 and two stages over p2p.
  BOOST_TEST((refused(make_request(2, 1, 1, 1, 3, 1, 1, false))
              == refusal_kind::unsound));
  auto request = make_request(1, 1, 1, 2, 2, 1, 1, false);
  request.comm = sync_comm::p2p;
  BOOST_TEST((refused(request) == refusal_kind::unsound));
  // Experts that nobody sends.
  request = make_request(1, 1, 8, 1, 4, 1, 1, false);
  request.variant = sync_variant::hep;
  request.destination.is_vllm = true;
  BOOST_TEST((refused(request) == refusal_kind::unsound));
  // Same GPU, same order.
  request = make_request(2, 1, 1, 1, 2, 1, 1, true);
  std::reverse(request.destination.gpu.begin(), request.destination.gpu.end());
  BOOST_TEST((refused(request) == refusal_kind::unsound));
  // Going down is an assertion of ChatLearn's.
  BOOST_TEST((refused(make_request(4, 1, 1, 1, 2, 1, 1, false))
              == refusal_kind::assertion));
}

BOOST_AUTO_TEST_CASE(uneven_data_groups_do_not_break_the_order) {
  // ChatLearn pops from an empty list: data rank 0 sends nothing.
  auto plan = map_ranks(make_request(1, 1, 1, 3, 1, 1, 2, true));
  BOOST_REQUIRE(plan);
  BOOST_TEST((plan->stage1 == rank_pairs{{2, 3}, {1, 4}}));
  BOOST_TEST((*plan->send_order == ranks{1, 2}));
}

BOOST_AUTO_TEST_CASE(no_pair_of_the_second_stage_is_forgotten) {
  // ChatLearn runs only whole chunks of a set.
  send_table table;
  for (std::int64_t i = 0; i < 6; ++i)
    table.emplace_back(10 * i, ranks{10 * i + 1});
  auto steps = second_stage_steps(table, 4);
  BOOST_REQUIRE_EQUAL(steps.size(), 2u);
  BOOST_TEST(steps[0].size() == 4u);
  BOOST_TEST(steps[1].size() == 2u);
}

BOOST_AUTO_TEST_CASE(what_is_accepted_is_sound) {
  const std::uint32_t seed = 1701;
  BOOST_TEST_MESSAGE("seed " << seed);
  dice roll{seed};
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    auto pick = [&] { return std::int64_t{1} << roll(0, 3); };
    auto request = make_request(pick(), roll(1, 4), pick(), roll(1, 4), pick(),
                                roll(1, 2), roll(1, 4), roll.coin());
    request.variant = roll.coin() ? sync_variant::hep : sync_variant::base;
    request.comm = roll(0, 4) == 0 ? sync_comm::p2p : sync_comm::broadcast;
    request.destination.is_vllm = roll.coin();
    auto plan = map_ranks(request);
    if (!plan) {
      BOOST_REQUIRE(!plan.error().message.empty());
      continue;
    }
    ++accepted;
    BOOST_REQUIRE(verify(*plan, request).empty());
  }
  BOOST_TEST(accepted > 200);
}

BOOST_AUTO_TEST_CASE(equal_layouts_agree_with_troupes_own_map) {
  const std::uint32_t seed = 2001;
  BOOST_TEST_MESSAGE("seed " << seed);
  dice roll{seed};
  for (int round = 0; round < 1000; ++round) {
    auto tensor = std::int64_t{1} << roll(0, 3);
    auto stages = roll(1, 2);
    auto fold = roll(1, 2);
    auto data = roll(1, 5);
    auto replicas = roll(1, 6);
    auto request = make_request(tensor, stages * fold, 1, data, tensor, stages,
                                replicas, false);
    auto theirs = map_ranks(request);
    BOOST_REQUIRE(theirs);
    troupe::planner::mapped_model from;
    from.sizes.tensor = static_cast<std::int32_t>(tensor);
    from.sizes.pipeline = stages * fold;
    from.ranks_per_replica = tensor * stages * fold * data;
    troupe::planner::mapped_model to;
    to.sizes.tensor = from.sizes.tensor;
    to.sizes.pipeline = stages;
    to.ranks_per_replica = tensor * stages;
    to.num_replica = replicas;
    auto ours = troupe::planner::map_ranks(from, to);
    BOOST_REQUIRE(ours);
    BOOST_REQUIRE_EQUAL(ours->size(), theirs->stage1.size());
    for (std::size_t i = 0; i < ours->size(); ++i) {
      const auto& pair = (*ours)[i];
      BOOST_REQUIRE_EQUAL(pair.source.value(), theirs->stage1[i].first);
      BOOST_REQUIRE_EQUAL(from.ranks_per_replica
                            + pair.replica.value() * to.ranks_per_replica
                            + pair.destination.value(),
                          theirs->stage1[i].second);
    }
  }
}

BOOST_AUTO_TEST_CASE(fsdp_pairs_share_a_gpu) {
  sync_request x;
  // A replica over two nodes: each node's order is reversed, not the whole.
  for (std::int64_t r = 0; r < 16; ++r)
    x.source.gpu.push_back(r);
  x.destination.replica_sizes = {16};
  for (std::int64_t r = 0; r < 16; ++r)
    x.destination.gpu.push_back(r < 8 ? 7 - r : 23 - r);
  auto pairs = map_fsdp_ranks(x);
  BOOST_REQUIRE(pairs);
  for (const auto& [from, to] : *pairs)
    BOOST_TEST(x.source.gpu[static_cast<std::size_t>(from)]
               == x.destination.gpu[static_cast<std::size_t>(to - 16)]);
  x.destination.gpu[3] = 99;
  BOOST_TEST(!map_fsdp_ranks(x).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
