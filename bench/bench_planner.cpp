// SPDX-License-Identifier: Apache-2.0
// How long the planner needs, and how that grows with the job.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "troupe/bench/support/bench_main.hpp"
#include "troupe/planner/placement.hpp"
#include "troupe/planner/rank_map.hpp"

namespace {

using namespace troupe;
using namespace troupe::planner;

constexpr std::int32_t devices_per_node = 8;
constexpr std::int32_t devices_per_model = 400;
constexpr std::int32_t models_per_group = 4;

/// What a computation took: by the clock on the wall, and of the processor. The
/// planner is one thread, so the two agree on an idle machine; growth is fitted
/// to the latter, which other programs disturb less.
struct cost {
  double wall = 0;
  double processor = 0;
};

/// One measured size.
struct sample {
  std::int64_t size = 0;
  cost seconds;
};

cost cost_of(const std::function<void()>& work) {
  using clock = std::chrono::steady_clock;
  auto start = clock::now();
  auto processor = std::clock();
  work();
  return {std::chrono::duration<double>(clock::now() - start).count(),
          static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC};
}

/// The least of a few runs: what the machine does when left alone.
cost best_cost(int runs, const std::function<void()>& work) {
  auto best = cost_of(work);
  for (int i = 1; i < runs; ++i) {
    auto again = cost_of(work);
    best.wall = std::min(best.wall, again.wall);
    best.processor = std::min(best.processor, again.processor);
  }
  return best;
}

/// The slope of log(seconds) over log(size) by least squares: 1 is linear.
double exponent(const std::vector<sample>& samples) {
  double sx = 0;
  double sy = 0;
  double sxx = 0;
  double sxy = 0;
  for (const auto& s : samples) {
    auto x = std::log(static_cast<double>(s.size));
    auto y = std::log(s.seconds.processor);
    sx += x;
    sy += y;
    sxx += x * x;
    sxy += x * y;
  }
  auto n = static_cast<double>(samples.size());
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

/// `num_model` models in groups of four; a trainer of 400 devices, a policy of
/// 8-device replicas that follows it, and two models that stand side by side:
/// 100 devices a model on average.
job_spec make_job(std::int32_t num_model) {
  job_spec job;
  for (std::int32_t first = 0; first + models_per_group <= num_model;
       first += models_per_group) {
    auto& group = job.colocation.emplace_back();
    for (std::int32_t i = 0; i < models_per_group; ++i) {
      model_spec x;
      x.name = fmt::format("model{}", first + i);
      x.trainable = i == 0;
      x.num_gpu = i < 2 ? devices_per_model : devices_per_model / 2;
      x.num_replica = i == 0 ? 1 : x.num_gpu / devices_per_node;
      x.parallel.tensor = devices_per_node;
      group.push_back(x.name);
      job.models.push_back(std::move(x));
    }
    job.syncs.push_back({group[0], group[1], 1});
  }
  return job;
}

/// Plans `num_model` models on 100 devices a model.
std::optional<cost> time_placement(std::int32_t num_model, int runs) {
  auto job = make_job(num_model);
  auto nodes = num_model / models_per_group * devices_per_model
               / devices_per_node;
  auto machines = cluster::uniform(nodes, devices_per_node);
  bool good = true;
  auto seconds = best_cost(runs, [&] {
    auto plan = place(job, machines);
    good = good && plan && plan->models.size() == job.models.size();
  });
  return good ? std::optional{seconds} : std::nullopt;
}

/// Maps `num_rank` source ranks of 8 x 4 a copy onto as many destination ranks
/// on the same devices in reversed order.
std::optional<cost> time_map(std::int32_t num_rank, int runs) {
  mapped_model source;
  source.sizes.tensor = devices_per_node;
  source.sizes.pipeline = 4;
  source.ranks_per_replica = num_rank;
  auto& list = source.devices.emplace_back();
  for (std::int32_t r = 0; r < num_rank; ++r)
    list.push_back(device_id{r});
  mapped_model destination;
  destination.sizes = source.sizes;
  destination.ranks_per_replica = std::int64_t{source.sizes.tensor}
                                  * source.sizes.pipeline;
  destination.num_replica = num_rank
                            / static_cast<std::int32_t>(
                              destination.ranks_per_replica);
  for (std::int32_t r = 0; r < num_rank; ++r) {
    if (r % destination.ranks_per_replica == 0)
      destination.devices.emplace_back();
    auto first = r - r % devices_per_node;
    destination.devices.back().push_back(
      device_id{first + devices_per_node - 1 - (r - first)});
  }
  rank_map_options options;
  options.colocated = true;
  bool good = true;
  auto seconds = best_cost(runs, [&] {
    auto pairs = map_ranks(source, destination, options);
    good = good && pairs && pairs->size() == static_cast<std::size_t>(num_rank);
  });
  return good ? std::optional{seconds} : std::nullopt;
}

/// Runs `measure` on each size and prints a row for it.
result<std::vector<sample>> measure_sizes(
  const char* what, const std::vector<std::int32_t>& sizes, int runs,
  std::int64_t scale,
  const std::function<std::optional<cost>(std::int32_t, int)>& measure) {
  std::vector<sample> out;
  for (auto size : sizes) {
    auto seconds = measure(size, runs);
    if (!seconds)
      return fail(errc::internal,
                  fmt::format("{} of {}: no sound result", what, size));
    fmt::print("{:<6} {:>8} {:>9} {:>12.6f} {:>12.6f}\n", what, size,
               size * scale, seconds->wall, seconds->processor);
    out.push_back({size, *seconds});
  }
  return out;
}

result<void> run(const bench::bench_options& options,
                 bench::bench_report& out) {
  auto runs = options.quick ? 5 : 15;
  fmt::print("{:<6} {:>8} {:>9} {:>12} {:>12}\n", "what", "size", "devices",
             "seconds", "processor s");
  // From 1,000 models on a plan is larger than any cache, so growth is the
  // planner's own.
  auto placed = measure_sizes("place", {1000, 2000, 4000, 8000}, runs,
                              devices_per_model / models_per_group,
                              time_placement);
  if (!placed)
    return fail(placed.error());
  auto mapped = measure_sizes("map", {2048, 4096, 8192, 16384}, runs, 1,
                              time_map);
  if (!mapped)
    return fail(mapped.error());
  fmt::print("\n");
  out.add({"place_seconds", placed->front().seconds.wall, {}, "< 1"});
  out.add({"place_exponent", exponent(*placed), {}, "<= 1.2"});
  out.add({"map_seconds", mapped->back().seconds.wall, {}, "< 1"});
  out.add({"map_exponent", exponent(*mapped), {}, "<= 1.2"});
  return {};
}

} // namespace

int main(int argc, char** argv) {
  return bench::
    bench_main(argc, argv,
               {"bench_planner",
                "Times the placement of 1,000 models on 100,000 devices and "
                "the mapping of 16,384 onto 16,384 ranks, and fits how the "
                "time grows (1 is linear)."},
               run);
}
