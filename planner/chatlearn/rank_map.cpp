// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/rank_map.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "troupe/planner/chatlearn/candidates.hpp"

namespace troupe::planner::chatlearn {

namespace {

using complaint = std::optional<refusal>;

/// Keeps products of two sizes from overflowing.
constexpr std::int64_t max_size = std::int64_t{1} << 20;

refusal assertion(std::string text) {
  return {refusal_kind::assertion, std::move(text)};
}

/// Cuts `list` into runs of `size`; the last may be short.
std::vector<ranks> cut(const ranks& list, std::int64_t size) {
  std::vector<ranks> out;
  auto step = static_cast<std::size_t>(size);
  for (std::size_t i = 0; i < list.size(); i += step)
    out.emplace_back(list.begin() + static_cast<std::ptrdiff_t>(i),
                     list.begin()
                       + static_cast<std::ptrdiff_t>(
                         std::min(list.size(), i + step)));
  return out;
}

class mapper {
public:
  explicit mapper(const sync_request& request)
    : request_(request),
      src_(request.source),
      dst_(request.destination) {
    // nop
  }

  outcome<sync_plan> run() {
    if (auto bad = check_sizes())
      return refuse(std::move(*bad));
    choose_comm();
    make_dp_ranks();
    make_replicas();
    auto bad = request_.variant == sync_variant::base ? map_base() : map_hep();
    if (!bad)
      bad = schedule();
    if (bad)
      return refuse(std::move(*bad));
    return std::move(plan_);
  }

private:
  /// A source rank that waits until those with a collision are served.
  struct deferred {
    std::size_t block;
    std::size_t position;
    std::size_t start;
    std::size_t group;
  };

  complaint check_sizes() const {
    for (auto size : {src_.tensor, src_.pipeline, src_.expert, dst_.tensor,
                      dst_.pipeline, dst_.expert})
      if (size < 1 || size > max_size)
        return assertion(fmt::format("parallel sizes must be at least 1 and at "
                                     "most {}",
                                     max_size));
    auto n = src_.gpu.size();
    if (n == 0 || src_.expert > static_cast<std::int64_t>(n)
        || src_.dp_rank.size() != n || src_.data_index.size() != n)
      return assertion("every source rank needs a GPU and its data indices");
    std::int64_t total = 0;
    for (auto size : dst_.replica_sizes) {
      if (size < 0)
        return assertion("a replica cannot have a negative number of ranks");
      total += size;
    }
    if (static_cast<std::int64_t>(dst_.gpu.size()) != total)
      return assertion("every destination rank needs a GPU");
    return std::nullopt;
  }

  [[nodiscard]] std::int64_t dst_expert() const {
    return dst_.is_vllm ? 1 : dst_.expert;
  }

  [[nodiscard]] std::int64_t src_hep() const {
    return src_.tensor * src_.expert;
  }

  [[nodiscard]] std::int64_t dst_hep() const {
    return dst_.tensor * dst_expert();
  }

  void choose_comm() {
    plan_.comm = request_.comm;
    if (request_.colocated && plan_.comm == sync_comm::broadcast
        && src_.tensor % 2 == 1 && dst_.tensor % 2 == 1)
      plan_.comm = sync_comm::p2p;
    plan_.regroup = request_.regroup;
    if (plan_.regroup == regroup_comm::alltoall && src_hep() != dst_hep())
      plan_.regroup = regroup_comm::allgather;
    auto ratio = [](std::int64_t a, std::int64_t b) {
      return static_cast<double>(a) / static_cast<double>(b);
    };
    plan_.tp_map = dst_.tensor / src_.tensor;
    plan_.ep_map = ratio(dst_expert(), src_.expert);
    plan_.hep_map = ratio(dst_hep(), src_hep());
  }

  void make_dp_ranks() {
    std::map<std::int64_t, ranks> by_index;
    for (std::size_t r = 0; r < src_.data_index.size(); ++r)
      by_index[src_.data_index[r]].push_back(static_cast<std::int64_t>(r));
    for (auto& [index, list] : by_index) {
      std::vector<ranks> dense(static_cast<std::size_t>(src_.expert));
      for (const auto& block : cut(list, src_hep())) {
        auto parts = cut(block, src_.tensor);
        for (std::size_t e = 0; e < parts.size(); ++e)
          dense[e].insert(dense[e].end(), parts[e].begin(), parts[e].end());
      }
      for (auto& x : dense)
        plan_.src_dp_ranks_dense.push_back(std::move(x));
      plan_.src_dp_ranks.push_back(std::move(list));
    }
    sources_ = plan_.src_dp_ranks;
    if (request_.colocated && src_.tensor % 2 == 1)
      std::reverse(sources_.begin(), sources_.end());
  }

  void make_replicas() {
    auto next = static_cast<std::int64_t>(src_.gpu.size());
    for (auto size : dst_.replica_sizes) {
      auto& list = replicas_.emplace_back();
      for (std::int64_t i = 0; i < size; ++i)
        list.push_back(next++);
    }
  }

  complaint check_stages() const {
    if (src_.pipeline % dst_.pipeline == 0)
      return std::nullopt;
    return assertion(fmt::format("the destination's {} pipeline stages do not "
                                 "divide the source's {}",
                                 dst_.pipeline, src_.pipeline));
  }

  complaint map_base() {
    if (plan_.tp_map == 1)
      return one_stage(plan_.stage1);
    return two_stages();
  }

  complaint map_hep() {
    if (plan_.tp_map < 1)
      return assertion(fmt::format("the source's tensor size {} must not "
                                   "exceed the destination's {}",
                                   src_.tensor, dst_.tensor));
    if (dst_expert() > src_.expert)
      return assertion(fmt::format("the destination's expert size {} must not "
                                   "exceed the source's {}",
                                   dst_expert(), src_.expert));
    auto equal_hep = src_hep() == dst_hep();
    if (plan_.tp_map == 1 && src_.expert == dst_expert())
      return one_stage(plan_.stage1);
    if (!dst_.is_vllm) {
      if (!equal_hep)
        return refusal{refusal_kind::not_implemented,
                       fmt::format("source and destination differ in tensor x "
                                   "expert size: {} and {}",
                                   src_hep(), dst_hep())};
      if (auto bad = one_stage(plan_.routed))
        return bad;
      return two_stages();
    }
    if (plan_.tp_map == 1)
      return map_experts(&plan_.stage1);
    if (auto bad = map_experts(equal_hep ? &plan_.routed : nullptr))
      return bad;
    return two_stages();
  }

  complaint one_stage(rank_pairs& out) {
    if (auto bad = check_stages())
      return bad;
    auto fold = static_cast<std::size_t>(src_.pipeline / dst_.pipeline);
    if (!plan_.regroup_groups)
      plan_.regroup_groups.emplace();
    for (std::size_t r = 0; r < replicas_.size(); ++r) {
      auto from = cut(sources_[r % sources_.size()], src_hep());
      auto to = cut(replicas_[r], dst_hep());
      for (std::size_t i = 0; i < from.size(); ++i) {
        if (i / fold >= to.size())
          return refusal{refusal_kind::index,
                         fmt::format("replica {} has fewer pipeline stages "
                                     "than the source feeds",
                                     r)};
        plan_.regroup_groups->push_back(from[i]);
        zip(from[i], to[i / fold], out);
      }
    }
    return std::nullopt;
  }

  static void zip(const ranks& from, const ranks& to, rank_pairs& out) {
    for (std::size_t i = 0; i < std::min(from.size(), to.size()); ++i)
      out.emplace_back(from[i], to[i]);
  }

  /// Experts of the source, spread over tensor x expert ranks, to a destination
  /// without expert parallelism. Without `out` only the regroup groups are
  /// made.
  complaint map_experts(rank_pairs* out) {
    auto fold = static_cast<std::size_t>(src_.pipeline / dst_.pipeline);
    plan_.regroup_groups.emplace();
    std::vector<std::size_t> offset(sources_.size(), 0);
    std::vector<bool> used(sources_.size(), false);
    for (std::size_t r = 0; r < replicas_.size(); ++r) {
      auto d = r % sources_.size();
      const auto& list = sources_[d];
      const auto& replica = replicas_[r];
      if (replica.empty() || list.size() % replica.size() != 0)
        return assertion(fmt::format("the {} ranks of a source data group are "
                                     "no multiple of the {} of a replica",
                                     list.size(), replica.size()));
      if (auto bad = check_stages())
        return bad;
      auto from = cut(list, src_hep());
      auto to = cut(replica, dst_hep());
      for (std::size_t i = 0; i < from.size(); ++i) {
        if (!used[d])
          plan_.regroup_groups->push_back(from[i]);
        if (i / fold >= to.size())
          return refusal{refusal_kind::index,
                         fmt::format("replica {} has fewer pipeline stages "
                                     "than the source feeds",
                                     r)};
        // vLLM has one expert rank, so a block is one tensor list.
        const auto& receivers = to[i / fold];
        auto lists = cut(from[i], src_.tensor);
        auto count = receivers.size() / static_cast<std::size_t>(src_.tensor);
        ranks senders;
        for (std::size_t n = 0; n < count; ++n) {
          const auto& part = lists[(offset[d] + n) % lists.size()];
          senders.insert(senders.end(), part.begin(), part.end());
        }
        offset[d] = (offset[d] + count) % lists.size();
        if (out != nullptr)
          zip(senders, receivers, *out);
      }
      used[d] = true;
    }
    return std::nullopt;
  }

  complaint two_stages() {
    if (dst_.tensor % src_.tensor != 0)
      return assertion(fmt::format("the destination's tensor size {} is no "
                                   "multiple of the source's {}",
                                   dst_.tensor, src_.tensor));
    if (auto bad = check_stages())
      return bad;
    if (plan_.comm == sync_comm::p2p)
      return refusal{refusal_kind::unsound,
                     fmt::format("p2p needs equal tensor sizes, but the source "
                                 "has {} and the destination {}; use "
                                 "broadcast",
                                 src_.tensor, dst_.tensor)};
    if (dst_expert() > 1)
      return refusal{refusal_kind::unsound,
                     "a destination with expert parallelism and another tensor "
                     "size cannot be mapped in two stages"};
    auto gpu = src_.gpu;
    gpu.insert(gpu.end(), dst_.gpu.begin(), dst_.gpu.end());
    candidate_table table{std::move(gpu), plan_.tp_map};
    plan_.stage2.emplace();
    std::set<std::int64_t> received;
    std::size_t offset = 0;
    for (std::size_t r = 0; r < replicas_.size(); ++r) {
      const auto&
        list = plan_.src_dp_ranks_dense[r % plan_.src_dp_ranks_dense.size()];
      auto blocks = cut(replicas_[r], dst_.tensor);
      auto before = plan_.stage1.size();
      if (auto bad = first_stage(cut(list, src_.tensor), blocks, table, offset))
        return bad;
      for (auto i = before; i < plan_.stage1.size(); ++i)
        received.insert(plan_.stage1[i].second);
      for (const auto& block : blocks)
        for (const auto& run : cut(block, plan_.tp_map))
          hand_on(run, received);
    }
    return std::nullopt;
  }

  complaint first_stage(const std::vector<ranks>& from,
                        const std::vector<ranks>& to, candidate_table& table,
                        std::size_t& offset) {
    auto fold = static_cast<std::size_t>(src_.pipeline / dst_.pipeline);
    auto width = static_cast<std::size_t>(plan_.tp_map);
    auto take = [&](const deferred& x, bool pre_allocate) -> complaint {
      auto source = from[x.block][x.position];
      auto choice = table.pick(static_cast<std::int64_t>(x.position),
                               static_cast<std::int64_t>(x.start), source,
                               to[x.group], pre_allocate);
      if (!choice)
        return choice.error();
      if (choice->rank)
        plan_.stage1.emplace_back(source, *choice->rank);
      else
        later_.push_back(x);
      return std::nullopt;
    };
    later_.clear();
    for (auto i = offset; i < from.size(); ++i) {
      auto j = (i - offset) / fold;
      if (j == static_cast<std::size_t>(dst_.pipeline)) {
        offset = i;
        break;
      }
      if (j >= to.size())
        return refusal{refusal_kind::index,
                       "a replica has fewer pipeline stages than the source "
                       "feeds"};
      auto x = i - offset;
      auto start = x < width ? x % width : (width - x % width - 1) % width;
      for (std::size_t s = 0; s < from[i].size(); ++s)
        if (auto bad = take({i, s, start, j}, true))
          return bad;
    }
    auto later = std::move(later_);
    for (const auto& x : later)
      if (auto bad = take(x, false))
        return bad;
    return std::nullopt;
  }

  void hand_on(const ranks& run, const std::set<std::int64_t>& received) {
    for (auto a : run)
      for (auto b : run)
        if (a != b && received.count(a) > 0)
          plan_.stage2->emplace_back(a, b);
  }

  complaint schedule() {
    plan_.send_recv = make_send_table(plan_.stage1);
    plan_.send_recv_routed = make_send_table(plan_.routed);
    if (plan_.stage2) {
      plan_.send_recv2 = make_send_table(*plan_.stage2);
      plan_.steps = second_stage_steps(plan_.send_recv2, dst_.tensor);
    }
    const auto* ordered = plan_.tp_map == 1 ? &plan_.send_recv
                                            : &plan_.send_recv_routed;
    if (plan_.tp_map == 1 || !ordered->empty()) {
      plan_.send_order = interleave_senders(*ordered, src_.dp_rank,
                                            src_.dp_size);
      auto waves = split_sync_groups(*plan_.send_order, *ordered);
      if (!waves)
        return waves.error();
      plan_.send_waves = std::move(*waves);
    }
    make_collectives(*ordered);
    return std::nullopt;
  }

  void make_collectives(const send_table& ordered) {
    if (plan_.comm == sync_comm::p2p) {
      ranks all;
      auto count = src_.gpu.size() + dst_.gpu.size();
      for (std::size_t r = 0; r < count; ++r)
        all.push_back(static_cast<std::int64_t>(r));
      plan_.groups.push_back(std::move(all));
    }
    if (request_.variant == sync_variant::hep && dst_.is_vllm
        && plan_.regroup == regroup_comm::allgather && plan_.regroup_groups) {
      std::set<ranks> made;
      for (const auto& list : *plan_.regroup_groups)
        if (made.insert(list).second)
          plan_.groups.push_back(list);
    }
    if (plan_.comm == sync_comm::p2p)
      return;
    auto first = plan_.groups.size();
    std::unordered_map<std::int64_t, const ranks*> receivers;
    for (const auto& [from, to] : ordered)
      receivers.emplace(from, &to);
    auto add = [&](std::int64_t from, const ranks& to) {
      auto& group = plan_.groups.emplace_back();
      group.push_back(from);
      group.insert(group.end(), to.begin(), to.end());
    };
    for (const auto& wave : plan_.send_waves)
      for (auto sender : wave)
        add(sender, *receivers.at(sender));
    if (plan_.stage2) {
      for (const auto& [from, to] : plan_.send_recv)
        add(from, to);
      for (const auto& step : plan_.steps)
        for (const auto& [from, to] : step)
          plan_.groups.push_back({from, to});
    }
    std::vector<ranks> collectives{plan_.groups.begin()
                                     + static_cast<std::ptrdiff_t>(first),
                                   plan_.groups.end()};
    plan_.warmup = schedule_rounds(collectives);
    for (auto& round : *plan_.warmup)
      for (auto& i : round)
        i += static_cast<std::int64_t>(first);
  }

  const sync_request& request_;
  const sync_source& src_;
  const sync_destination& dst_;
  sync_plan plan_;
  /// Source data groups in the order in which one stage uses them.
  std::vector<ranks> sources_;
  std::vector<ranks> replicas_;
  std::vector<deferred> later_;
};

} // namespace

outcome<sync_plan> map_ranks(const sync_request& request) {
  auto plan = mapper{request}.run();
  if (!plan)
    return plan;
  auto problems = verify(*plan, request);
  if (!problems.empty())
    return refuse(refusal_kind::unsound, problems.front());
  return plan;
}

outcome<rank_pairs> map_fsdp_ranks(const sync_request& request) {
  const auto& src = request.source.gpu;
  const auto& dst = request.destination;
  auto base = static_cast<std::int64_t>(src.size());
  rank_pairs pairs;
  bool same = true;
  std::size_t next = 0;
  std::size_t first = 0;
  for (auto size : dst.replica_sizes) {
    auto count = static_cast<std::size_t>(size);
    for (std::size_t i = 0; i < count && next < src.size(); ++i, ++next) {
      auto to = first + count - 1 - i;
      pairs.emplace_back(static_cast<std::int64_t>(next),
                         base + static_cast<std::int64_t>(to));
      same = same && src[next] == dst.gpu[to];
    }
    first += count;
  }
  if (same && pairs.size() == dst.gpu.size())
    return pairs;
  std::unordered_map<std::int64_t, std::int64_t> source_on;
  for (std::size_t r = 0; r < src.size(); ++r)
    source_on.emplace(src[r], static_cast<std::int64_t>(r));
  pairs.clear();
  for (std::size_t r = 0; r < dst.gpu.size(); ++r) {
    auto found = source_on.find(dst.gpu[r]);
    if (found == source_on.end())
      return refuse(refusal_kind::unsound,
                    fmt::format("destination rank {} has no source rank on its "
                                "GPU to pass it memory handles; colocate the "
                                "models",
                                r));
    pairs.emplace_back(found->second, base + static_cast<std::int64_t>(r));
  }
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

} // namespace troupe::planner::chatlearn
