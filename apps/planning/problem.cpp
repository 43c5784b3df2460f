// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/problem.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "troupe/actors/config/devices.hpp"
#include "troupe/actors/config/loader.hpp"
#include "troupe/actors/process/cgroup.hpp"
#include "troupe/apps/planning/hf_config.hpp"

namespace troupe::planning {

namespace {

result<planner::model_profile> make_profile(const config::model_config& model,
                                            const std::filesystem::path& folder,
                                            const planner::workload& work) {
  const auto& given = *model.profile;
  auto out = given.settings;
  out.name = model.name;
  if (out.sequence_tokens == 0)
    out.sequence_tokens = work.prompt_tokens + work.response_tokens;
  if (given.hf_config.empty()) {
    auto counts = planner::plain_parameters(given.num_parameters,
                                            given.num_layers);
    if (!counts)
      return fail(counts.error());
    out.parameters = *counts;
    return out;
  }
  auto shape = load_hf_config(folder / given.hf_config);
  if (!shape)
    return fail(shape.error());
  auto counts = planner::count_parameters(*shape);
  if (!counts)
    return fail(counts.error());
  out.shape = *shape;
  out.parameters = *counts;
  return out;
}

/// The GPUs of this machine if `devices` means them, which then are named.
result<config::gpu_inventory> look_for_gpus(const plan_arguments& args,
                                            config::device_request& devices) {
  config::gpu_inventory out;
  if (devices.kind != config::device_kind::cuda)
    return out;
  auto named = config::name_devices(devices, [&] {
    auto found = args.find_gpus
                   ? args.find_gpus()
                   : result<config::gpu_inventory>{
                     config::gpu_inventory{{}, "this program asks for none"}};
    if (found)
      out = *found;
    return found;
  });
  if (named) {
    devices = std::move(*named);
    return out;
  }
  // Those that were named may be another machine's.
  if (!devices.ids.empty())
    return config::gpu_inventory{};
  return fail(named.error().code(),
              fmt::format("{}, name them (cuda:0,1,2,3) or describe the "
                          "machines with --nodes-spec FILE",
                          named.error().message()));
}

planner::workload make_workload(const config::job_config& config) {
  auto out = config.workload;
  if (out.samples == 0)
    out.samples = config.runtime.sample_per_episode;
  if (out.train_batch == 0)
    out.train_batch = out.samples;
  return out;
}

} // namespace

result<config::node_file> load_machines(const plan_arguments& args,
                                        const config::job_config& config) {
  if (!args.nodes_file.empty())
    return config::load_node_file(args.nodes_file);
  auto devices = config::parse_devices(
    args.devices.value_or(config.runtime.devices));
  if (!devices)
    return fail(devices.error());
  config::gpu_inventory here;
  if (auto found = look_for_gpus(args, *devices); found)
    here = std::move(*found);
  else
    return fail(found.error());
  config::node_file out;
  out.machines = planner::cluster::uniform(1, devices->count,
                                           process::usable_cores());
  for (std::size_t i = 0; i < devices->ids.size(); ++i) {
    auto id = static_cast<std::size_t>(devices->ids[i]);
    if (id < here.gpus.size())
      out.machines.nodes.front().devices[i].memory_bytes = here.gpus[id]
                                                             .memory_bytes;
  }
  return out;
}

result<planner::plan_problem> make_problem(const config::job_config& config,
                                           const config::app_schema& schema,
                                           config::node_file machines,
                                           const std::string& config_file) {
  planner::plan_problem out;
  auto syncs = schema.syncs;
  for (auto& pair : syncs)
    if (const auto* model = config.find(pair.destination);
        model != nullptr && pair.frequency > 0)
      pair.frequency = model->sync_frequency;
  out.job = config::to_job_spec(config, std::move(syncs));
  out.machines = std::move(machines.machines);
  out.costs = machines.costs;
  out.work = make_workload(config);
  auto folder = std::filesystem::path{config_file}.parent_path();
  for (const auto& model : config.models) {
    if (!model.profile)
      continue;
    auto profile = make_profile(model, folder, out.work);
    if (!profile)
      return fail(profile.error().within(
        fmt::format("{}: models.{}.profile", config_file, model.name)));
    out.profiles.push_back(std::move(*profile));
  }
  return out;
}

result<planner::plan_problem> load_problem(const config::app_schema& schema,
                                           const plan_arguments& args) {
  auto config = config::load(args.config_file, schema, args.overrides);
  if (!config)
    return fail(config.error());
  auto machines = load_machines(args, *config);
  if (!machines)
    return fail(machines.error());
  config::take_all_devices(*config, machines->machines.num_device());
  return make_problem(*config, schema, std::move(*machines), args.config_file);
}

std::vector<std::string>
profile_warnings(const planner::plan_problem& problem) {
  std::vector<std::string> out;
  auto generates = false;
  for (const auto& profile : problem.profiles) {
    generates = generates || profile.role == planner::model_role::generate;
    const auto* spec = planner::find_spec(problem.job, profile.name);
    if (spec == nullptr || spec->on_cpu() || !profile.shape)
      continue;
    const auto& shape = *profile.shape;
    const auto& sizes = spec->parallel;
    if (shape.num_attention_heads % sizes.tensor != 0)
      out.push_back(fmt::format("{}: tensor size {} does not divide its {} "
                                "attention heads; most engines refuse this",
                                profile.name, sizes.tensor,
                                shape.num_attention_heads));
    if (sizes.pipeline > shape.num_hidden_layers)
      out.push_back(fmt::format("{}: {} pipeline stages share {} layers: some "
                                "hold none",
                                profile.name, sizes.pipeline,
                                shape.num_hidden_layers));
  }
  if (!problem.profiles.empty() && !generates)
    out.push_back("no profile has the role generate: the predicted time lacks "
                  "generation, and no KV cache is counted");
  return out;
}

} // namespace troupe::planning
