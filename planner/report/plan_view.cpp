// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/report/plan_view.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/core/units.hpp"

namespace troupe::planner::report {

namespace {

std::string pack_name(std::size_t index) {
  std::string name;
  for (++index; index > 0; index = (index - 1) / 26)
    name.insert(name.begin(), static_cast<char>('A' + (index - 1) % 26));
  return name;
}

} // namespace

std::string to_string(const cell& x) {
  return fmt::format("r{}.{}", x.replica, x.rank);
}

std::string counted(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

plan_view::plan_view(const plan_inputs& inputs) {
  std::int32_t node = 0;
  for (const auto& spec : inputs.machines.nodes) {
    for (const auto& device : spec.devices) {
      device_row row;
      row.device = device_id{static_cast<std::int32_t>(rows.size())};
      row.node = node;
      row.limit = device.memory_bytes;
      if (inputs.memory != nullptr
          && rows.size() < inputs.memory->devices.size())
        row.peak = inputs.memory->devices[rows.size()].peak();
      rows.push_back(std::move(row));
    }
    ++node;
  }
  for (std::size_t model = 0; model < inputs.plan.models.size(); ++model) {
    const auto& place = inputs.plan.models[model];
    auto on_device = false;
    for (std::size_t replica = 0; replica < place.replicas.size(); ++replica) {
      const auto& ranks = place.replicas[replica].ranks;
      for (std::size_t rank = 0; rank < ranks.size(); ++rank)
        for (auto device : ranks[rank].devices) {
          on_device = true;
          auto at = static_cast<std::size_t>(device.value());
          if (device.value() >= 0 && at < rows.size())
            rows[at].cells.push_back({model, static_cast<std::int32_t>(replica),
                                      static_cast<std::int32_t>(rank)});
        }
    }
    (on_device ? device_models : cpu_models).push_back(model);
  }
  std::map<std::vector<std::size_t>, std::size_t> known;
  for (auto& row : rows) {
    std::vector<std::size_t> models;
    for (const auto& x : row.cells)
      if (models.empty() || models.back() != x.model)
        models.push_back(x.model);
    if (models.empty())
      continue;
    auto [entry, added] = known.emplace(std::move(models), packs.size());
    if (added)
      packs.push_back({pack_name(packs.size()), entry->first, 0});
    ++packs[entry->second].num_device;
    row.pack = static_cast<std::int32_t>(entry->second);
  }
}

std::string describe(const model_spec& spec) {
  std::vector<std::string> sizes;
  const auto& x = spec.parallel;
  if (x.tensor > 1)
    sizes.push_back(fmt::format("tensor {}", x.tensor));
  if (x.pipeline > 1)
    sizes.push_back(fmt::format("pipeline {}", x.pipeline));
  if (x.context > 1)
    sizes.push_back(fmt::format("context {}", x.context));
  if (x.data > 1)
    sizes.push_back(fmt::format("data {}", x.data));
  if (x.expert > 1)
    sizes.push_back(fmt::format("expert {}", x.expert));
  auto text = fmt::format("{}{}: {}", spec.trainable ? "trained, " : "",
                          spec.on_cpu() ? counted(static_cast<std::uint64_t>(
                                                    std::max(0, spec.num_cpu)),
                                                  "core")
                                        : counted(static_cast<std::uint64_t>(
                                                    std::max(0, spec.num_gpu)),
                                                  "device"),
                          counted(static_cast<std::uint64_t>(
                                    std::max(0, spec.num_replica)),
                                  "replica"));
  if (!sizes.empty())
    text += fmt::format(" of {}", fmt::join(sizes, " x "));
  if (spec.gpu_per_process > 1)
    text += fmt::format(", {} devices a process", spec.gpu_per_process);
  if (spec.isolated)
    text += ", isolated";
  return text;
}

std::string format_seconds(double seconds) {
  constexpr double most = 1e9;
  return format_duration(std::chrono::nanoseconds{
    static_cast<std::int64_t>(std::clamp(seconds, 0.0, most) * 1e9)});
}

std::string describe_links(const sync_prediction& sync) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < num_link_class; ++i)
    if (sync.bytes_by_link[i] > 0)
      parts.push_back(
        fmt::format("{} {:.0f}%",
                    planner::to_string(static_cast<link_class>(i)),
                    100 * static_cast<double>(sync.bytes_by_link[i])
                      / static_cast<double>(
                        std::max<std::uint64_t>(1, sync.bytes))));
  return fmt::format("{}", fmt::join(parts, ", "));
}

} // namespace troupe::planner::report
