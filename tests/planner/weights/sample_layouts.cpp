// SPDX-License-Identifier: Apache-2.0
#include "planner/weights/sample_layouts.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace troupe::test {

namespace weights = planner::weights;

namespace {

constexpr std::int64_t max_ranks = 16;

} // namespace

void random_layouts::choose_model() {
  layers_ = pick(1, 3);
  head_dim_ = pick(1, 3);
  kv_heads_ = std::int64_t{1} << pick(0, 2);
  heads_ = 4 * std::int64_t{1} << pick(0, 1);
  heads_ = std::max(heads_, kv_heads_);
  hidden_ = pick(1, 6);
  ffn_ = pick(1, 9);
  vocab_ = pick(1, 21);
  experts_ = pick(0, 1) * pick(1, 6);
  tied_ = pick(0, 1) == 1;
}

dtype random_layouts::pick_type() {
  return pick(0, 1) == 0 ? dtype::float32 : dtype::bfloat16;
}

weight_layout random_layouts::make(const std::string& model, bool source) {
  weight_layout out{model, {}};
  switch (pick(0, 3)) {
    case 0: add_flat(out); break;
    case 1: add_wild(out, source); break;
    default: add_parallel(out); break;
  }
  seat_ranks(out);
  return out;
}

void random_layouts::seat_ranks(weight_layout& out) {
  // Several ranks may share a device, and devices may come in any order.
  auto nodes = pick(1, 3);
  auto devices = pick(1, 8);
  std::int32_t next = 0;
  for (auto& rank : out.ranks) {
    rank.rank = rank_id{next++};
    rank.node = node_id{static_cast<std::int32_t>(pick(0, nodes - 1))};
    rank.device = device_id{static_cast<std::int32_t>(pick(0, devices - 1))};
  }
}

// -- as frameworks do ----------------------------------------------------------

void random_layouts::add_parallel(weight_layout& out) {
  style_ = static_cast<int>(pick(0, 2));
  auto tp = std::int64_t{1} << pick(0, 2);
  auto pp = std::min(layers_, pick(1, 3));
  auto ep = experts_ > 0 ? pick(1, std::min<std::int64_t>(experts_, 4)) : 1;
  while (tp * pp * ep > max_ranks)
    tp /= 2;
  auto dp = pick(1, max_ranks / (tp * pp * ep));
  auto type = pick_type();
  weight_layout one{out.model, {}};
  for (std::int64_t p = 0; p < pp; ++p)
    for (std::int64_t e = 0; e < ep; ++e)
      for (std::int64_t t = 0; t < tp; ++t) {
        one.ranks.emplace_back().tensors = transformer_rank(t, tp, p, pp, e, ep,
                                                            type);
        // dtype is a rank's own affair.
        if (pick(0, 9) == 0)
          type = pick_type();
      }
  out = weights::replicated(one, static_cast<std::int32_t>(dp));
}

std::vector<stored_tensor> random_layouts::transformer_rank(
  std::int64_t tp, std::int64_t tp_count, std::int64_t pp,
  std::int64_t pp_count, std::int64_t ep, std::int64_t ep_count, dtype type) {
  std::vector<stored_tensor> out;
  weights::slice part{tp, tp_count};
  auto add = [&](result<stored_tensor> x) {
    out.push_back(good(std::move(x)));
  };
  auto padded = (vocab_ + tp_count - 1) / tp_count * tp_count;
  weights::logical_tensor embedding{"embed", {vocab_, hidden_}};
  weights::logical_tensor head{"head", {vocab_, hidden_}};
  if (pp == 0)
    add(weights::padded_rows("word_embeddings", embedding, type, padded, part));
  for (auto layer : [&] {
         std::vector<std::int64_t> own;
         auto range = weights::even_part(layers_, {pp, pp_count});
         for (auto i = range.begin; i < range.end; ++i)
           own.push_back(i);
         return own;
       }()) {
    auto name = [&](std::string_view x) {
      return fmt::format("layers.{}.{}", layer, x);
    };
    weights::logical_tensor norm{name("norm"), {hidden_}};
    add(weights::whole_tensor(name("local.norm"), norm, type));
    weights::qkv_heads qkv{name("q"), name("k"), name("v"), heads_,
                           kv_heads_, head_dim_, {hidden_}};
    add(weights::fused_qkv(name("qkv"), qkv, type, part,
                           style_ == 0 ? weights::qkv_order::groups
                                       : weights::qkv_order::blocks));
    weights::logical_tensor o{name("o"), {hidden_, heads_ * head_dim_}};
    add(weights::sliced_tensor(name("o"), o, type, 1,
                               weights::even_part(heads_ * head_dim_, part)));
    if (experts_ == 0) {
      add(weights::fused_rows(name("gate_up"),
                              {{name("gate"), {ffn_, hidden_}},
                               {name("up"), {ffn_, hidden_}}},
                              type, part));
      continue;
    }
    auto range = weights::even_part(experts_, {ep, ep_count});
    std::vector<weights::logical_tensor> own;
    for (auto e = range.begin; e < range.end; ++e)
      own.push_back({name(fmt::format("experts.{}", e)), {ffn_, hidden_}});
    if (style_ == 1)
      add(weights::stacked_tensor(name("experts"), own, type));
    else
      for (const auto& x : own)
        add(weights::whole_tensor("local." + x.name, x, type));
  }
  if (pp + 1 == pp_count)
    add(weights::padded_rows("lm_head", tied_ ? embedding : head, type, padded,
                             part));
  return out;
}

void random_layouts::add_flat(weight_layout& out) {
  auto world = pick(1, max_ranks);
  auto type = pick_type();
  weights::logical_tensor embedding{"embed", {vocab_, hidden_}};
  std::vector<tensors> units;
  units.push_back({embedding});
  if (!tied_)
    units.back().push_back({"head", {vocab_, hidden_}});
  for (std::int64_t layer = 0; layer < layers_; ++layer) {
    auto name = [&](std::string_view x) {
      return fmt::format("layers.{}.{}", layer, x);
    };
    auto& unit = units.emplace_back();
    unit.push_back({name("norm"), {hidden_}});
    unit.push_back({name("q"), {heads_ * head_dim_, hidden_}});
    unit.push_back({name("k"), {kv_heads_ * head_dim_, hidden_}});
    unit.push_back({name("v"), {kv_heads_ * head_dim_, hidden_}});
    unit.push_back({name("o"), {hidden_, heads_ * head_dim_}});
    if (experts_ == 0) {
      unit.push_back({name("gate"), {ffn_, hidden_}});
      unit.push_back({name("up"), {ffn_, hidden_}});
    }
    for (std::int64_t e = 0; e < experts_; ++e)
      unit.push_back({name(fmt::format("experts.{}", e)), {ffn_, hidden_}});
  }
  weight_layout one{out.model, {}};
  for (std::int64_t r = 0; r < world; ++r) {
    auto& rank = one.ranks.emplace_back();
    for (std::size_t u = 0; u < units.size(); ++u)
      rank.tensors.push_back(
        good(weights::flat_shard(fmt::format("flat.{}", u), units[u], type,
                                 {r, world})));
  }
  out = weights::replicated(one, static_cast<std::int32_t>(
                                   pick(1, max_ranks / world)));
}

// -- as nobody does ------------------------------------------------------------

void random_layouts::cut_wild(const box& where, int depth,
                              std::vector<box>& out) {
  if (depth == 0 || where.dims() == 0 || where.size() < 2) {
    out.push_back(where);
    return;
  }
  auto dim = static_cast<std::size_t>(
    pick(0, static_cast<std::int64_t>(where.dims()) - 1));
  if (where[dim].size() < 2) {
    cut_wild(where, depth - 1, out);
    return;
  }
  auto at = pick(where[dim].begin + 1, where[dim].end - 1);
  cut_wild(where.part(dim, {where[dim].begin, at}), depth - 1, out);
  cut_wild(where.part(dim, {at, where[dim].end}), depth - 1, out);
}

stored_tensor random_layouts::wild_tensor(const std::string& logical,
                                          const box& where, dtype type) {
  stored_tensor out{fmt::format("t{}", next_name_++), type, {}, {}};
  // As many dimensions as the box, more, or fewer.
  auto m = static_cast<std::int64_t>(where.dims());
  auto n = pick(m == 0 ? 0 : 1, m + 1);
  shape region;
  for (std::int64_t i = 0; i < n; ++i) {
    if (n >= m) {
      region.push_back(
        i < n - m ? 1 : where[static_cast<std::size_t>(i - (n - m))].size());
      continue;
    }
    std::int64_t extent = 1;
    for (auto j = i == 0 ? 0 : i + m - n; j <= i + m - n; ++j)
      extent *= where[static_cast<std::size_t>(j)].size();
    region.push_back(extent);
  }
  // Padding around it.
  std::vector<std::int64_t> begin;
  for (auto extent : region) {
    begin.push_back(pick(0, 2));
    out.extents.push_back(begin.back() + extent + pick(0, 1));
  }
  out.segments.push_back({logical, where, begin});
  return out;
}

void random_layouts::add_wild(weight_layout& out, bool source) {
  auto world = pick(1, max_ranks);
  out.ranks.resize(static_cast<std::size_t>(world));
  tensors all{{"embed", {vocab_, hidden_}},
              {"head", {vocab_, hidden_}},
              {"scale", {}},
              {"cube", {pick(1, 4), pick(1, 4), pick(1, 4)}}};
  for (std::int64_t layer = 0; layer < layers_; ++layer) {
    auto name = [&](std::string_view x) {
      return fmt::format("layers.{}.{}", layer, x);
    };
    all.push_back({name("norm"), {hidden_}});
    all.push_back({name("q"), {heads_ * head_dim_, hidden_}});
    all.push_back({name("o"), {hidden_, heads_ * head_dim_}});
    for (std::int64_t e = 0; e < experts_; ++e)
      all.push_back({name(fmt::format("experts.{}", e)), {ffn_, hidden_}});
  }
  auto any_rank = [&]() -> rank_layout& {
    return out.ranks[static_cast<std::size_t>(pick(0, world - 1))];
  };
  for (const auto& x : all) {
    // Several ways of cutting it side by side: boxes overlap.
    for (auto copies = pick(source ? 1 : 0, 3); copies > 0; --copies) {
      std::vector<box> boxes;
      cut_wild(*box::whole(x.extents), static_cast<int>(pick(0, 4)), boxes);
      for (const auto& where : boxes)
        any_rank().tensors.push_back(wild_tensor(x.name, where, pick_type()));
    }
  }
}

} // namespace troupe::test
