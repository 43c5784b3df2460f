// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/memory_report.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "troupe/planner/parallel_layout.hpp"

namespace troupe::planner {

namespace {

memory_parts divide(memory_parts x, std::uint64_t by) {
  auto up = [by](std::uint64_t& bytes) { bytes = (bytes + by - 1) / by; };
  up(x.weights);
  up(x.gradients);
  up(x.optimizer);
  up(x.activations);
  up(x.kv_cache);
  up(x.staging);
  return x;
}

/// What one device of a rank holds, by pipeline stage.
std::vector<model_use> use_by_stage(std::size_t index, const model_spec& spec,
                                    const model_profile& profile,
                                    const memory_settings& settings) {
  std::vector<model_use> uses;
  auto share = static_cast<std::uint64_t>(std::max(1, spec.gpu_per_process));
  for (std::int32_t stage = 0; stage < spec.parallel.pipeline; ++stage) {
    model_use use;
    use.model = index;
    for (auto when : all_phases)
      use.active[static_cast<std::size_t>(
        when)] = divide(active_memory(profile, spec.parallel, stage, when,
                                      settings),
                        share);
    use.idle = divide(idle_memory(profile, spec.parallel, stage), share);
    uses.push_back(use);
  }
  return uses;
}

using index_pair = std::pair<std::size_t, std::size_t>;

void sum_up(device_use& device, std::span<const index_pair> syncs,
            const memory_settings& settings) {
  if (device.models.empty())
    return;
  auto resting = settings.reserve_bytes;
  for (const auto& use : device.models)
    resting += use.idle.total();
  for (auto when : all_phases) {
    std::uint64_t most = 0;
    if (when == phase::sync) {
      for (const auto& pair : syncs) {
        std::uint64_t both = 0;
        for (const auto& use : device.models)
          if (use.model == pair.first || use.model == pair.second)
            both += use.extra(when);
        most = std::max(most, both);
      }
    } else {
      for (const auto& use : device.models)
        most = std::max(most, use.extra(when));
    }
    device.bytes[static_cast<std::size_t>(when)] = resting + most;
  }
}

} // namespace

std::uint64_t model_use::extra(phase when) const noexcept {
  auto most = active[static_cast<std::size_t>(when)].total();
  auto least = idle.total();
  return most > least ? most - least : 0;
}

phase device_use::fullest_phase() const noexcept {
  auto most = std::max_element(bytes.begin(), bytes.end());
  return static_cast<phase>(most - bytes.begin());
}

const device_use* memory_report::worst() const noexcept {
  const device_use* worst = nullptr;
  for (const auto& x : devices)
    if (!x.fits()
        && (worst == nullptr
            || x.peak() - x.limit > worst->peak() - worst->limit))
      worst = &x;
  return worst;
}

result<memory_report> estimate_memory(const placement& plan,
                                      const job_spec& job,
                                      const cluster& machines,
                                      std::span<const model_profile> profiles,
                                      const memory_settings& settings) {
  memory_report report;
  for (const auto& node : machines.nodes)
    for (const auto& spec : node.devices) {
      device_use device;
      device.device = device_id{
        static_cast<std::int32_t>(report.devices.size())};
      device.limit = spec.memory_bytes;
      report.devices.push_back(std::move(device));
    }
  std::map<std::string_view, std::size_t> index_of;
  for (std::size_t index = 0; index < plan.models.size(); ++index) {
    const auto& place = plan.models[index];
    index_of.emplace(place.name, index);
    const auto* spec = find_spec(job, place.name);
    if (spec == nullptr)
      return fail(errc::invalid, fmt::format("the placement has a model {} "
                                             "that the job does not have",
                                             place.name));
    if (spec->on_cpu())
      continue;
    const auto* profile = find_profile(profiles, place.name);
    if (profile == nullptr) {
      report.unknown.push_back(place.name);
      continue;
    }
    auto layout = parallel_layout::make(spec->parallel, profile->order);
    if (!layout)
      return fail(layout.error().within(place.name));
    auto uses = use_by_stage(index, *spec, *profile, settings);
    for (const auto& replica : place.replicas)
      for (std::size_t rank = 0; rank < replica.ranks.size(); ++rank) {
        rank_id id{static_cast<std::int32_t>(rank)};
        if (!layout->contains(id))
          return fail(errc::invalid,
                      fmt::format("{}: the placement has more ranks than "
                                  "the parallel sizes make",
                                  place.name));
        auto stage = layout->coordinates_of(id).at(dimension::pipeline);
        const auto& use = uses[static_cast<std::size_t>(stage)];
        for (auto device : replica.ranks[rank].devices) {
          auto at = static_cast<std::size_t>(device.value());
          if (device.value() < 0 || at >= report.devices.size())
            return fail(errc::invalid,
                        fmt::format("{}: device {} is outside of the cluster",
                                    place.name, device.value()));
          report.devices[at].models.push_back(use);
        }
      }
  }
  std::vector<index_pair> syncs;
  for (const auto& x : job.syncs) {
    auto source = index_of.find(x.source);
    auto destination = index_of.find(x.destination);
    if (source != index_of.end() && destination != index_of.end())
      syncs.emplace_back(source->second, destination->second);
  }
  for (auto& device : report.devices)
    sum_up(device, syncs, settings);
  return report;
}

} // namespace troupe::planner
