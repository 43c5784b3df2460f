// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/total_gpu.hpp"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "troupe/planner/saturate.hpp"

namespace troupe::planner::chatlearn {

namespace {

class job_placer {
public:
  job_placer(const std::vector<local_model>& models,
             const std::vector<std::vector<std::string>>& colocation,
             const std::vector<sync_names>& syncs, const machines& cluster)
    : models_(models),
      colocation_(colocation),
      syncs_(syncs),
      cluster_(cluster),
      ledger_(cluster) {
    for (std::size_t i = 0; i < models.size(); ++i)
      positions_.emplace(models[i].name, i);
    out_.applied = times(cluster.num_node, cluster.gpu_per_node);
    out_.is_colocate.assign(models.size(), false);
    out_.colocate.resize(models.size());
  }

  total_placement run() {
    auto groups = count();
    if (!groups)
      return fail_with(std::move(groups.error()));
    if (out_.required > out_.applied)
      return fail_with(
        {refusal_kind::runtime, fmt::format("the job needs {} GPUs but {} were "
                                            "applied for",
                                            out_.required, out_.applied)});
    if (out_.applied > out_.required)
      out_.outcome = total_outcome::warn;
    for (const auto& group : *groups) {
      if (auto bad = place(group))
        return fail_with(std::move(*bad));
      if (out_.outcome == total_outcome::pending)
        return std::move(out_);
    }
    return std::move(out_);
  }

private:
  using group = std::vector<std::size_t>;

  total_placement fail_with(refusal why) {
    out_.outcome = total_outcome::error;
    out_.why = std::move(why);
    return std::move(out_);
  }

  outcome<std::vector<group>> count() {
    std::vector<group> groups;
    std::vector<bool> grouped(models_.size(), false);
    for (const auto& names : colocation_) {
      auto& members = groups.emplace_back();
      std::int64_t most = 0;
      for (const auto& name : names) {
        auto found = positions_.find(name);
        if (found == positions_.end())
          return refuse(refusal_kind::key,
                        fmt::format("colocation names {}, which no model has",
                                    name));
        members.push_back(found->second);
        grouped[found->second] = true;
        most = std::max(most, models_[found->second].total_gpu);
      }
      out_.required = plus(out_.required, most);
    }
    for (std::size_t i = 0; i < models_.size(); ++i)
      if (!grouped[i]) {
        groups.push_back({i});
        out_.required = plus(out_.required, models_[i].total_gpu);
      }
    return groups;
  }

  std::optional<refusal> place(const group& members) {
    std::vector<local_model> on_gpus;
    std::vector<std::size_t> position;
    for (auto i : members) {
      if (members.size() > 1)
        out_.is_colocate[i] = true;
      if (models_[i].total_gpu > 0) {
        on_gpus.push_back(models_[i]);
        position.push_back(i);
      }
    }
    if (on_gpus.empty())
      return std::nullopt;
    auto placed = plan_group(on_gpus, syncs_, cluster_);
    if (!placed)
      return placed.error();
    if (!ledger_.place(placed->bundles)) {
      out_.outcome = total_outcome::pending;
      return std::nullopt;
    }
    auto& sizes = out_.bundles.emplace_back();
    for (const auto& x : placed->bundles)
      sizes.push_back(x.gpu);
    const auto& revert = placed->revert;
    for (std::size_t k = 0; k < on_gpus.size(); ++k) {
      const auto& name = on_gpus[k].name;
      out_.dist_env.emplace_back(name,
                                 std::find(revert.begin(), revert.end(), name)
                                   != revert.end());
      out_.colocate[position[k]] = std::move(placed->colocate[k]);
    }
    return std::nullopt;
  }

  const std::vector<local_model>& models_;
  const std::vector<std::vector<std::string>>& colocation_;
  const std::vector<sync_names>& syncs_;
  const machines& cluster_;
  node_ledger ledger_;
  std::unordered_map<std::string_view, std::size_t> positions_;
  total_placement out_;
};

} // namespace

total_placement
place_job(const std::vector<local_model>& models,
          const std::vector<std::vector<std::string>>& colocation,
          const std::vector<sync_names>& syncs, const machines& cluster) {
  return job_placer{models, colocation, syncs, cluster}.run();
}

} // namespace troupe::planner::chatlearn
