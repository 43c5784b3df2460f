// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/job_actors.hpp"

#include <algorithm>

#include "troupe/actors/model/device_desk.hpp"
#include "troupe/actors/model/dist_model.hpp"
#include "troupe/actors/model/storage.hpp"
#include "troupe/actors/sync/sync_group.hpp"

namespace troupe::engine {

namespace {

protocol::sync_options sync_options(const config::sync_config& from) {
  protocol::sync_options x;
  x.planner = from.planner;
  x.mode = from.mode;
  x.link = from.link;
  x.requires_grad = from.requires_grad;
  x.warm_up = from.warm_up;
  x.free_groups = from.free_groups;
  x.buffer_bytes_max = from.buffer_bytes_max;
  x.staging_bytes_max = from.staging_bytes_max;
  return x;
}

} // namespace

bool weights_return(const application& app, const config::job_config& config,
                    std::string_view model) {
  const auto* x = config.find(model);
  if (x == nullptr || x->trainable)
    return false;
  // What a run does once it does not do again.
  for (std::size_t i = 0; i < app.syncs.size(); ++i)
    if (app.syncs[i].destination == model
        && app.sync_kinds[i] != sync_schedule_kind::by_frequency)
      return false;
  return true;
}

job_body make_body(const application& app, const config::job_config& config,
                   const planner::placement& plan, job_nodes& nodes,
                   caf::actor_system& system,
                   const protocol::error_signal_actor& errors,
                   std::uint32_t attempt) {
  job_body out;
  out.desk = system.spawn<model::device_desk>();
  model::model_surroundings around{nodes.all(), errors, {}, &nodes.store()};
  around.desk = out.desk;
  around.models = static_cast<std::uint32_t>(config.models.size());
  around.far_nodes = !nodes.local();
  for (const auto& x : nodes.cluster().nodes)
    around.devices_per_node.push_back(
      static_cast<std::int32_t>(x.devices.size()));
  auto specs = config::to_job_spec(config, app.syncs);
  for (const auto& x : config.models) {
    model::model_job job;
    job.spec = *std::ranges::find(specs.models, x.name,
                                  &planner::model_spec::name);
    job.place = *plan.find(x.name);
    bytes options;
    x.options.encode(options);
    job.config = protocol::to_payload(options);
    job.seed = static_cast<std::uint64_t>(config.runtime.seed);
    job.weights_return = weights_return(app, config, x.name);
    job.memory = {x.offload, x.device_memory_max};
    job.num_threads = nodes.threads_per_host();
    job.collective_timeout = config.runtime.collective_timeout;
    job.rejoin_timeout = config.runtime.rejoin_timeout;
    job.attempt = attempt;
    out.models[x.name] = system.spawn<model::dist_model>(job, around);
  }
  out.storage = system.spawn<model::storage>(nodes.all(), &nodes.store());
  return out;
}

std::vector<engine_sync> make_syncs(const application& app,
                                    const config::job_config& config,
                                    const job_body& body,
                                    caf::actor_system& system,
                                    std::uint32_t attempt) {
  std::vector<engine_sync> out;
  for (std::size_t i = 0; i < app.syncs.size(); ++i) {
    const auto& pair = app.syncs[i];
    engine_sync x;
    x.name = pair.source + "2" + pair.destination;
    x.source = pair.source;
    x.destination = pair.destination;
    x.kind = app.sync_kinds[i];
    x.frequency = config.find(pair.destination)->sync_frequency;
    x.options = sync_options(config.runtime.sync);
    // What is given back between syncs cannot be warmed up nor lent meanwhile.
    for (const auto& end : {pair.source, pair.destination})
      if (config.find(end)->offload) {
        x.options.warm_up = false;
        x.options.free_groups = true;
      }
    x.actor = system.spawn<sync::sync_group>(x.name,
                                             body.models.at(pair.source),
                                             body.models.at(pair.destination),
                                             attempt, body.desk);
    out.push_back(std::move(x));
  }
  return out;
}

} // namespace troupe::engine
