// SPDX-License-Identifier: Apache-2.0
// ChatLearn's mappings as transfer plans: every recorded case moves exactly the
// pairs and groups that it states.
#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "planner/weights/sample_layouts.hpp"
#include "support/why.hpp"
#include "troupe/apps/golden_check/rankmap_case.hpp"
#include "troupe/planner/weights/rank_mapping.hpp"
#include "troupe/planner/weights/two_stage.hpp"
#include "troupe/planner/weights/verify.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::weights;
using golden::json;

namespace {

using pair_set = std::set<std::pair<std::int64_t, std::int64_t>>;
/// Root, then the others.
using group_set = std::set<std::pair<std::int64_t, std::set<std::int64_t>>>;

/// Layouts that the sizes of a case describe: a stage of the source's pipeline
/// has one tensor that tensor ranks share, and one whose parts are the routed
/// experts, which tensor x expert ranks share.
class case_layouts {
public:
  case_layouts(const chatlearn::sync_request& request, bool with_experts,
               bool fsdp)
    : request_(request),
      with_experts_(with_experts),
      fsdp_(fsdp) {
    // nop
  }

  weight_layout source() const {
    const auto& src = request_.source;
    weight_layout out{"trainer", {}};
    auto n = static_cast<std::int64_t>(src.gpu.size());
    for (std::int64_t r = 0; r < n; ++r) {
      auto& rank = add_rank(out, r, src.gpu);
      if (fsdp_) {
        add(rank, 0, {r, n}, {0, 1});
        continue;
      }
      auto hep = src.tensor * src.expert;
      add(rank, r / (n / src.pipeline), {r % src.tensor, src.tensor},
          {r % hep, hep});
    }
    return out;
  }

  weight_layout destination() const {
    const auto& dst = request_.destination;
    weight_layout out{"policy", {}};
    auto expert = dst.is_vllm ? 1 : dst.expert;
    auto hep = dst.tensor * expert;
    auto fold = request_.source.pipeline / dst.pipeline;
    std::int64_t next = 0;
    for (auto size : dst.replica_sizes)
      for (std::int64_t i = 0; i < size; ++i) {
        auto& rank = add_rank(out, next++, dst.gpu);
        for (std::int64_t stage = 0; stage < request_.source.pipeline; ++stage)
          if (fsdp_ || stage / fold == i / hep)
            add(rank, stage, {i % dst.tensor, dst.tensor}, {i % hep, hep});
      }
    return out;
  }

private:
  static rank_layout& add_rank(weight_layout& out, std::int64_t r,
                               const std::vector<std::int64_t>& gpus) {
    auto& rank = out.ranks.emplace_back();
    rank.rank = rank_id{static_cast<std::int32_t>(r)};
    rank.device = device_id{
      static_cast<std::int32_t>(gpus[static_cast<std::size_t>(r)])};
    return rank;
  }

  void add(rank_layout& rank, std::int64_t stage, slice dense,
           slice routed) const {
    // So many rows that all sizes divide them.
    constexpr std::int64_t rows = 64 * 3;
    auto tensor = [&](const char* name, slice part) {
      auto logical = fmt::format("stage{}.{}", stage, name);
      rank.tensors.push_back(
        test::good(sliced_tensor(logical, {logical, {rows, 2}}, dtype::bfloat16,
                                 0, even_part(rows, part))));
    };
    tensor("dense", dense);
    if (with_experts_)
      tensor("experts.w", routed);
  }

  const chatlearn::sync_request& request_;
  bool with_experts_;
  bool fsdp_;
};

/// What a plan does, in a case's words: global numbers, pairs, groups.
struct plan_summary {
  pair_set sends;
  pair_set routed;
  pair_set hand_ons;
  pair_set gathers;

  plan_summary(const transfer_plan& plan, std::int64_t base) {
    for (const auto& x : plan.transfers) {
      auto sender = x.gathered_by.value_or(x.source).value();
      if (x.gathered_by)
        gathers.emplace(x.source.value(), sender);
      auto& pairs = is_routed(plan.logical[x.logical]) ? routed : sends;
      for (auto rank : x.destinations) {
        auto to = base + rank.value();
        if (!x.handed_on_by) {
          pairs.emplace(sender, to);
          continue;
        }
        auto relay = base + x.handed_on_by->value();
        pairs.emplace(sender, relay);
        hand_ons.emplace(relay, to);
      }
    }
  }
};

/// The groups in which each sender reaches all its receivers at once.
void add_groups(const pair_set& pairs, group_set& out) {
  std::map<std::int64_t, std::set<std::int64_t>> table;
  for (auto [from, to] : pairs)
    table[from].insert(to);
  for (auto& [from, to] : table)
    out.emplace(from, std::move(to));
}

pair_set pairs_of(const json& out, const char* key) {
  auto found = out.find(key);
  return found == out.end() ? pair_set{} : found->get<pair_set>();
}

class case_check {
public:
  explicit case_check(const json& x)
    : in_(x.at("in")),
      out_(x.at("out")),
      id_(x.at("id").get<std::string>()),
      request_(golden::read_sync_request(in_)) {
    // nop
  }

  /// False if the case is a refusal, which carries nothing.
  bool run() {
    if (out_.contains("error"))
      return false;
    golden::is_fsdp(in_) ? check_fsdp() : check();
    return true;
  }

private:
  std::size_t num_source() const { return request_.source.gpu.size(); }

  transfer_plan make_plan(const rank_mapping& mapping, bool with_experts,
                          bool fsdp) {
    case_layouts layouts{request_, with_experts, fsdp};
    auto source = test::good(shared_layout::make(layouts.source()));
    auto destination = test::good(shared_layout::make(layouts.destination()));
    auto plan = map_transfers(mapping, source, destination);
    auto problems = verify(plan, source, destination);
    BOOST_TEST(problems.empty(),
               id_ << ": " << (problems.empty() ? "" : problems.front()));
    return plan;
  }

  void check_fsdp() {
    auto pairs = chatlearn::map_fsdp_ranks(request_);
    BOOST_REQUIRE_MESSAGE(pairs, id_);
    auto plan = make_plan(to_mapping(*pairs, num_source()), false, true);
    plan_summary found{plan, static_cast<std::int64_t>(num_source())};
    BOOST_TEST((found.sends == pairs_of(out_, "pairs")), id_);
    BOOST_TEST(found.hand_ons.empty(), id_);
  }

  void check() {
    auto pairs = chatlearn::map_ranks(request_);
    BOOST_REQUIRE_MESSAGE(pairs, id_ << ": " << pairs.error().message);
    auto own_pairs = !pairs->routed.empty();
    // Two stages without pairs for experts are for models without.
    auto with_experts = own_pairs || !pairs->stage2;
    auto plan = make_plan(to_mapping(*pairs, num_source()), with_experts,
                          false);
    plan_summary found{plan, static_cast<std::int64_t>(num_source())};
    BOOST_TEST((found.sends == pairs_of(out_, "stage1")), id_ << " stage1");
    BOOST_TEST((found.hand_ons == pairs_of(out_, "stage2")), id_ << " stage2");
    if (own_pairs)
      BOOST_TEST((found.routed == pairs_of(out_, "routed")), id_ << " routed");
    else
      BOOST_TEST((found.routed.empty() || found.routed == found.sends), id_);
    check_gathers(found);
    if (out_.at("comm") == "broadcast")
      check_groups(found, own_pairs);
  }

  /// Experts are brought together only inside a group of the case.
  void check_gathers(const plan_summary& found) {
    if (found.gathers.empty())
      return;
    auto groups = out_.at("regroup").get<std::vector<std::set<std::int64_t>>>();
    // No structured binding: clang 14 captures none.
    for (const auto& pair : found.gathers)
      BOOST_TEST(std::ranges::any_of(groups,
                                     [&](const auto& group) {
                                       return group.contains(pair.first)
                                              && group.contains(pair.second);
                                     }),
                 id_ << ": " << pair.first << " gathers with " << pair.second);
  }

  void check_groups(const plan_summary& found, bool own_pairs) {
    group_set ours;
    add_groups(found.sends, ours);
    if (own_pairs)
      add_groups(found.routed, ours);
    for (auto [from, to] : found.hand_ons)
      ours.insert({from, {to}});
    std::set<std::vector<std::int64_t>> regroup;
    if (!out_.at("regroup").is_null())
      regroup = out_.at("regroup").get<decltype(regroup)>();
    group_set stated;
    for (const auto& x : out_.at("groups")) {
      auto ranks = x.at(1).get<std::vector<std::int64_t>>();
      if (!regroup.contains(ranks))
        stated.insert({ranks.front(), {ranks.begin() + 1, ranks.end()}});
    }
    BOOST_TEST((ours == stated), id_ << " groups");
  }

  const json& in_;
  const json& out_;
  std::string id_;
  chatlearn::sync_request request_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(weights_rankmap_plan)

BOOST_AUTO_TEST_CASE(a_plan_moves_the_pairs_and_groups_of_each_case) {
  std::ifstream file{TROUPE_GOLDEN_DIR "/rankmap.json"};
  auto data = json::parse(file);
  std::map<std::string, int> checked;
  for (const auto& x : data.at("cases"))
    if (!x.contains("tags") || x.at("tags").empty())
      if (case_check{x}.run())
        ++checked[x.at("in").at("variant").get<std::string>()];
  for (const auto* variant : {"base", "hep", "fsdp"})
    BOOST_TEST(checked[variant] > 0, variant);
}

BOOST_AUTO_TEST_CASE(two_stages_are_read_off_layouts) {
  using test::single_tensor;
  auto source = single_tensor("trainer", {8, 2}, {{0, {0, 2}}, {0, {1, 2}}});
  auto destination = single_tensor("policy", {8, 2},
                                   {{0, {0, 4}},
                                    {0, {1, 4}},
                                    {0, {2, 4}},
                                    {0, {3, 4}}});
  seat(source, 8);
  seat(destination, 8, 1);
  auto from = test::good(shared_layout::make(source));
  auto to = test::good(shared_layout::make(destination));
  auto plan = two_stage(from, to);
  BOOST_REQUIRE_MESSAGE(plan, test::why(plan));
  BOOST_TEST(verify(*plan, from, to).empty());
  auto relayed = std::ranges::count_if(plan->transfers, [](const auto& x) {
    return x.handed_on_by.has_value();
  });
  BOOST_TEST(relayed == 2);
  // The other way round is none of ChatLearn's.
  auto back = two_stage(to, from);
  BOOST_REQUIRE(!back);
  BOOST_TEST(back.error().message().find("ChatLearn refuses")
             != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
