// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/resolved_job.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "troupe/planner/job_error.hpp"

namespace troupe::planner {

namespace {

/// More processes than any job has; keeps sizes from outside from asking for
/// absurd amounts of memory.
constexpr std::int64_t max_ranks = std::int64_t{1} << 24;

using complaint = std::optional<error>;

complaint check_positive(const model_spec& x, const char* key,
                         std::int64_t value) {
  if (value >= 1)
    return std::nullopt;
  return make_error(job_error::bad_size,
                    fmt::format("{}: {} is {}; it must be at least 1", x.name,
                                key, value));
}

complaint check_sizes(const model_spec& x) {
  const std::pair<const char*, std::int64_t> counts[] = {
    {"num_gpu", x.num_gpu},
    {"num_cpu", x.num_cpu},
    {"cpu_per_process", x.cpu_per_process},
  };
  for (const auto& [key, value] : counts)
    if (value < 0)
      return make_error(job_error::bad_size,
                        fmt::format("{}: {} is {}; it must not be negative",
                                    x.name, key, value));
  if (x.num_gpu == 0 && x.num_cpu == 0 && x.cpu_per_process == 0)
    return make_error(job_error::no_processor,
                      fmt::format("{}: num_gpu and num_cpu are both 0; give "
                                  "the model one of them",
                                  x.name));
  const std::pair<const char*, std::int64_t> sizes[] = {
    {"num_replica", x.num_replica},
    {"gpu_per_process", x.on_cpu() ? 1 : x.gpu_per_process},
    {"tensor_model_parallel_size", x.parallel.tensor},
    {"pipeline_model_parallel_size", x.parallel.pipeline},
    {"data_parallel_size", x.parallel.data},
    {"context_parallel_size", x.parallel.context},
    {"expert_model_parallel_size", x.parallel.expert},
  };
  for (const auto& [key, value] : sizes)
    if (auto bad = check_positive(x, key, value))
      return bad;
  return std::nullopt;
}

/// The product of the sizes, or nothing above `max_ranks`. All are at least 1.
std::optional<std::int64_t> bounded_world(const parallel_sizes& x) {
  std::int64_t product = 1;
  for (auto factor : {x.tensor, x.pipeline, x.data, x.context}) {
    product *= factor;
    if (product > max_ranks)
      return std::nullopt;
  }
  return product;
}

complaint check_division(const model_spec& x) {
  auto world = bounded_world(x.parallel);
  if (!world || std::int64_t{x.num_replica} > max_ranks / *world)
    return make_error(job_error::size_overflow,
                      fmt::format("{}: the parallel sizes and num_replica "
                                  "multiply to more than {} processes; lower "
                                  "them",
                                  x.name, max_ranks));
  auto ranks = *world;
  if (!x.on_cpu()) {
    auto unit = std::int64_t{x.num_replica} * x.gpu_per_process;
    if (x.num_gpu % unit != 0)
      return make_error(
        job_error::not_divisible,
        fmt::format("{}: num_gpu {} is no multiple of num_replica {} x "
                    "gpu_per_process {}; change num_gpu to a multiple of {}",
                    x.name, x.num_gpu, x.num_replica, x.gpu_per_process, unit));
    ranks = x.num_gpu / unit;
    if (ranks % *world != 0)
      return make_error(
        job_error::not_divisible,
        fmt::format("{}: tensor {} x pipeline {} x data {} x context {} = {} "
                    "does not divide the {} processes of a replica; change "
                    "num_gpu or the parallel sizes",
                    x.name, x.parallel.tensor, x.parallel.pipeline,
                    x.parallel.data, x.parallel.context, *world, ranks));
  } else if (x.num_cpu > 0 && x.cpu_per_process > 0
             && std::int64_t{x.num_replica} * *world * x.cpu_per_process
                  > x.num_cpu) {
    return make_error(job_error::bad_size,
                      fmt::format("{}: {} processes of cpu_per_process {} need "
                                  "more than num_cpu {}; raise num_cpu",
                                  x.name, std::int64_t{x.num_replica} * *world,
                                  x.cpu_per_process, x.num_cpu));
  }
  auto stage = ranks / x.parallel.pipeline;
  if (stage % x.parallel.expert != 0)
    return make_error(job_error::not_divisible,
                      fmt::format("{}: expert_model_parallel_size {} does not "
                                  "divide the {} ranks of a pipeline stage",
                                  x.name, x.parallel.expert, stage));
  return std::nullopt;
}

complaint check_models(const job_spec& job, model_positions& positions) {
  std::int64_t processes = 0;
  for (std::size_t i = 0; i < job.models.size(); ++i) {
    const auto& x = job.models[i];
    if (x.name.empty())
      return make_error(job_error::empty_name,
                        fmt::format("model {} has no name; name it", i));
    if (!positions.emplace(x.name, static_cast<std::int32_t>(i)).second)
      return make_error(job_error::duplicate_name,
                        fmt::format("two models are named {}; rename one",
                                    x.name));
    if (auto bad = check_sizes(x))
      return bad;
    if (auto bad = check_division(x))
      return bad;
    processes += x.num_replica * ranks_per_replica(x);
    if (processes > max_ranks)
      return make_error(job_error::size_overflow,
                        fmt::format("the models up to {} ask for {} processes; "
                                    "at most {} can be planned",
                                    x.name, processes, max_ranks));
  }
  return std::nullopt;
}

complaint resolve_groups(const job_spec& job, const model_positions& positions,
                         resolved_job& out) {
  out.group_of.assign(job.models.size(), -1);
  for (std::size_t g = 0; g < job.colocation.size(); ++g) {
    const auto& names = job.colocation[g];
    if (names.empty())
      return make_error(job_error::empty_group,
                        fmt::format("colocation group {} is empty; name its "
                                    "models or remove it",
                                    g + 1));
    std::vector<std::int32_t> members;
    for (const auto& name : names) {
      auto found = positions.find(name);
      if (found == positions.end())
        return make_error(job_error::unknown_model,
                          fmt::format("colocation group {} names {}, which is "
                                      "no model of the job; correct or remove "
                                      "the name",
                                      g + 1, name));
      auto& group = out.group_of[static_cast<std::size_t>(found->second)];
      if (group >= 0)
        return make_error(job_error::in_two_groups,
                          fmt::format("{} stands in colocation group {} and "
                                      "again in group {}; keep it in one",
                                      name, group + 1, g + 1));
      group = static_cast<std::int32_t>(g);
      members.push_back(found->second);
    }
    out.groups.push_back(std::move(members));
  }
  out.num_colocation = static_cast<std::int32_t>(out.groups.size());
  for (std::size_t i = 0; i < job.models.size(); ++i)
    if (out.group_of[i] < 0) {
      out.group_of[i] = static_cast<std::int32_t>(out.groups.size());
      out.groups.push_back({static_cast<std::int32_t>(i)});
    }
  for (const auto& members : out.groups) {
    std::int64_t most = 0;
    for (auto i : members)
      most = std::max<std::int64_t>(most,
                                    job.models[static_cast<std::size_t>(i)]
                                      .num_gpu);
    out.group_devices.push_back(most);
    out.required += most;
  }
  return std::nullopt;
}

/// Models in an order in which every source comes before its destinations
/// (Kahn's algorithm); shorter than the models if there is a cycle.
std::vector<std::int32_t> sync_order(const resolved_job& jobs,
                                     std::size_t num_model) {
  std::vector<std::vector<std::int32_t>> followers(num_model);
  std::vector<std::int32_t> sources(num_model, 0);
  for (const auto& sync : jobs.syncs) {
    followers[static_cast<std::size_t>(sync.first)].push_back(sync.second);
    ++sources[static_cast<std::size_t>(sync.second)];
  }
  std::vector<std::int32_t> order;
  order.reserve(num_model);
  for (std::size_t i = 0; i < num_model; ++i)
    if (sources[i] == 0)
      order.push_back(static_cast<std::int32_t>(i));
  for (std::size_t done = 0; done < order.size(); ++done)
    for (auto next : followers[static_cast<std::size_t>(order[done])])
      if (--sources[static_cast<std::size_t>(next)] == 0)
        order.push_back(next);
  return order;
}

complaint check_cycles(const job_spec& job, const resolved_job& jobs) {
  auto order = sync_order(jobs, job.models.size());
  if (order.size() == job.models.size())
    return std::nullopt;
  // What is left after Kahn's algorithm are cycles and what follows them.
  // Walking backwards along sources that are left ends in a cycle.
  std::vector<bool> sorted(job.models.size(), false);
  for (auto i : order)
    sorted[static_cast<std::size_t>(i)] = true;
  std::vector<std::int32_t> source(job.models.size(), -1);
  for (const auto& sync : jobs.syncs)
    if (!sorted[static_cast<std::size_t>(sync.first)])
      source[static_cast<std::size_t>(sync.second)] = sync.first;
  std::int32_t at = 0;
  while (sorted[static_cast<std::size_t>(at)])
    ++at;
  for (std::size_t step = 0; step < job.models.size(); ++step)
    at = source[static_cast<std::size_t>(at)];
  auto name = [&](std::int32_t i) -> const std::string& {
    return job.models[static_cast<std::size_t>(i)].name;
  };
  std::string path = name(at);
  for (auto i = source[static_cast<std::size_t>(at)];;
       i = source[static_cast<std::size_t>(i)]) {
    path = fmt::format("{} -> {}", name(i), path);
    if (i == at)
      break;
  }
  return make_error(job_error::sync_cycle,
                    fmt::format("syncs form a cycle: {}; remove one of them",
                                path));
}

complaint resolve_syncs(const job_spec& job, const model_positions& positions,
                        resolved_job& out) {
  std::set<std::pair<std::int32_t, std::int32_t>> seen;
  for (const auto& sync : job.syncs) {
    for (const auto* name : {&sync.source, &sync.destination})
      if (positions.find(*name) == positions.end())
        return make_error(job_error::unknown_model,
                          fmt::format("the sync {} -> {} names {}, which is no "
                                      "model of the job; correct the name",
                                      sync.source, sync.destination, *name));
    if (sync.source == sync.destination)
      return make_error(job_error::sync_with_itself,
                        fmt::format("{} is to follow its own weights; remove "
                                    "that sync",
                                    sync.source));
    if (sync.frequency < 0)
      return make_error(job_error::negative_frequency,
                        fmt::format("the sync {} -> {} has the frequency {}; "
                                    "give the number of episodes between two "
                                    "syncs, or 0 for never",
                                    sync.source, sync.destination,
                                    sync.frequency));
    std::pair pair{positions.at(sync.source), positions.at(sync.destination)};
    if (!seen.insert(pair).second)
      return make_error(job_error::duplicate_sync,
                        fmt::format("the sync {} -> {} is given twice; remove "
                                    "one",
                                    sync.source, sync.destination));
    out.syncs.push_back(pair);
  }
  return check_cycles(job, out);
}

} // namespace

result<resolved_job> resolve(const job_spec& job) {
  resolved_job out;
  model_positions positions;
  if (auto bad = check_models(job, positions))
    return fail(std::move(*bad));
  if (auto bad = resolve_groups(job, positions, out))
    return fail(std::move(*bad));
  if (auto bad = resolve_syncs(job, positions, out))
    return fail(std::move(*bad));
  return out;
}

std::vector<bool> reversed_models(const job_spec& job,
                                  const resolved_job& jobs) {
  std::vector<bool> reversed(job.models.size(), false);
  if (job.order == placement_order::aligned)
    return reversed;
  std::vector<std::vector<std::int32_t>> sources(job.models.size());
  for (const auto& sync : jobs.syncs) {
    auto group = [&](std::int32_t i) {
      return jobs.group_of[static_cast<std::size_t>(i)];
    };
    if (group(sync.first) == group(sync.second))
      sources[static_cast<std::size_t>(sync.second)].push_back(sync.first);
  }
  for (auto i : sync_order(jobs, job.models.size())) {
    const auto& own = sources[static_cast<std::size_t>(i)];
    reversed[static_cast<std::size_t>(
      i)] = std::any_of(own.begin(), own.end(), [&](std::int32_t source) {
      return !reversed[static_cast<std::size_t>(source)];
    });
  }
  return reversed;
}

} // namespace troupe::planner
