// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/optimize.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "troupe/planner/search_space.hpp"

namespace troupe::planner {

namespace {

class search {
public:
  search(const plan_problem& problem, const place_function& place,
         const deadline& until, const optimize_options& options)
    : problem_(problem),
      place_(place),
      until_(until),
      options_(options) {
    for (const auto& model : problem.job.models) {
      choices_.push_back(size_options(problem, model));
      const auto* profile = find_profile(problem.profiles, model.name);
      roles_.push_back(profile != nullptr && !model.on_cpu()
                         ? std::optional{profile->role}
                         : std::nullopt);
    }
  }

  optimize_result run() {
    optimize_result out;
    auto given = evaluate_candidate(problem_, problem_.job, problem_.profiles,
                                    place_);
    if (given) {
      limit_ = given->prediction.total();
      out.given = std::move(*given);
    } else {
      out.given_problem = to_string(given.error());
    }
    auto groups = colocations_of(problem_.job);
    auto possible = std::none_of(choices_.begin(), choices_.end(),
                                 [](const auto& x) { return x.empty(); });
    std::vector<placement_order> orders{problem_.job.order};
    if (!problem_.job.syncs.empty())
      orders.push_back(problem_.job.order == placement_order::reversed
                         ? placement_order::aligned
                         : placement_order::reversed);
    job_ = problem_.job;
    for (const auto& partition : groups) {
      if (!possible || stopped_)
        break;
      groups_ = &partition;
      group_of_.assign(problem_.job.models.size(), partition.size());
      for (std::size_t group = 0; group < partition.size(); ++group)
        for (auto model : partition[group])
          group_of_[model] = group;
      job_.colocation = names_of(problem_.job, partition);
      for (auto order : orders) {
        job_.order = order;
        widths_.assign(partition.size(), 0);
        choose(0, 0, {});
      }
    }
    auto models = static_cast<std::size_t>(
      std::count_if(problem_.job.models.begin(), problem_.job.models.end(),
                    [](const auto& x) { return !x.on_cpu(); }));
    out.complete = !stopped_ && models <= max_partitioned_models;
    out.evaluated = evaluated_;
    out.bounded = bounded_;
    for (auto& x : best_) {
      x.reasons = out.given ? compare_candidates(*out.given, x)
                            : describe_changes(problem_.job, problem_.profiles,
                                               x.job, x.profiles);
      if (!out.given)
        x.reasons.insert(x.reasons.begin(),
                         "it can run, the given plan cannot");
    }
    out.best = std::move(best_);
    return out;
  }

private:
  /// The longest of the models chosen so far, by role.
  struct longest {
    double generate = 0;
    double score = 0;
    double train = 0;
  };

  static double& slot_of(longest& x, model_role role) {
    switch (role) {
      case model_role::generate: return x.generate;
      case model_role::score: return x.score;
      case model_role::train: break;
    }
    return x.train;
  }

  [[nodiscard]] double bound_of(const longest& x) const {
    auto first = 1.0 / problem_.work.batches;
    // Rounding must not lift the bound over the time it bounds.
    constexpr double slack = 1 - 1e-9;
    return slack
           * (first * (x.generate + x.score)
              + (1 - first) * std::max(x.generate, x.score) + x.train);
  }

  /// Members of a group fill its devices: the busiest is no less busy than
  /// their mean.
  [[nodiscard]] longest group_bound(longest x) const {
    for (std::size_t group = 0; group < groups_->size(); ++group) {
      longest area;
      for (auto model : (*groups_)[group])
        if (roles_[model])
          slot_of(area, *roles_[model]) += seconds_[model]
                                           * job_.models[model].num_gpu;
      auto width = static_cast<double>(widths_[group]);
      if (width > 0) {
        x.generate = std::max(x.generate, area.generate / width);
        x.score = std::max(x.score, area.score / width);
        x.train = std::max(x.train, area.train / width);
      }
    }
    return x;
  }

  [[nodiscard]] double cutoff() const {
    if (best_.size() < options_.keep)
      return limit_;
    return std::min(limit_, best_.back().prediction.total());
  }

  [[nodiscard]] bool out_of_budget() {
    // The clock is looked at now and then only.
    if (evaluated_ >= options_.max_evaluated
        || (++steps_ % 256 == 0 && until_.passed()))
      stopped_ = true;
    return stopped_;
  }

  void choose(std::size_t model, std::int64_t devices, const longest& so_far) {
    if (out_of_budget())
      return;
    if (model == choices_.size()) {
      consider(so_far);
      return;
    }
    seconds_.resize(choices_.size());
    auto group = group_of_[model];
    for (const auto& option : choices_[model]) {
      auto now = so_far;
      if (roles_[model]) {
        auto& slot = slot_of(now, *roles_[model]);
        slot = std::max(slot, option.least_seconds);
      }
      // Options come fastest first: none behind this one is better.
      if (bound_of(now) >= cutoff()) {
        ++bounded_;
        return;
      }
      auto total = devices;
      auto width = std::int64_t{0};
      if (group < widths_.size()) {
        width = widths_[group];
        total += std::max<std::int64_t>(0, option.spec.num_gpu - width);
        if (total > problem_.machines.num_device())
          continue;
        widths_[group] = std::max<std::int64_t>(width, option.spec.num_gpu);
      }
      job_.models[model] = option.spec;
      seconds_[model] = option.least_seconds;
      choose(model + 1, total, now);
      if (group < widths_.size())
        widths_[group] = width;
      if (stopped_)
        return;
    }
  }

  void consider(const longest& times) {
    if (bound_of(group_bound(times)) >= cutoff()) {
      ++bounded_;
      return;
    }
    ++evaluated_;
    auto x = evaluate_candidate(problem_, job_, problem_.profiles, place_);
    if (!x && x.error().code() == errc::exhausted && !job_.colocation.empty())
      x = evaluate_candidate(problem_, job_, offloaded(), place_);
    if (!x || x->prediction.total() >= cutoff())
      return;
    auto at = std::upper_bound(best_.begin(), best_.end(), *x,
                               [](const auto& a, const auto& b) {
                                 return a.prediction.total()
                                        < b.prediction.total();
                               });
    best_.insert(at, std::move(*x));
    if (best_.size() > options_.keep)
      best_.pop_back();
  }

  [[nodiscard]] std::vector<model_profile> offloaded() const {
    auto profiles = problem_.profiles;
    for (auto& profile : profiles)
      for (const auto& group : job_.colocation)
        if (std::count(group.begin(), group.end(), profile.name) > 0)
          profile.offload = true;
    return profiles;
  }

  const plan_problem& problem_;
  const place_function& place_;
  const deadline& until_;
  const optimize_options& options_;

  std::vector<std::vector<size_option>> choices_;
  std::vector<std::optional<model_role>> roles_;

  /// The candidate being built.
  job_spec job_;
  const std::vector<std::vector<std::size_t>>* groups_ = nullptr;
  std::vector<std::size_t> group_of_;
  std::vector<std::int64_t> widths_;
  std::vector<double> seconds_;

  double limit_ = std::numeric_limits<double>::infinity();
  std::vector<plan_candidate> best_;
  std::uint64_t evaluated_ = 0;
  std::uint64_t bounded_ = 0;
  std::uint64_t steps_ = 0;
  bool stopped_ = false;
};

} // namespace

result<optimize_result> optimize(const plan_problem& problem,
                                 const place_function& place,
                                 const deadline& until,
                                 const optimize_options& options) {
  if (options.keep == 0)
    return fail(errc::invalid, "at least one candidate must be kept");
  if (problem.machines.num_device() == 0)
    return fail(errc::invalid, "the cluster has no devices to search on");
  // Nothing is wrong with an empty placement but the numbers.
  auto numbers = predict_iteration({}, {}, problem.machines, {}, problem.work,
                                   problem.costs);
  if (!numbers)
    return fail(numbers.error());
  return search{problem, place, until, options}.run();
}

} // namespace troupe::planner
