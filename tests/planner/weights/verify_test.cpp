// SPDX-License-Identifier: Apache-2.0
// Plans that are wrong, and what is said of them; and programs of sound ones.
#include "troupe/planner/weights/verify.hpp"

#include <algorithm>

#include <boost/test/unit_test.hpp>

#include "planner/weights/sample_layouts.hpp"
#include "troupe/planner/weights/compile.hpp"
#include "troupe/planner/weights/findings.hpp"
#include "troupe/planner/weights/reshard.hpp"

using namespace troupe;
using namespace troupe::planner::weights;
using test::good;
using test::make_box;
using test::single_tensor;

namespace {

/// Two halves that become two whole copies.
struct fixture {
  weight_layout source = single_tensor("a", {4, 8}, {{0, {0, 2}}, {0, {1, 2}}});
  weight_layout destination = single_tensor("b", {4, 8},
                                            {{0, {0, 1}}, {0, {0, 1}}});
  transfer_plan plan = reshard(from(), to());

  shared_layout from() const { return good(shared_layout::make(source)); }
  shared_layout to() const { return good(shared_layout::make(destination)); }

  std::vector<std::string> problems() const {
    return verify(plan, from(), to());
  }

  void require(std::string_view words) const {
    auto found = problems();
    auto any = std::ranges::any_of(found, [&](const auto& x) {
      return x.find(words) != std::string::npos;
    });
    BOOST_TEST(any, "'" << words << "' is in none of " << found.size() << ": "
                        << (found.empty() ? "" : found.front()));
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(verification, fixture)

BOOST_AUTO_TEST_CASE(a_plan_of_ours_is_sound) {
  BOOST_TEST(problems().empty());
}

BOOST_AUTO_TEST_CASE(what_is_uncovered_is_named) {
  plan.transfers.pop_back();
  require("'w' [");
  require("is uncovered: no transfer brings it");
  source.ranks.pop_back();
  plan = reshard(from(), to());
  BOOST_TEST(problems().size() == 1u);
  require("ranks 0, 1: 'w' [2:4, 0:8] is uncovered: no source rank holds it");
  source.ranks[0].tensors[0].segments[0].logical = "other";
  plan = reshard(from(), to());
  require("the source has no such tensor");
}

BOOST_AUTO_TEST_CASE(what_is_written_twice_is_named) {
  plan.transfers.push_back(plan.transfers[0]);
  plan.transfers.back().where = make_box({0, 0}, {1, 4});
  require("'w' [0:1, 0:4] is written twice");
}

BOOST_AUTO_TEST_CASE(two_segments_of_one_element_are_named) {
  auto& tensor = destination.ranks[1].tensors[0];
  tensor.segments.push_back({"v", make_box({0}, {8}), {3, 0}});
  require("rank 1: stored tensor 'w' [3:4, 0:8] is written twice: by the "
          "segments 'w' [0:4, 0:8] and 'v' [0:8]");
}

BOOST_AUTO_TEST_CASE(the_stored_name_is_given_too) {
  for (auto& rank : destination.ranks)
    rank.tensors[0].name = "w.local";
  plan.transfers.clear();
  require("ranks 0, 1: 'w' (stored in 'w.local') [0:4, 0:8] is uncovered");
}

BOOST_AUTO_TEST_CASE(senders_must_hold_what_they_send) {
  plan.transfers[0].source = rank_id{plan.transfers[0].source.value() ^ 1};
  require("does not hold");
  plan.transfers[0].source = rank_id{7};
  require("comes from rank 7, which the source does not have");
}

BOOST_AUTO_TEST_CASE(receivers_must_store_what_they_get) {
  destination.ranks[1].tensors[0].segments.clear();
  require("rank 1: 'w' ");
  require("is sent to it, but not stored there");
  destination.ranks.pop_back();
  require("the destination has no such rank");
}

BOOST_AUTO_TEST_CASE(types_must_be_convertible) {
  for (auto& rank : destination.ranks)
    rank.tensors[0].type = dtype::int64;
  require("is int64, which cannot be made of the source's float32");
  plan = reshard(from(), to());
  BOOST_TEST(plan.transfers.empty());
  require("it is int64, which cannot be made of the source's float32");
}

BOOST_AUTO_TEST_CASE(dimensions_must_agree) {
  for (auto& rank : destination.ranks) {
    auto& tensor = rank.tensors[0];
    tensor.extents = {32};
    tensor.segments[0] = {"w", make_box({0}, {32}), {0}};
  }
  plan = reshard(from(), to());
  require("tensor 'w' has 1 dimensions on some ranks and 2 on others");
  require("is uncovered");
}

BOOST_AUTO_TEST_CASE(foreign_numbers_are_no_crash) {
  plan.transfers[0].logical = 99;
  require("which the plan does not name");
  BOOST_TEST(!compile(plan, from(), to()));
  plan.transfers[0].logical = 0;
  plan.transfers[0].destinations.front() = rank_id{77};
  BOOST_TEST(!compile(plan, from(), to()));
}

BOOST_AUTO_TEST_CASE(ranks_are_named_in_runs) {
  BOOST_TEST(name_ranks({rank_id{3}}) == "rank 3");
  BOOST_TEST(name_ranks({rank_id{7}, rank_id{1}, rank_id{0}, rank_id{2}})
             == "ranks 0-2, 7");
}

BOOST_AUTO_TEST_CASE(many_problems_are_cut_short) {
  findings found;
  for (int i = 0; i < 50; ++i)
    found.add(rank_id{i}, "'t" + std::to_string(i) + "'", box{}, "is bad");
  auto said = found.take(10);
  BOOST_REQUIRE(said.size() == 11u);
  BOOST_TEST(said.back() == "and 40 more");
}

// -- programs ------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(runs_that_follow_each_other_are_one_part) {
  // A flat shard of three boxes becomes part of a whole tensor.
  auto& tensor = source.ranks[0].tensors[0];
  tensor = good(flat_shard("flat", {{"w", {4, 8}}}, dtype::float32, {0, 1}));
  tensor.segments = good(flat_segments({"w", {4, 8}}, {5, 29}, 5));
  source.ranks.pop_back();
  destination.ranks.pop_back();
  auto programs = good(compile(reshard(from(), to()), from(), to()));
  BOOST_REQUIRE(programs.sources.size() == 1u);
  const auto& bucket = programs.sources[0].sends.at(0).buckets.at(0);
  BOOST_REQUIRE(bucket.parts.size() == 1u);
  BOOST_TEST(bucket.parts[0].run_elements == 24u);
  BOOST_TEST(bucket.parts[0].offset_bytes == 20u);
  BOOST_TEST(bucket.wire_bytes == 96u);
}

BOOST_AUTO_TEST_CASE(buckets_keep_their_bound) {
  auto programs = good(compile(plan, from(), to(), {40}));
  for (const auto& rank : programs.sources)
    for (const auto& channel : rank.sends) {
      BOOST_TEST(channel.buckets.size() >= 2u);
      for (const auto& bucket : channel.buckets)
        BOOST_TEST(bucket.wire_bytes <= 40u);
    }
  BOOST_TEST(!compile(plan, from(), to(), {7}));
}

BOOST_AUTO_TEST_CASE(a_region_stored_twice_travels_once) {
  auto& rank = destination.ranks[0];
  rank.tensors.push_back(rank.tensors[0]);
  rank.tensors.back().name = "tied";
  rank.tensors.back().type = dtype::bfloat16;
  destination.ranks.pop_back();
  plan = reshard(from(), to());
  BOOST_TEST(problems().empty());
  auto programs = good(compile(plan, from(), to()));
  for (const auto& channel : programs.destinations[0].receives) {
    const auto& parts = channel.buckets.at(0).parts;
    BOOST_REQUIRE(parts.size() == 2u);
    BOOST_TEST(parts[0].wire_begin == parts[1].wire_begin);
    BOOST_TEST(parts[0].key != parts[1].key);
    BOOST_TEST(parts[0].tensor != parts[1].tensor);
    BOOST_TEST((channel.buckets[0].wire_type == dtype::float32));
    BOOST_TEST(channel.buckets[0].wire_bytes == 64u);
  }
}

BOOST_AUTO_TEST_CASE(channels_stand_in_one_order_for_all) {
  // Whoever handles its channels in turn must never wait in a circle: taking
  // the first channel that stands first at both ends always finds one.
  auto from = single_tensor("a", {12, 8},
                            {{0, {0, 3}}, {0, {1, 3}}, {0, {2, 3}}});
  auto to = single_tensor("b", {12, 8},
                          std::vector<std::pair<std::size_t, slice>>(5,
                                                                     {0,
                                                                      {0, 1}}));
  auto source = good(shared_layout::make(from));
  auto destination = good(shared_layout::make(to));
  auto programs = good(
    compile(reshard(source, destination), source, destination));
  std::vector<std::size_t> sent(3, 0);
  std::vector<std::size_t> received(5, 0);
  for (std::size_t done = 0; done < 15;) {
    auto before = done;
    for (std::size_t s = 0; s < 3; ++s) {
      const auto& sends = programs.sources[s].sends;
      if (sent[s] == sends.size())
        continue;
      auto d = static_cast<std::size_t>(sends[sent[s]].peer.value());
      const auto& receives = programs.destinations[d].receives;
      if (receives.at(received[d]).peer.value() == static_cast<int>(s)) {
        ++sent[s];
        ++received[d];
        ++done;
      }
    }
    BOOST_REQUIRE(done > before);
  }
}

BOOST_AUTO_TEST_SUITE_END()
