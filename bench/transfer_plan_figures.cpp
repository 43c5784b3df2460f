// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/transfer_plan_figures.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <malloc.h>

#include "troupe/planner/weights/flows.hpp"
#include "troupe/planner/weights/layout_builders.hpp"
#include "troupe/planner/weights/reshard.hpp"

namespace troupe::bench {

namespace {

namespace weights = planner::weights;
using weights::shared_layout;
using weights::slice;

constexpr std::int32_t devices_per_node = 8;

/// Parts of a layout and who holds which, before anything is checked.
struct raw_layout {
  std::vector<shared_layout::part> parts;
  std::vector<std::vector<std::uint32_t>> ranks;
  std::int32_t first_node = 0;
};

result<shared_layout> share(raw_layout x, const std::string& model) {
  shared_layout out{model};
  for (auto& part : x.parts)
    if (auto added = out.add_part(std::move(part)); !added)
      return fail(added.error());
  std::int32_t next = 0;
  for (auto& parts : x.ranks) {
    auto node = x.first_node + next / devices_per_node;
    auto added = out.add_rank({rank_id{next}, node_id{node},
                               device_id{next % devices_per_node},
                               std::move(parts)});
    if (!added)
      return fail(added.error());
    ++next;
  }
  return out;
}

stored_tensor whole(std::string name, const shape& extents) {
  auto segment = *whole_segment(name, extents);
  return {std::move(name), dtype::bfloat16, extents, {std::move(segment)}};
}

// -- a mixture of experts ------------------------------------------------------

constexpr std::int64_t experts = 256;
constexpr std::int64_t matrices = 2;
constexpr std::int64_t stages = 8;

/// One of `count` tensors, 44 of 60 of them experts'.
class expert_model {
public:
  explicit expert_model(std::int64_t count)
    : routed_(count * 44 / 60),
      dense_(count - routed_),
      layers_((routed_ + experts * matrices - 1) / (experts * matrices)) {
    // nop
  }

  /// Expert-parallel over `ranks` in each of `num_stage` stages; all ranks of a
  /// stage hold its other tensors.
  raw_layout make(std::int64_t num_stage, std::int64_t ranks,
                  std::int32_t first_node) const {
    raw_layout out;
    out.first_node = first_node;
    out.parts.resize(static_cast<std::size_t>(num_stage * (ranks + 1)));
    auto stage_of = [&](std::int64_t layer) {
      return layer * num_stage / layers_;
    };
    for (std::int64_t i = 0; i < dense_; ++i) {
      auto layer = i * layers_ / dense_;
      part(out, stage_of(layer), ranks, ranks)
        .push_back(
          whole(fmt::format("model.layers.{}.dense.{}.weight", layer, i),
                {512, 512}));
    }
    for (std::int64_t i = 0; i < routed_; ++i) {
      auto layer = i / (experts * matrices);
      auto expert = i / matrices % experts;
      part(out, stage_of(layer), expert * ranks / experts, ranks)
        .push_back(whole(fmt::format("model.layers.{}.mlp.experts.{}.w{}."
                                     "weight",
                                     layer, expert, i % matrices),
                         {2048, 1024}));
    }
    for (std::int64_t s = 0; s < num_stage; ++s)
      for (std::int64_t r = 0; r < ranks; ++r)
        out.ranks.push_back({number(s, ranks, ranks), number(s, r, ranks)});
    return out;
  }

private:
  static std::uint32_t number(std::int64_t stage, std::int64_t rank,
                              std::int64_t ranks) {
    return static_cast<std::uint32_t>(stage * (ranks + 1) + rank);
  }

  static shared_layout::part& part(raw_layout& out, std::int64_t stage,
                                   std::int64_t rank, std::int64_t ranks) {
    return out.parts[number(stage, rank, ranks)];
  }

  std::int64_t routed_;
  std::int64_t dense_;
  std::int64_t layers_;
};

// -- a dense model -------------------------------------------------------------

constexpr std::int64_t dense_layers = 126;
constexpr std::int64_t hidden = 16384;

/// What a rank of a dense model stores: one part.
result<shared_layout::part> dense_part(slice tensor, interval layers) {
  shared_layout::part out;
  result<void> done;
  auto add = [&](result<stored_tensor> x) {
    if (x)
      out.push_back(std::move(*x));
    else if (done)
      done = fail(x.error());
  };
  auto sliced = [&](const std::string& name, const shape& extents,
                    std::size_t dim) {
    add(weights::sliced_tensor(name, {name, extents}, dtype::bfloat16, dim,
                               weights::even_part(extents[dim], tensor)));
  };
  for (auto i = layers.begin; i < layers.end; ++i) {
    auto name = [&](std::string_view x) {
      return fmt::format("model.layers.{}.{}.weight", i, x);
    };
    weights::qkv_heads heads{name("q_proj"),
                             name("k_proj"),
                             name("v_proj"),
                             128,
                             8,
                             128,
                             {hidden}};
    add(weights::fused_qkv(name("qkv"), heads, dtype::bfloat16, tensor,
                           weights::qkv_order::blocks));
    add(weights::fused_rows(name("gate_up"),
                            {{name("gate"), {53248, hidden}},
                             {name("up"), {53248, hidden}}},
                            dtype::bfloat16, tensor));
    sliced(name("o_proj"), {hidden, hidden}, 1);
    sliced(name("down_proj"), {hidden, 53248}, 1);
    out.push_back(whole(name("norm_1"), {hidden}));
    out.push_back(whole(name("norm_2"), {hidden}));
  }
  if (layers.begin == 0)
    sliced("model.embed_tokens.weight", {128256, hidden}, 0);
  if (layers.end == dense_layers) {
    sliced("lm_head.weight", {128256, hidden}, 0);
    out.push_back(whole("model.norm.weight", {hidden}));
  }
  if (!done)
    return fail(done.error());
  return out;
}

result<raw_layout> dense_layout(std::int64_t num_stage, std::int64_t copies,
                                std::int32_t first_node) {
  constexpr std::int64_t tensor = 8;
  raw_layout out;
  out.first_node = first_node;
  for (std::int64_t s = 0; s < num_stage; ++s)
    for (std::int64_t t = 0; t < tensor; ++t) {
      auto part = dense_part({t, tensor},
                             weights::even_part(dense_layers, {s, num_stage}));
      if (!part)
        return fail(part.error());
      out.parts.push_back(std::move(*part));
    }
  for (std::int64_t c = 0; c < copies; ++c)
    for (std::uint32_t i = 0; i < out.parts.size(); ++i)
      out.ranks.push_back({i});
  return out;
}

// -- measuring -----------------------------------------------------------------

/// A line of /proc/self/status, in bytes; 0 if there is none.
std::uint64_t status_bytes(const std::string& name) {
  std::ifstream file{"/proc/self/status"};
  std::string word;
  while (file >> word)
    if (std::uint64_t kilobytes = 0; word == name + ':' && file >> kilobytes)
      return kilobytes * 1024;
  return 0;
}

/// What one plan took and gave.
struct sample {
  double wall = 0;
  double processor = 0;
  std::uint64_t transfers = 0;
  std::uint64_t bytes = 0;
};

result<sample> plan_once(raw_layout from, raw_layout to) {
  using clock = std::chrono::steady_clock;
  auto processor = std::clock();
  auto start = clock::now();
  auto source = share(std::move(from), "trainer");
  if (!source)
    return fail(source.error());
  auto destination = share(std::move(to), "policy");
  if (!destination)
    return fail(destination.error());
  auto plan = weights::reshard(*source, *destination);
  sample out;
  out.wall = std::chrono::duration<double>(clock::now() - start).count();
  out.processor = static_cast<double>(std::clock() - processor)
                  / CLOCKS_PER_SEC;
  out.transfers = plan.transfers.size();
  for (const auto& x : plan.transfers)
    out.bytes += x.bytes * x.destinations.size();
  if (out.bytes != weights::lower_bound(*source, *destination))
    return fail(errc::internal, "a plan moves other bytes than it must");
  return out;
}

/// The least of a few runs.
template <class Make>
result<sample> plan_best(int runs, Make&& make) {
  sample best;
  best.wall = std::numeric_limits<double>::infinity();
  best.processor = best.wall;
  for (int i = 0; i < runs; ++i) {
    result<sample> x = make();
    if (!x)
      return x;
    auto wall = std::min(best.wall, x->wall);
    auto processor = std::min(best.processor, x->processor);
    best = *x;
    best.wall = wall;
    best.processor = processor;
  }
  return best;
}

result<sample> plan_experts(std::int64_t count) {
  expert_model model{count};
  return plan_once(model.make(stages, 32, 0),
                   model.make(1, 128, stages * 32 / devices_per_node));
}

/// The slope of log(seconds) over log(tensors) by least squares.
double slope(const std::vector<std::pair<std::int64_t, double>>& points) {
  double sx = 0;
  double sy = 0;
  double sxx = 0;
  double sxy = 0;
  for (auto [size, seconds] : points) {
    auto x = std::log(static_cast<double>(size));
    auto y = std::log(seconds);
    sx += x;
    sy += y;
    sxx += x * x;
    sxy += x * y;
  }
  auto n = static_cast<double>(points.size());
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

} // namespace

result<transfer_plan_figures> measure_transfer_plans(bool quick) {
  transfer_plan_figures out;
  auto runs = quick ? 2 : 5;
  // The peak starts from what is there, and nothing freed is used again.
  malloc_trim(0);
  std::ofstream{"/proc/self/clear_refs"} << "5";
  auto before = status_bytes("VmRSS");
  if (auto x = plan_experts(60'000); !x)
    return fail(x.error());
  auto peak = status_bytes("VmHWM");
  constexpr double megabyte = 1e6;
  out.plan_megabytes = peak > before
                         ? static_cast<double>(peak - before) / megabyte
                         : 0;
  for (std::int64_t count : {30'000, 60'000, 120'000, 240'000}) {
    auto x = plan_best(runs, [&] { return plan_experts(count); });
    if (!x)
      return fail(x.error());
    out.plan_samples.emplace_back(count, x->processor);
    if (count == 60'000) {
      out.plan_seconds = x->wall;
      out.plan_transfers = x->transfers;
      out.plan_bytes = x->bytes;
    }
  }
  out.plan_exponent = slope(out.plan_samples);
  auto dense = plan_best(runs, []() -> result<sample> {
    auto from = dense_layout(32, 1, 0);
    if (!from)
      return fail(from.error());
    auto to = dense_layout(1, 16, 32);
    if (!to)
      return fail(to.error());
    return plan_once(std::move(*from), std::move(*to));
  });
  if (!dense)
    return fail(dense.error());
  out.dense_plan_seconds = dense->wall;
  return out;
}

} // namespace troupe::bench
