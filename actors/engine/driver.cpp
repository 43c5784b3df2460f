// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/driver.hpp"

#include <algorithm>
#include <cstdio>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/core.h>
#include <unistd.h>

#include "troupe/actors/engine/engine.hpp"
#include "troupe/actors/engine/planner_actor.hpp"
#include "troupe/actors/engine/signal_watch.hpp"
#include "troupe/actors/model/dist_model.hpp"
#include "troupe/actors/model/storage.hpp"
#include "troupe/actors/monitor/error_monitor.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/node/guarded_launcher.hpp"
#include "troupe/actors/node/inproc_launcher.hpp"
#include "troupe/actors/node/node.hpp"
#include "troupe/actors/node/port_manager.hpp"
#include "troupe/actors/node/system_config.hpp"
#include "troupe/actors/sync/sync_group.hpp"
#include "troupe/core/log.hpp"

namespace troupe::engine {

namespace {

using std::chrono::milliseconds;

/// How long actors of the driver may take for small things.
constexpr auto local_timeout = std::chrono::seconds{5};

/// Everything of one run that lives in the driver's process, in the order in
/// which it is made.
class driver {
public:
  driver(const application& app, const config::job_config& config,
         const driver_settings& settings)
    : app_(app),
      config_(config),
      settings_(settings),
      mesh_(process::node_slot),
      store_(store_settings(config), &mesh_),
      actor_config_(settings.guard != nullptr),
      system_(new_system()),
      self_(std::make_unique<caf::scoped_actor>(*system_)) {
    // nop
  }

  /// True if every actor has ended. If not, the driver must outlive all of the
  /// process: threads that are left still use it, and waiting for them has no
  /// bound.
  [[nodiscard]] bool all_down() const noexcept { return all_down_; }

  result<run_outcome> run(std::shared_ptr<data_source> data,
                          run_listener& listener) {
    if (auto up = start_node(); !up)
      return fail(up.error());
    auto plan = make_plan();
    if (!plan)
      return stop_early(plan.error());
    if (auto made = make_models(*plan); !made)
      return stop_early(made.error());
    start_engine(std::move(data), listener);
    auto outcome = wait();
    if (outcome)
      collect_processes(*outcome);
    shut_down();
    // A worker in this process may still be computing for a run that failed.
    all_down_ = all_down_ && outcome && outcome->end == run_end::finished;
    return outcome;
  }

private:
  static process::store_settings
  store_settings(const config::job_config& config) {
    process::store_settings x;
    x.bytes_max = config.runtime.store_bytes_max;
    return x;
  }

  std::unique_ptr<caf::actor_system> new_system() {
    return std::make_unique<caf::actor_system>(actor_config_);
  }

  template <class Handle>
  Handle keep(Handle x) {
    (*self_)->monitor(x);
    kept_.push_back(caf::actor_cast<caf::strong_actor_ptr>(x));
    return x;
  }

  [[nodiscard]] std::int32_t num_device() const {
    return settings_.devices.count;
  }

  [[nodiscard]] std::int32_t threads_per_host() const {
    auto cores = static_cast<std::int32_t>(
      std::max(1u, std::thread::hardware_concurrency()));
    return std::max(1, cores / std::max(1, num_device()));
  }

  // -- making -----------------------------------------------------------------

  result<void> start_node() {
    errors_ = keep(system_->spawn<monitor::error_signal>());
    node::node_settings x;
    x.job = settings_.job;
    x.num_device = num_device();
    x.device_kind = "cpu";
    if (settings_.guard)
      return start_guarded_node(x);
    model::host_services services{{}, &app_.models, &store_, &hub_};
    auto launcher = std::make_shared<
      node::inproc_launcher>(*system_, settings_.job, services,
                             node::worker_threads::own);
    node_ = keep(system_->spawn<node::node>(x, launcher, errors_));
    launcher->report_to(node_);
    return {};
  }

  result<void> start_guarded_node(const node::node_settings& x) {
    node::host_arguments common;
    common.app = app_.name;
    common.job = settings_.job;
    common.num_threads = threads_per_host();
    common.store_bytes_max = config_.runtime.store_bytes_max;
    common.log_level = config_.runtime.log_level;
    auto launcher = std::make_shared<node::guarded_launcher>(*settings_.guard,
                                                             mesh_, common,
                                                             settings_.log_dir);
    node_ = keep(system_->spawn<node::node>(x, launcher, errors_));
    auto port = system_->middleman().publish(node_, 0, "127.0.0.1");
    if (!port)
      return fail(protocol::from_caf(port.error()).within("opening a port"));
    launcher->report_to(node_, *port);
    return {};
  }

  result<planner::placement> make_plan() {
    job_ = config::to_job_spec(config_, app_.syncs);
    auto planner = keep(
      system_->spawn<job_planner>(make_cluster(settings_.devices)));
    result<planner::placement> plan;
    (*self_)
      ->request(planner, local_timeout, plan_request{job_})
      .receive([&](planner::placement& x) { plan = std::move(x); },
               [&](caf::error& x) { plan = fail(protocol::from_caf(x)); });
    if (plan)
      for (const auto& line : plan->warnings)
        log::warning("planner", "{}", line);
    return plan;
  }

  result<void> make_models(const planner::placement& plan) {
    model::model_surroundings around{{node_}, errors_, {num_device()}, &store_};
    for (const auto& x : config_.models) {
      model::model_job job;
      job.spec = *std::ranges::find(job_.models, x.name,
                                    &planner::model_spec::name);
      job.place = *plan.find(x.name);
      bytes options;
      x.options.encode(options);
      job.config = protocol::to_payload(options);
      job.seed = static_cast<std::uint64_t>(config_.runtime.seed);
      job.num_threads = threads_per_host();
      job.collective_timeout = config_.runtime.collective_timeout;
      models_[x.name] = keep(system_->spawn<model::dist_model>(job, around));
    }
    for (std::size_t i = 0; i < app_.syncs.size(); ++i) {
      const auto& pair = app_.syncs[i];
      engine_sync x;
      x.name = pair.source + "2" + pair.destination;
      x.source = pair.source;
      x.destination = pair.destination;
      x.kind = app_.sync_kinds[i];
      x.frequency = config_.find(pair.destination)->sync_frequency;
      x.options = sync_options();
      x.actor = keep(
        system_->spawn<sync::sync_group>(x.name, models_.at(pair.source),
                                         models_.at(pair.destination)));
      syncs_.push_back(std::move(x));
    }
    return {};
  }

  [[nodiscard]] protocol::sync_options sync_options() const {
    const auto& from = config_.runtime.sync;
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

  void start_engine(std::shared_ptr<data_source> data, run_listener& listener) {
    std::vector<protocol::node_actor> nodes{node_};
    engine_parts parts;
    parts.app = &app_;
    parts.config = config_;
    parts.models = models_;
    parts.syncs = syncs_;
    parts.data = std::move(data);
    parts.storage = keep(system_->spawn<model::storage>(nodes, &store_));
    parts.errors = errors_;
    parts.applier = keep(system_->spawn<applier, caf::detached>(&store_));
    parts.listener = &listener;
    parts.owner = caf::actor_cast<run_owner_actor>(
      caf::actor_cast<caf::strong_actor_ptr>(self_->ptr()));
    engine_ = keep(system_->spawn<engine>(std::move(parts)));
    auto monitor = keep(system_->spawn<monitor::error_monitor>(nodes));
    keep(system_->spawn<node::port_manager>(process::port_manager{}));
    caf::anon_send(monitor, protocol::subscribe_verdict{engine_});
    caf::anon_send(errors_, protocol::subscribe_errors{monitor});
    caf::anon_send(engine_, start_run{});
  }

  // -- running ----------------------------------------------------------------

  result<run_outcome> wait() {
    auto watch = signal_watch::start([this](int count) {
      if (count == 1) {
        caf::anon_send<caf::message_priority::high>(engine_, stop_run{});
        return;
      }
      // The second one is an order: the guard sweeps when we are gone.
      std::fputs("\nStopped at once.\n", stderr);
      ::_exit(130);
    });
    if (!watch)
      return fail(watch.error());
    result<run_outcome> out = fail(errc::internal, "the engine fell silent");
    auto done = false;
    // Ends with the engine, whose every wait has a deadline.
    (*self_)->receive_while([&] { return !done; })(
      [&](run_ended& x) {
        out = std::move(x.outcome);
        done = true;
      },
      [&](const caf::down_msg& x) {
        if (x.source == engine_.address()) {
          out = fail(errc::internal,
                     "the engine ended: " + caf::to_string(x.reason));
          done = true;
        }
      });
    return out;
  }

  void collect_processes(run_outcome& outcome) {
    (*self_)
      ->request(node_, local_timeout, protocol::get_node_status{})
      .receive([&](protocol::node_status&
                     x) { outcome.nodes.push_back(std::move(x)); },
               [](caf::error&) {
                 // The summary then lists no processes.
               });
  }

  // -- ending -----------------------------------------------------------------

  result<run_outcome> stop_early(const error& why) {
    shut_down();
    return fail(why);
  }

  void shut_down() {
    auto timeout = config_.runtime.shutdown_timeout;
    (*self_)
      ->request(node_, timeout + milliseconds{1000},
                protocol::close_node{
                  static_cast<std::uint32_t>(timeout.count())})
      .receive([](protocol::ack) {},
               [](caf::error& x) {
                 log::warning("driver", "closing the node: {}",
                              caf::to_string(x));
               });
    for (const auto& x : kept_)
      caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
    auto left = kept_.size();
    auto until = deadline::after(timeout);
    while (left > 0 && !until.passed())
      (*self_)->receive([&](const caf::down_msg&) { --left; },
                        [](run_ended&) {},
                        caf::after(until.left_ms()) >> [] {});
    all_down_ = left == 0;
    kept_.clear();
    models_.clear();
    syncs_.clear();
    node_ = protocol::node_actor{};
    errors_ = protocol::error_signal_actor{};
    engine_ = engine_actor{};
  }

  const application& app_;
  const config::job_config& config_;
  const driver_settings& settings_;
  process::peer_mesh mesh_;
  process::batch_store store_;
  comm::inproc::hub hub_;
  node::system_config actor_config_;
  std::unique_ptr<caf::actor_system> system_;
  // Goes before its system.
  std::unique_ptr<caf::scoped_actor> self_;
  std::vector<caf::strong_actor_ptr> kept_;
  bool all_down_ = false;

  protocol::error_signal_actor errors_;
  protocol::node_actor node_;
  planner::job_spec job_;
  std::map<std::string, protocol::dist_model_actor> models_;
  std::vector<engine_sync> syncs_;
  engine_actor engine_;
};

} // namespace

planner::cluster make_cluster(const config::device_request& x) {
  return planner::cluster::
    uniform(1, x.count,
            static_cast<std::int32_t>(
              std::max(1u, std::thread::hardware_concurrency())));
}

driven drive(const application& app, const config::job_config& config,
             std::shared_ptr<data_source> data, const driver_settings& settings,
             run_listener& listener) {
  auto x = std::make_unique<driver>(app, config, settings);
  driven out;
  out.outcome = x->run(std::move(data), listener);
  out.threads_left = !x->all_down();
  if (out.threads_left)
    static_cast<void>(x.release());
  return out;
}

} // namespace troupe::engine
