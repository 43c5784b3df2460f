// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/memory_remedy.hpp"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <utility>

#include "troupe/planner/remedy_step.hpp"

namespace troupe::planner {

namespace {

/// Positions in the list of steps, ascending.
using combination = std::vector<std::size_t>;

/// Small jobs are placed in well under a millisecond, large ones are not.
std::size_t tries_for(const job_spec& job, const cluster& machines) {
  constexpr std::size_t most = 1500;
  constexpr std::size_t least = 100;
  constexpr std::size_t small_job = 64;
  auto size = job.models.size()
              + static_cast<std::size_t>(std::max(machines.num_device(), 0));
  return std::clamp(most * small_job / std::max(size, small_job), least, most);
}

class remedy_search {
public:
  remedy_search(const remedy_draft& base, const cluster& machines,
                const place_function& place, const memory_fit_options& options)
    : base_(base),
      machines_(machines),
      place_(place),
      options_(options),
      steps_(list_steps(base, machines)),
      left_(tries_for(base.job, machines)) {
    // nop
  }

  std::optional<memory_remedy> run() {
    bool all = true;
    for (int weight = 1; all && !best_ && weight <= heaviest(); ++weight) {
      // One change is always tried, of many only what leaves tries for more.
      all = weight == 1 || count_combinations(weight) <= left_ / 2;
      if (all)
        combine({}, 0, weight);
      all = all && left_ > 0;
    }
    if (!all && !best_)
      try_everything_offloaded();
    return std::move(best_);
  }

private:
  struct found {
    memory_remedy remedy;
    double cost = 0;
  };

  /// The job with these changes if it can be placed and fits.
  std::optional<found> evaluate(const combination& which) {
    if (left_ > 0)
      --left_;
    auto draft = base_;
    for (auto i : which)
      if (!apply(steps_[i], draft))
        return std::nullopt;
    auto plan = place_(draft.job, machines_);
    if (!plan)
      return std::nullopt;
    auto report = estimate_memory(*plan, draft.job, machines_, draft.profiles,
                                  options_.settings);
    if (!report || report->worst() != nullptr)
      return std::nullopt;
    found out;
    if (options_.cost)
      out.cost = options_.cost(draft.job, *plan, draft.profiles);
    for (const auto& device : report->devices)
      out.remedy.peak_bytes = std::max(out.remedy.peak_bytes, device.peak());
    out.remedy.text = draft.text();
    out.remedy.job = std::move(draft.job);
    out.remedy.profiles = std::move(draft.profiles);
    return out;
  }

  void consider(const combination& which) {
    if (left_ == 0)
      return;
    auto x = evaluate(which);
    if (!x || (best_ && x->cost >= best_cost_))
      return;
    best_cost_ = x->cost;
    best_steps_ = which;
    best_ = std::move(x->remedy);
  }

  /// Without a cost the first that fits is the cheapest.
  [[nodiscard]] bool done() const {
    return left_ == 0 || (best_ && !options_.cost);
  }

  /// The first step after `i` that may stand beside it.
  [[nodiscard]] std::size_t after(std::size_t i) const {
    auto next = i;
    while (next < steps_.size() && steps_[next].slot == steps_[i].slot)
      ++next;
    return next;
  }

  /// Considers `chosen` with all steps from `first` on that weigh `weight`
  /// together.
  void combine(const combination& chosen, std::size_t first, int weight) {
    if (weight == 0)
      consider(chosen);
    for (auto i = first; i < steps_.size() && weight > 0 && !done(); ++i)
      if (steps_[i].weight <= weight) {
        auto more = chosen;
        more.push_back(i);
        combine(more, after(i), weight - steps_[i].weight);
      }
  }

  /// How many combinations weigh `weight`; the largest number if it is larger.
  [[nodiscard]] std::size_t count_combinations(int weight) const {
    constexpr auto most = std::numeric_limits<std::size_t>::max() / 4;
    std::vector<std::size_t> ways(static_cast<std::size_t>(weight) + 1, 0);
    ways[0] = 1;
    for (std::size_t i = 0; i < steps_.size(); i = after(i)) {
      auto more = ways;
      for (auto k = i; k < after(i); ++k) {
        auto own = static_cast<std::size_t>(steps_[k].weight);
        for (auto w = own; w < ways.size(); ++w)
          more[w] = std::min(most, more[w] + ways[w - own]);
      }
      ways = std::move(more);
    }
    return ways.back();
  }

  [[nodiscard]] int heaviest() const {
    int sum = 0;
    for (std::size_t i = 0; i < steps_.size(); i = after(i)) {
      int most = 0;
      for (auto k = i; k < after(i); ++k)
        most = std::max(most, steps_[k].weight);
      sum += most;
    }
    return sum;
  }

  /// For jobs with too many combinations: all models offloaded, and up to two
  /// more changes. What turns out not to be needed is taken back.
  void try_everything_offloaded() {
    combination offloads;
    combination others;
    for (std::size_t i = 0; i < steps_.size(); ++i)
      (steps_[i].what == step_kind::offload ? offloads : others).push_back(i);
    auto with = [&offloads](std::initializer_list<std::size_t> more) {
      auto out = offloads;
      out.insert(out.end(), more);
      std::sort(out.begin(), out.end());
      return out;
    };
    // Half of them were spent on few changes.
    left_ = std::max(left_, tries_for(base_.job, machines_) / 2);
    consider(offloads);
    if (!best_)
      for (std::size_t i = 0; i < others.size() && !done(); ++i)
        consider(with({others[i]}));
    if (!best_)
      for (std::size_t i = 0; i < others.size(); ++i)
        for (auto k = i + 1; k < others.size() && !done(); ++k)
          if (steps_[others[i]].slot != steps_[others[k]].slot)
            consider(with({others[i], others[k]}));
    if (best_)
      take_back();
  }

  void take_back() {
    for (std::size_t i = 0; i < best_steps_.size();) {
      auto fewer = best_steps_;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      if (auto x = evaluate(fewer)) {
        best_ = std::move(x->remedy);
        best_steps_ = std::move(fewer);
      } else {
        ++i;
      }
    }
  }

  const remedy_draft& base_;
  const cluster& machines_;
  const place_function& place_;
  const memory_fit_options& options_;
  std::vector<remedy_step> steps_;
  std::size_t left_;
  std::optional<memory_remedy> best_;
  combination best_steps_;
  double best_cost_ = 0;
};

} // namespace

std::optional<memory_remedy>
find_remedy(const job_spec& job, const cluster& machines,
            std::span<const model_profile> profiles,
            const place_function& place, const memory_fit_options& options) {
  remedy_draft base{job, {profiles.begin(), profiles.end()}, {}, {}};
  return remedy_search{base, machines, place, options}.run();
}

} // namespace troupe::planner
