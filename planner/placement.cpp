// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/placement.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "troupe/planner/allotment.hpp"
#include "troupe/planner/job_error.hpp"
#include "troupe/planner/placement_reasons.hpp"
#include "troupe/planner/resolved_job.hpp"

namespace troupe::planner {

namespace {

std::string devices_text(std::int64_t count) {
  return fmt::format("{} device{}", count, count == 1 ? "" : "s");
}

class placer {
public:
  placer(const job_spec& job, const cluster& machines, resolved_job jobs)
    : job_(job),
      machines_(machines),
      jobs_(std::move(jobs)),
      stands_(machines) {
    // nop
  }

  result<placement> run() {
    make_groups();
    if (auto bad = check_room())
      return fail(std::move(*bad));
    if (auto bad = allot_devices(groups_, job_, jobs_, machines_,
                                 plan_.warnings))
      return fail(std::move(*bad));
    plan_.models.resize(job_.models.size());
    for (std::size_t i = 0; i < job_.models.size(); ++i)
      plan_.models[i].name = job_.models[i].name;
    reversed_ = reversed_models(job_, jobs_);
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      place_on_devices(g);
      place_on_cpus(g);
    }
    if (auto unused = available_ - jobs_.required;
        unused > 0 && jobs_.required > 0)
      plan_.warnings.push_back(fmt::format("{} of {} are not used by any model",
                                           unused, devices_text(available_)));
    return std::move(plan_);
  }

private:
  using complaint = std::optional<error>;

  [[nodiscard]] const model_spec& model(std::int32_t i) const {
    return job_.models[static_cast<std::size_t>(i)];
  }

  complaint check_room() {
    std::int32_t widest = 0;
    for (const auto& node : machines_.nodes) {
      auto size = static_cast<std::int32_t>(node.devices.size());
      widest = std::max(widest, size);
      available_ += size;
    }
    if (jobs_.required > available_)
      return make_error(
        job_error::not_enough_devices,
        fmt::format("the models need {} but there are {}: {}; add devices, "
                    "lower num_gpu or colocate more models",
                    devices_text(jobs_.required), available_, demand()));
    for (const auto& x : job_.models)
      if (!x.on_cpu() && x.gpu_per_process > widest)
        return make_error(job_error::process_too_wide,
                          fmt::format("{}: gpu_per_process is {} but no node "
                                      "has more than {}; lower it",
                                      x.name, x.gpu_per_process,
                                      devices_text(widest)));
    if (machines_.nodes.empty() && !job_.models.empty())
      return make_error(job_error::not_enough_devices,
                        "there is no node to place models on; give the "
                        "cluster one");
    return std::nullopt;
  }

  /// "a + b share 8, c 4": the groups that ask for most.
  [[nodiscard]] std::string demand() const {
    constexpr std::size_t shown = 6;
    std::vector<std::size_t> order(jobs_.groups.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) {
                       return jobs_.group_devices[a] > jobs_.group_devices[b];
                     });
    std::vector<std::string> parts;
    for (auto g : order) {
      if (parts.size() == shown || jobs_.group_devices[g] == 0)
        break;
      const auto& group = groups_[g];
      parts.push_back(fmt::format("{} {}{}", group_name(group),
                                  group.members.size() > 1 ? "share " : "",
                                  jobs_.group_devices[g]));
    }
    if (order.size() > parts.size() && parts.size() == shown)
      parts.push_back("...");
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  void make_groups() {
    groups_.resize(jobs_.groups.size());
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      std::vector<pack_item> items;
      std::vector<std::int32_t> position;
      auto& group = groups_[g];
      for (auto i : jobs_.groups[g]) {
        const auto& x = model(i);
        if (!x.on_cpu()) {
          items.push_back({x.num_gpu, x.trainable});
          position.push_back(static_cast<std::int32_t>(group.members.size()));
        }
        group.members.push_back(&x);
      }
      if (!items.empty())
        group.packs = find_packs(items, jobs_.group_devices[g]);
      for (auto& side_by_side : group.packs)
        for (auto& i : side_by_side)
          i = position[static_cast<std::size_t>(i)];
    }
  }

  void place_on_devices(std::size_t g) {
    const auto& members = jobs_.groups[g];
    auto& group = groups_[g];
    if (group.packs.empty())
      return;
    std::set<node_id> seen;
    for (const auto& run : group.layout.devices)
      if (seen.insert(run.node).second)
        nodes_in_use_.push_back(run.node);
    auto shared = overlaps(group.layout, group.members);
    std::vector<std::vector<std::int32_t>> colocated(members.size());
    for (const auto& pair : shared) {
      colocated[static_cast<std::size_t>(pair.first)].push_back(pair.second);
      colocated[static_cast<std::size_t>(pair.second)].push_back(pair.first);
    }
    for (std::size_t p = 0; p < group.packs.size(); ++p)
      for (auto at : group.packs[p]) {
        auto position = static_cast<std::size_t>(at);
        auto i = static_cast<std::size_t>(members[position]);
        auto& out = plan_.models[i];
        out.reversed = reversed_[i];
        out.replicas = make_replicas(group.layout.devices,
                                     *group.members[position],
                                     group.layout.models[position],
                                     out.reversed);
        std::sort(colocated[position].begin(), colocated[position].end());
        for (auto other : colocated[position])
          out.colocated.push_back(
            group.members[static_cast<std::size_t>(other)]->name);
        explain(g, p, position, out);
        stands_.explain(*group.members[position], job_.strategy, out,
                        plan_.warnings);
      }
  }

  void explain(std::size_t g, std::size_t p, std::size_t position,
               model_place& out) const {
    const auto& group = groups_[g];
    const auto& x = *group.members[position];
    if (group.members.size() > 1)
      out.reasons.push_back(
        fmt::format("colocation group {} shares {}, as many as its largest "
                    "model needs",
                    g + 1, devices_text(jobs_.group_devices[g])));
    else
      out.reasons.push_back(
        fmt::format("it shares {} with nobody", devices_text(x.num_gpu)));
    if (group.packs.size() > 1 || group.packs[p].size() > 1) {
      std::vector<std::string_view> beside;
      for (auto other : group.packs[p])
        if (static_cast<std::size_t>(other) != position)
          beside.push_back(
            group.members[static_cast<std::size_t>(other)]->name);
      out.reasons.push_back(
        beside.empty()
          ? fmt::format("it is pack {} of {} by itself", p + 1,
                        group.packs.size())
          : fmt::format("it stands beside {} in pack {} of {}",
                        fmt::join(beside, ", "), p + 1, group.packs.size()));
    }
    if (out.reversed)
      out.reasons.push_back("its order inside a node is reversed, because it "
                            "receives weights from a model of its group");
    if (x.gpu_per_process > 1)
      out.reasons.push_back(fmt::format("each process holds {} of one node",
                                        devices_text(x.gpu_per_process)));
  }

  /// CPU processes go round robin over the nodes that groups so far have
  /// devices on, or over all nodes if there is none yet, starting anew with
  /// each group. They reserve nothing. (ChatLearn: schedule/model_manager.py.)
  void place_on_cpus(std::size_t g) {
    std::size_t turn = 0;
    for (auto i : jobs_.groups[g]) {
      const auto& x = model(i);
      if (!x.on_cpu())
        continue;
      auto& out = plan_.models[static_cast<std::size_t>(i)];
      out.replicas.resize(static_cast<std::size_t>(x.num_replica));
      for (auto& replica : out.replicas) {
        rank_place place;
        if (!nodes_in_use_.empty())
          place.node = nodes_in_use_[turn % nodes_in_use_.size()];
        else
          place.node = node_id{
            static_cast<std::int32_t>(turn % machines_.nodes.size())};
        ++turn;
        replica.ranks.assign(static_cast<std::size_t>(x.parallel.world()),
                             place);
      }
      out.reasons.push_back(
        nodes_in_use_.empty()
          ? "a CPU model: its replicas go round robin over the nodes"
          : "a CPU model: its replicas go round robin over the nodes whose "
            "devices are in use");
    }
  }

  const job_spec& job_;
  const cluster& machines_;
  resolved_job jobs_;
  stand_report stands_;
  std::int64_t available_ = 0;
  std::vector<group_plan> groups_;
  std::vector<bool> reversed_;
  /// Nodes of the groups placed so far, one entry a bundle of ChatLearn's.
  std::vector<node_id> nodes_in_use_;
  placement plan_;
};

} // namespace

const model_place* placement::find(std::string_view name) const noexcept {
  for (const auto& x : models)
    if (x.name == name)
      return &x;
  return nullptr;
}

result<placement> place(const job_spec& job, const cluster& machines) {
  auto jobs = resolve(job);
  if (!jobs)
    return fail(std::move(jobs.error()));
  return placer{job, machines, std::move(*jobs)}.run();
}

} // namespace troupe::planner
