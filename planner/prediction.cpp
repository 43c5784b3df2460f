// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/prediction.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "troupe/planner/model_memory.hpp"

namespace troupe::planner {

namespace {

double wide(std::int64_t x) {
  return static_cast<double>(x);
}

/// Data copies of a model: replicas and the copies inside them.
std::int64_t copies_of(const model_spec& spec) {
  return std::max<std::int64_t>(1, std::int64_t{spec.num_replica}
                                     * spec.parallel.data
                                     * spec.parallel.context);
}

/// Seconds of `count` all-reduces of `bytes` among `ranks`: a ring moves
/// 2 (n-1)/n of the bytes through each rank.
double all_reduce_seconds(double bytes, double ranks, double bandwidth,
                          double count, double latency) {
  if (ranks < 2)
    return 0;
  return count * latency + bytes * 2 * (ranks - 1) / ranks / bandwidth;
}

struct estimate {
  const model_spec& spec;
  const model_profile& profile;
  const workload& work;
  const cost_model& costs;
  const node_spec& where;
  const model_links& links;

  [[nodiscard]] double tensor() const { return spec.parallel.tensor; }

  /// Devices that share the work of one data copy.
  [[nodiscard]] double ranks() const {
    return tensor() * spec.parallel.pipeline * spec.gpu_per_process;
  }

  [[nodiscard]] double layers() const {
    return wide(profile.parameters.layers());
  }

  [[nodiscard]] double hidden() const {
    return profile.shape ? wide(profile.shape->hidden_size) : 0;
  }

  [[nodiscard]] double samples_per_copy() const {
    return std::ceil(wide(work.samples) / wide(copies_of(spec)));
  }

  [[nodiscard]] double active() const {
    return static_cast<double>(profile.parameters.active());
  }

  /// All-reduces of `per_layer` activations of `tokens` in each layer; the
  /// stages of a pipeline do theirs at the same time.
  [[nodiscard]] double tensor_seconds(double tokens, double per_layer,
                                      double calls) const {
    auto count = layers() * per_layer / spec.parallel.pipeline;
    return all_reduce_seconds(count * 2 * hidden() * tokens, tensor(),
                              bandwidth_of(costs, links.tensor, where),
                              count * calls, costs.collective_seconds);
  }

  /// Idle part of a pipeline that `micro_batches` pass.
  [[nodiscard]] double bubble(double micro_batches) const {
    return 1 + (spec.parallel.pipeline - 1) / std::max(1.0, micro_batches);
  }

  [[nodiscard]] double micro_batches() const {
    return std::ceil(samples_per_copy() / std::max(1, profile.micro_batch));
  }

  [[nodiscard]] double score() const {
    auto tokens = samples_per_copy()
                  * wide(work.prompt_tokens + work.response_tokens);
    auto compute = 2 * active() * tokens
                   / (ranks() * costs.peak_flops * costs.forward_efficiency);
    return (compute + tensor_seconds(tokens, 2, micro_batches()))
           * bubble(micro_batches());
  }

  [[nodiscard]] double generate() const {
    auto in_replica = std::int64_t{spec.parallel.data} * spec.parallel.context;
    auto room = std::max(1.0, std::ceil(wide(profile.concurrent_sequences)
                                        / wide(in_replica)));
    auto samples = samples_per_copy();
    auto waves = std::ceil(samples / room);
    auto batch = std::ceil(samples / waves);
    // Decoding reads all weights that the batch touches and its KV cache.
    const auto& counts = profile.parameters;
    auto weights = static_cast<double>(size_of(profile.weights))
                   * static_cast<double>(counts.total());
    if (counts.experts > 0) {
      auto untouched = std::max(0.0,
                                wide(counts.experts)
                                  - batch * wide(counts.experts_per_token));
      weights -= static_cast<double>(size_of(profile.weights)) * untouched
                 * wide(counts.expert_layers)
                 * static_cast<double>(counts.expert);
    }
    auto context = wide(work.prompt_tokens) + wide(work.response_tokens) / 2;
    auto memory = (weights / ranks() + kv_bytes_per_token() * batch * context)
                  / (costs.memory_bandwidth * costs.memory_efficiency);
    auto forward = ranks() * costs.peak_flops * costs.forward_efficiency;
    auto compute = 2 * active() * batch / forward;
    // A token passes the stages one after the other: what a rank reads is a
    // stage's, so the stages' times add up.
    auto step = std::max(memory, compute) * spec.parallel.pipeline
                + tensor_seconds(batch, 2, 1) * spec.parallel.pipeline;
    auto prompt = samples * wide(work.prompt_tokens);
    auto prefill = 2 * active() * prompt / forward
                   + tensor_seconds(prompt, 2, waves);
    return waves * wide(work.response_tokens) * step + prefill;
  }

  /// Of one rank.
  [[nodiscard]] double kv_bytes_per_token() const {
    if (!profile.shape)
      return 0;
    auto kv_ranks = std::min<std::int64_t>(spec.parallel.tensor,
                                           profile.parameters.kv_heads);
    const auto& shape = *profile.shape;
    auto head_dim = shape.head_dim > 0 ? wide(shape.head_dim)
                                       : wide(shape.hidden_size)
                                           / wide(shape.num_attention_heads);
    return 2 * wide(profile.parameters.kv_heads) * head_dim / wide(kv_ranks)
           * static_cast<double>(size_of(profile.kv_cache)) * layers()
           / spec.parallel.pipeline;
  }

  [[nodiscard]] double train() const {
    auto tokens = samples_per_copy() * work.epochs
                  * wide(work.prompt_tokens + work.response_tokens);
    // Backward costs twice the forward pass; full recomputation repeats that.
    auto passes = profile.recompute == recompute_policy::full ? 8 : 6;
    auto compute = passes * active() * tokens
                   / (ranks() * costs.peak_flops * costs.training_efficiency);
    auto micro = micro_batches() * work.epochs;
    auto steps = std::ceil(wide(work.samples) * work.epochs
                           / wide(work.train_batch));
    auto busy = (compute + tensor_seconds(tokens, 4, micro))
                * bubble(micro / steps);
    auto held = parameters_of_rank(profile.parameters, spec.parallel, 0);
    auto gradients = static_cast<double>(held.total())
                     * static_cast<double>(size_of(profile.gradients));
    auto reduce = all_reduce_seconds(gradients, wide(copies_of(spec)),
                                     bandwidth_of(costs, links.data, where), 1,
                                     costs.collective_seconds);
    auto memory = active_memory(profile, spec.parallel, 0, phase::training, {});
    auto update = 2
                  * static_cast<double>(memory.optimizer + memory.weights
                                        + memory.gradients)
                  / (costs.memory_bandwidth * costs.memory_efficiency);
    return busy + steps * (reduce + update);
  }
};

/// The slowest link among the ranks of any group of `dim`.
link_class slowest_link(const parallel_layout& layout, dimension dim,
                        const model_place& place, const device_map& devices) {
  auto slowest = link_class::device;
  for (const auto& replica : place.replicas)
    for (std::size_t i = 0; i < replica.ranks.size(); ++i) {
      rank_id rank{static_cast<std::int32_t>(i)};
      auto next = static_cast<std::size_t>(layout.next(dim, rank).value());
      if (next != i)
        slowest = std::max(slowest,
                           devices
                             .between(replica.ranks[i].devices.front(),
                                      replica.ranks[next].devices.front()));
    }
  return slowest;
}

result<void> check_input(const workload& work, const cost_model& costs) {
  struct bound {
    std::string_view name;
    double value;
  };
  const std::array<bound, 17> bounds{{
    {"samples", wide(work.samples)},
    {"prompt_tokens", wide(work.prompt_tokens)},
    {"response_tokens", wide(work.response_tokens)},
    {"train_batch", wide(work.train_batch)},
    {"epochs", wide(work.epochs)},
    {"batches", wide(work.batches)},
    {"peak_flops", costs.peak_flops},
    {"training_efficiency", costs.training_efficiency},
    {"forward_efficiency", costs.forward_efficiency},
    {"memory_bandwidth", costs.memory_bandwidth},
    {"memory_efficiency", costs.memory_efficiency},
    {"device_bandwidth", costs.device_bandwidth},
    {"domain_bandwidth", costs.domain_bandwidth},
    {"node_bandwidth", costs.node_bandwidth},
    {"nic_bandwidth", costs.nic_bandwidth},
    {"host_bandwidth", costs.host_bandwidth},
    {"collective_seconds and sync_seconds",
     std::min(costs.collective_seconds, costs.sync_seconds) >= 0 ? 1.0 : -1.0},
  }};
  for (const auto& x : bounds)
    if (!(x.value > 0) || !std::isfinite(x.value))
      return fail(errc::invalid, fmt::format("{} must be above zero, got {}",
                                             x.name, x.value));
  return {};
}

/// Seconds of the device that is busiest when everybody on it takes turns.
class turns {
public:
  explicit turns(std::size_t devices) : busy_(devices) {
    // nop
  }

  void add(const model_place& place, double seconds) {
    for (const auto& replica : place.replicas)
      for (const auto& rank : replica.ranks)
        for (auto device : rank.devices)
          mark(device, seconds);
    ++epoch_;
  }

  /// Both ends work at the same time.
  void add(const model_place& a, const model_place& b, double seconds) {
    add(a, seconds);
    --epoch_;
    add(b, seconds);
  }

  [[nodiscard]] double busiest() const noexcept { return busiest_; }

private:
  struct slot {
    double seconds = 0;
    std::uint64_t epoch = 0;
  };

  /// Several ranks of one model on one device count once.
  void mark(device_id device, double seconds) {
    auto& x = busy_[static_cast<std::size_t>(device.value())];
    if (x.epoch == epoch_)
      return;
    x.epoch = epoch_;
    x.seconds += seconds;
    busiest_ = std::max(busiest_, x.seconds);
  }

  std::vector<slot> busy_;
  std::uint64_t epoch_ = 1;
  double busiest_ = 0;
};

result<void> check_place(const model_place& place,
                         const parallel_layout& layout,
                         const device_map& devices) {
  for (const auto& replica : place.replicas) {
    auto sound = replica.ranks.size()
                 == static_cast<std::size_t>(layout.world());
    for (const auto& rank : replica.ranks)
      sound = sound && !rank.devices.empty()
              && std::all_of(rank.devices.begin(), rank.devices.end(),
                             [&devices](device_id device) {
                               return devices.contains(device);
                             });
    if (!sound)
      return fail(errc::invalid,
                  fmt::format("{}: the placement does not fit the parallel "
                              "sizes or the cluster",
                              place.name));
  }
  return {};
}

} // namespace

double model_seconds(const model_spec& spec, const model_profile& profile,
                     const workload& work, const cost_model& costs,
                     const node_spec& where,
                     const model_links& links) noexcept {
  estimate x{spec, profile, work, costs, where, links};
  switch (profile.role) {
    case model_role::generate: return x.generate();
    case model_role::score: return x.score();
    case model_role::train: return x.train();
  }
  return 0;
}

double offload_seconds(const model_spec& spec, const model_profile& profile,
                       const cost_model& costs) noexcept {
  if (!profile.offload)
    return 0;
  auto stays = profile;
  stays.offload = false;
  std::uint64_t most = 0;
  for (std::int32_t stage = 0; stage < spec.parallel.pipeline; ++stage) {
    // A KV cache and gradients are given up, not moved: both are made anew.
    auto held = idle_memory(stays, spec.parallel, stage);
    most = std::max(most, held.weights + held.optimizer);
  }
  return 2 * static_cast<double>(most) / costs.host_bandwidth
         / std::max(1, spec.gpu_per_process);
}

result<iteration_prediction>
predict_iteration(const placement& plan, const job_spec& job,
                  const cluster& machines,
                  std::span<const model_profile> profiles, const workload& work,
                  const cost_model& costs) {
  if (auto ok = check_input(work, costs); !ok)
    return fail(ok.error());
  if (machines.nodes.empty())
    return fail(errc::invalid, "a cluster without nodes runs nothing");
  const device_map devices{machines};
  iteration_prediction x;
  struct known {
    const model_spec* spec;
    const model_profile* profile;
    const model_place* place;
  };
  std::map<std::string_view, known> models;
  turns generating{devices.size()};
  turns scoring{devices.size()};
  turns streaming{devices.size()};
  turns training{devices.size()};
  for (const auto& place : plan.models) {
    const auto* spec = find_spec(job, place.name);
    const auto* profile = find_profile(profiles, place.name);
    if (spec == nullptr || profile == nullptr || spec->on_cpu())
      continue;
    auto layout = parallel_layout::make(spec->parallel, profile->order);
    if (!layout)
      return fail(layout.error().within(place.name));
    if (auto ok = check_place(place, *layout, devices); !ok)
      return fail(ok.error());
    models.emplace(place.name, known{spec, profile, &place});
    model_time time;
    time.name = place.name;
    time.role = profile->role;
    time.links = {slowest_link(*layout, dimension::tensor, place, devices),
                  slowest_link(*layout, dimension::data, place, devices)};
    time.work_seconds = model_seconds(*spec, *profile, work, costs,
                                      machines.nodes.front(), time.links);
    time.offload_seconds = offload_seconds(*spec, *profile, costs);
    if (profile->role == model_role::train) {
      training.add(place, time.total());
    } else {
      auto& stage = profile->role == model_role::generate ? generating
                                                          : scoring;
      stage.add(place, time.total());
      streaming.add(place, time.total());
    }
    x.models.push_back(std::move(time));
  }
  // The first batch passes both stages in turn; behind it the busiest device
  // sets the pace.
  auto first = 1.0 / work.batches;
  x.generation_seconds = first * (generating.busiest() + scoring.busiest())
                         + (1 - first) * streaming.busiest();
  x.training_seconds = training.busiest();
  turns syncing{devices.size()};
  for (const auto& pair : job.syncs) {
    auto source = models.find(pair.source);
    auto destination = models.find(pair.destination);
    if (source == models.end() || destination == models.end())
      continue;
    const auto& from = source->second;
    const auto& to = destination->second;
    auto sync = predict_sync({*from.spec, *from.profile, *from.place},
                             {*to.spec, *to.profile, *to.place}, machines,
                             devices, costs);
    if (!sync)
      return fail(sync.error());
    syncing.add(*from.place, *to.place, sync->seconds);
    x.syncs.push_back(std::move(*sync));
  }
  x.sync_seconds = syncing.busiest();
  return x;
}

} // namespace troupe::planner
