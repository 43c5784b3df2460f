// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/rank_map.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "troupe/planner/job_error.hpp"
#include "troupe/planner/resolved_job.hpp"

namespace troupe::planner {

namespace {

using device_table = std::vector<std::vector<device_id>>;

std::optional<error> check_layout(const char* side, const mapped_model& x) {
  const auto& s = x.sizes;
  for (auto size : {s.tensor, s.pipeline, s.expert, x.num_replica})
    if (size < 1)
      return make_error(job_error::bad_size,
                        fmt::format("a parallel size of the {} is {}; it must "
                                    "be at least 1",
                                    side, size));
  auto rest = x.ranks_per_replica;
  for (auto size : {s.tensor, s.pipeline, s.expert}) {
    if (rest < 1 || rest % size != 0)
      return make_error(
        job_error::not_divisible,
        fmt::format("tensor {} x pipeline {} x expert {} does not divide the "
                    "{} ranks of the {}",
                    s.tensor, s.pipeline, s.expert, x.ranks_per_replica, side));
    rest /= size;
  }
  for (const auto& replica : x.devices)
    if (static_cast<std::int64_t>(replica.size()) != x.ranks_per_replica)
      return make_error(job_error::bad_size,
                        fmt::format("the {} has {} ranks but devices for {}",
                                    side, x.ranks_per_replica, replica.size()));
  return std::nullopt;
}

/// Visits the pairs (source rank, destination rank) of two copies.
template <class F>
void zip_copies(const weight_copy& from, const weight_copy& to,
                std::size_t block, std::size_t fold, F f) {
  for (std::size_t i = 0; i < from.size(); ++i)
    f(from[i], to[i / block / fold * block + i % block]);
}

bool meet(const weight_copy& from, const std::vector<device_id>& from_devices,
          const weight_copy& to, const std::vector<device_id>& to_devices,
          std::size_t block, std::size_t fold) {
  bool met = false;
  zip_copies(from, to, block, fold, [&](rank_id a, rank_id b) {
    met = met
          || from_devices[static_cast<std::size_t>(a.value())]
               == to_devices[static_cast<std::size_t>(b.value())];
  });
  return met;
}

mapped_model mapped(const model_spec& x, const model_place& place) {
  mapped_model out;
  out.sizes = x.parallel;
  out.num_replica = x.num_replica;
  out.ranks_per_replica = ranks_per_replica(x);
  if (!x.on_cpu())
    for (const auto& replica : place.replicas) {
      auto& devices = out.devices.emplace_back();
      for (const auto& rank : replica.ranks)
        devices.push_back(rank.devices.front());
    }
  return out;
}

} // namespace

std::vector<weight_copy> weight_copies(const parallel_sizes& sizes,
                                       std::int64_t num_rank) {
  auto block = std::int64_t{sizes.tensor} * sizes.expert;
  auto copies = num_rank / block / sizes.pipeline;
  std::vector<weight_copy> out(static_cast<std::size_t>(copies));
  for (std::int64_t d = 0; d < copies; ++d) {
    auto& copy = out[static_cast<std::size_t>(d)];
    copy.reserve(static_cast<std::size_t>(block * sizes.pipeline));
    for (std::int64_t p = 0; p < sizes.pipeline; ++p)
      for (std::int64_t i = 0; i < block; ++i)
        copy.push_back(
          rank_id{static_cast<std::int32_t>(i + block * (d + copies * p))});
  }
  return out;
}

result<std::vector<rank_pair>> map_ranks(const mapped_model& source,
                                         const mapped_model& destination,
                                         const rank_map_options& options) {
  if (auto bad = check_layout("source", source))
    return fail(std::move(*bad));
  if (auto bad = check_layout("destination", destination))
    return fail(std::move(*bad));
  const auto& from = source.sizes;
  const auto& to = destination.sizes;
  if (from.tensor != to.tensor || from.expert != to.expert)
    return fail(job_error::layouts_differ,
                fmt::format("source tensor {} x expert {} and destination "
                            "tensor {} x expert {} differ; make them equal",
                            from.tensor, from.expert, to.tensor, to.expert));
  if (from.pipeline % to.pipeline != 0)
    return fail(job_error::not_divisible,
                fmt::format("the destination's pipeline size {} does not "
                            "divide the source's {}",
                            to.pipeline, from.pipeline));
  auto block = static_cast<std::size_t>(std::int64_t{from.tensor}
                                        * from.expert);
  auto fold = static_cast<std::size_t>(from.pipeline / to.pipeline);
  auto sources = weight_copies(from, source.ranks_per_replica);
  auto copies = weight_copies(to, destination.ranks_per_replica);
  auto avoid = options.order == placement_order::reversed;
  if (avoid && options.colocated && from.tensor % 2 == 1)
    std::reverse(sources.begin(), sources.end());
  auto replicas = static_cast<std::size_t>(destination.num_replica);
  auto know_devices = !source.devices.empty()
                      && destination.devices.size() == replicas;
  std::vector<rank_pair> pairs;
  pairs.reserve(replicas * copies.size() * sources.front().size());
  std::size_t turn = 0;
  for (std::size_t r = 0; r < replicas; ++r)
    for (const auto& copy : copies) {
      auto choice = turn++ % sources.size();
      if (avoid && know_devices)
        for (std::size_t tried = 0; tried < sources.size(); ++tried) {
          auto other = (choice + tried) % sources.size();
          if (!meet(sources[other], source.devices[0], copy,
                    destination.devices[r], block, fold)) {
            choice = other;
            break;
          }
        }
      zip_copies(sources[choice], copy, block, fold, [&](rank_id a, rank_id b) {
        pairs.push_back({a, replica_id{static_cast<std::int32_t>(r)}, b});
      });
    }
  return pairs;
}

result<std::vector<rank_pair>> map_ranks(const placement& plan,
                                         const job_spec& job,
                                         std::string_view source,
                                         std::string_view destination) {
  auto spec = [&](std::string_view name) -> const model_spec* {
    auto found = std::find_if(job.models.begin(), job.models.end(),
                              [&](const auto& x) { return x.name == name; });
    return found == job.models.end() ? nullptr : &*found;
  };
  for (auto name : {source, destination})
    if (spec(name) == nullptr || plan.find(name) == nullptr)
      return fail(job_error::unknown_model,
                  fmt::format("{} is no model of the job; correct the name",
                              name));
  const auto& from = *plan.find(source);
  const auto& to = *plan.find(destination);
  rank_map_options options;
  options.order = job.order;
  options.colocated = std::find(from.colocated.begin(), from.colocated.end(),
                                to.name)
                      != from.colocated.end();
  return map_ranks(mapped(*spec(source), from), mapped(*spec(destination), to),
                   options);
}

} // namespace troupe::planner
