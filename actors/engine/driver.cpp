// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/driver.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <set>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/core.h>
#include <unistd.h>

#include "troupe/actors/engine/engine.hpp"
#include "troupe/actors/engine/error_follower.hpp"
#include "troupe/actors/engine/job_nodes.hpp"
#include "troupe/actors/engine/planner_actor.hpp"
#include "troupe/actors/engine/restart_policy.hpp"
#include "troupe/actors/engine/status_desk.hpp"
#include "troupe/actors/model/dist_model.hpp"
#include "troupe/actors/model/storage.hpp"
#include "troupe/actors/monitor/error_monitor.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/node/port_manager.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/node/system_config.hpp"
#include "troupe/actors/process/signal_watch.hpp"
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
      nodes_(app, config, settings),
      actor_config_(settings.guard != nullptr || !settings.nodes.empty()),
      system_(new_system()),
      self_(std::make_unique<caf::scoped_actor>(*system_)),
      policy_(config.runtime.restart_on_failure ? config.runtime.max_restarts
                                                : 0,
              config.runtime.restart_backoff) {
    // nop
  }

  /// True if every actor has ended. If not, the driver must outlive all of the
  /// process: threads that are left still use it, and waiting for them has no
  /// bound.
  [[nodiscard]] bool all_down() const noexcept { return all_down_; }

  /// See `driven`.
  [[nodiscard]] bool begun() const noexcept { return begun_; }

  result<run_outcome> run(const std::shared_ptr<data_source>& data,
                          run_listener& listener) {
    auto watch = watch_signals();
    if (!watch)
      return fail(watch.error());
    if (auto up = start_nodes(listener); !up)
      return stop_early(up.error());
    auto plan = make_plan();
    if (!plan)
      return stop_early(plan.error());
    begun_ = true;
    auto desk = open_desk(listener);
    auto outcome = run_attempts(*plan, data, *desk);
    if (outcome)
      outcome->nodes = nodes_.statuses(*self_);
    if (outcome)
      desk->close(*outcome);
    desk.reset();
    shut_down();
    // A worker in this process may still be computing for a run that failed.
    all_down_ = all_down_ && outcome && outcome->end == run_end::finished;
    return outcome;
  }

private:
  std::unique_ptr<caf::actor_system> new_system() {
    return std::make_unique<caf::actor_system>(actor_config_);
  }

  using actor_list = std::vector<caf::strong_actor_ptr>;

  template <class Handle>
  Handle keep_in(actor_list& these, Handle x) {
    (*self_)->monitor(x);
    these.push_back(caf::actor_cast<caf::strong_actor_ptr>(x));
    return x;
  }

  /// For an actor of the whole run.
  template <class Handle>
  Handle keep(Handle x) {
    return keep_in(kept_, std::move(x));
  }

  /// For an actor that ends with the attempt.
  template <class Handle>
  Handle keep_now(Handle x) {
    return keep_in(attempt_, std::move(x));
  }

  // -- making -----------------------------------------------------------------

  result<void> start_nodes(run_listener& listener) {
    errors_ = keep(system_->spawn<monitor::error_signal>());
    caf::anon_send(errors_,
                   protocol::subscribe_errors{
                     keep(system_->spawn<error_follower>(
                       [&listener](const auto& x) { listener.on_error(x); }))});
    tell_application();
    if (auto started = nodes_.start(*system_, errors_); !started)
      return started;
    if (nodes_.local())
      for (const auto& x : nodes_.all())
        keep(x);
    return {};
  }

  /// The application's own subscription; a thread of its own, because it may
  /// take its time.
  void tell_application() {
    if (app_.on_error)
      caf::anon_send(errors_, protocol::subscribe_errors{keep(
                                system_->spawn<error_follower, caf::detached>(
                                  app_.on_error))});
  }

  result<planner::placement> make_plan() {
    job_ = config::to_job_spec(config_, app_.syncs);
    auto planner = keep(system_->spawn<job_planner>(nodes_.cluster()));
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

  /// Lets monitors look at the run.
  std::unique_ptr<status_desk> open_desk(run_listener& listener) {
    const auto& runtime = config_.runtime;
    monitor::board_settings board{config_.app,
                                  runtime.run_name,
                                  settings_.job,
                                  {}};
    for (const auto& x : config_.models)
      board.models.push_back({x.name, x.num_replica,
                              static_cast<std::int32_t>(x.parallel.world()),
                              x.trainable});
    desk_settings x;
    x.self = {settings_.version, node::build_id(), config_.app,
              runtime.run_name,  settings_.job,    ::getpid()};
    x.serve = runtime.monitor;
    x.port = runtime.monitor_port;
    x.episode = settings_.resume ? settings_.resume->episode : 0;
    x.num_episode = runtime.num_episode;
    x.address_file = settings_.monitor_file;
    return std::make_unique<
      status_desk>(listener, *system_,
                   keep(system_->spawn<monitor::status_board>(board, errors_)),
                   x);
  }

  void make_models(const planner::placement& plan) {
    model::model_surroundings around{nodes_.all(),
                                     errors_,
                                     {},
                                     &nodes_.store()};
    for (const auto& x : nodes_.cluster().nodes)
      around.devices_per_node.push_back(
        static_cast<std::int32_t>(x.devices.size()));
    for (const auto& x : config_.models) {
      model::model_job job;
      job.spec = *std::ranges::find(job_.models, x.name,
                                    &planner::model_spec::name);
      job.place = *plan.find(x.name);
      bytes options;
      x.options.encode(options);
      job.config = protocol::to_payload(options);
      job.seed = static_cast<std::uint64_t>(config_.runtime.seed);
      job.num_threads = nodes_.threads_per_host();
      job.collective_timeout = config_.runtime.collective_timeout;
      models_[x.name] = keep_now(
        system_->spawn<model::dist_model>(job, around));
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
      x.actor = keep_now(
        system_->spawn<sync::sync_group>(x.name, models_.at(pair.source),
                                         models_.at(pair.destination)));
      syncs_.push_back(std::move(x));
    }
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

  void start_engine(const std::shared_ptr<data_source>& data,
                    std::optional<checkpoint::saved> resume,
                    run_listener& listener) {
    engine_parts parts;
    parts.app = &app_;
    parts.config = config_;
    parts.models = models_;
    parts.syncs = syncs_;
    parts.data = data;
    parts.storage = keep_now(
      system_->spawn<model::storage>(nodes_.all(), &nodes_.store()));
    parts.errors = errors_;
    parts.applier = keep_now(
      system_->spawn<applier, caf::detached>(&nodes_.store()));
    parts.keeper = keep_now(
      system_->spawn<
        checkpoint_keeper,
        caf::detached>(checkpoint::checkpoint_folder{settings_.checkpoint_dir},
                       static_cast<std::size_t>(
                         config_.runtime.checkpoints_max)));
    parts.resume = std::move(resume);
    parts.listener = &listener;
    parts.owner = caf::actor_cast<run_owner_actor>(
      caf::actor_cast<caf::strong_actor_ptr>(self_->ptr()));
    engine_ = keep_now(system_->spawn<engine>(std::move(parts)));
    auto monitor = keep_now(
      system_->spawn<monitor::error_monitor>(nodes_.all()));
    keep_now(system_->spawn<node::port_manager>(process::port_manager{}));
    caf::anon_send(monitor, protocol::subscribe_verdict{engine_});
    caf::anon_send(monitor, protocol::subscribe_verdict{errors_});
    // What an earlier attempt died of is over.
    auto from_now = policy_.restarts() > 0;
    caf::anon_send(errors_, protocol::subscribe_errors{monitor, from_now});
    caf::anon_send(engine_, start_run{});
  }

  // -- running ----------------------------------------------------------------

  /// The first signal reaches this thread as a message.
  result<std::unique_ptr<process::signal_watch>> watch_signals() {
    auto me = caf::actor_cast<caf::actor>(
      caf::actor_cast<caf::strong_actor_ptr>(self_->ptr()));
    return process::signal_watch::start([me](int count) {
      if (count == 1) {
        caf::anon_send<caf::message_priority::high>(me, stop_run{});
        return;
      }
      // The second one is an order: the guard sweeps when we are gone.
      std::fputs("\nStopped at once.\n", stderr);
      ::_exit(130);
    });
  }

  /// Attempts until one ends well, is interrupted, or is the last.
  result<run_outcome> run_attempts(const planner::placement& plan,
                                   const std::shared_ptr<data_source>& data,
                                   status_desk& listener) {
    auto beginning = position_of(*data);
    if (!beginning)
      return fail(beginning.error());
    auto resume = settings_.resume;
    for (;;) {
      make_models(plan);
      listener.watch({nodes_.all(), models_});
      auto from = resume ? std::optional{resume->episode} : std::nullopt;
      start_engine(data, std::exchange(resume, std::nullopt), listener);
      auto outcome = wait();
      if (!outcome)
        return outcome;
      outcome->restarts = policy_.restarts();
      if (!outcome->saved_episode)
        outcome->saved_episode = from;
      if (outcome->end != run_end::failed || interrupted_
          || policy_.restarts() >= policy_.restarts_max())
        return outcome;
      // Nobody writes any more: what is on the disk stays.
      if (auto ended = end_attempt(listener); !ended) {
        if (interrupted_)
          outcome->end = run_end::interrupted;
        else
          listener.on_note(
            fmt::format("Cannot go on: {}", ended.error().message()));
        return outcome;
      }
      auto found = checkpoint::checkpoint_folder{settings_.checkpoint_dir}
                     .latest();
      restart_notice notice;
      notice.cause = outcome->verdict.root;
      if (found) {
        notice.episode = found->episode;
        outcome->saved_episode = found->episode;
      }
      auto wait = policy_.next(notice.cause.code, notice.episode);
      if (!wait)
        return outcome;
      notice.number = policy_.restarts();
      notice.number_max = policy_.restarts_max();
      notice.wait = *wait;
      listener.on_restart(notice);
      if (!pause(*wait)) {
        outcome->end = run_end::interrupted;
        return outcome;
      }
      if (found)
        resume = std::move(*found);
      else if (auto back = seek_to(*data, *beginning); !back)
        return fail(back.error());
    }
  }

  result<run_outcome> wait() {
    result<run_outcome> out = fail(errc::internal, "the engine fell silent");
    auto done = false;
    // Ends with the engine, whose every wait has a deadline.
    (*self_)->receive_while([&] { return !done; })(
      [&](run_ended& x) {
        out = std::move(x.outcome);
        done = true;
      },
      [&](stop_run) {
        // It may come too late for the engine, which judges a failure.
        interrupted_ = true;
        caf::anon_send<caf::message_priority::high>(engine_, stop_run{});
      },
      [&](const caf::down_msg& x) {
        gone_.insert(x.source);
        if (x.source == engine_.address()) {
          out = fail(errc::internal,
                     "the engine ended: " + caf::to_string(x.reason));
          done = true;
        }
      });
    return out;
  }

  /// False if somebody wants the run to end meanwhile.
  bool pause(milliseconds time) {
    auto until = deadline::after(time);
    while (!interrupted_ && !until.passed())
      (*self_)->receive([&](stop_run) { interrupted_ = true; },
                        [&](const caf::down_msg& x) { gone_.insert(x.source); },
                        caf::after(until.left_ms()) >> [] {});
    return !interrupted_;
  }

  // -- ending -----------------------------------------------------------------

  result<run_outcome> stop_early(const error& why) {
    shut_down();
    return fail(why);
  }

  void shut_down() {
    auto timeout = config_.runtime.shutdown_timeout;
    nodes_.close(*self_, timeout);
    auto until = deadline::after(timeout);
    auto attempt_down = end_all(attempt_, until);
    all_down_ = end_all(kept_, until) && attempt_down;
    forget_attempt();
    errors_ = protocol::error_signal_actor{};
  }

  /// Ends what belongs to this attempt: hosts first, so that nobody waits for
  /// them. Fails if something is left.
  result<void> end_attempt(run_listener& listener) {
    node_patience patience{[this](milliseconds time) { return pause(time); },
                           [&](std::string_view text) {
                             listener.on_note(text);
                           }};
    if (auto anew = nodes_.begin_anew(*self_, patience); !anew)
      return anew;
    // A plain function may be running, or a checkpoint on its way to the disk.
    const auto& runtime = config_.runtime;
    auto timeout = std::max(runtime.call_timeout, runtime.checkpoint_timeout);
    if (!end_all(attempt_, deadline::after(timeout), true))
      return fail(errc::timed_out, "an actor of the failed attempt does not "
                                   "end");
    forget_attempt();
    return {};
  }

  void forget_attempt() {
    models_.clear();
    syncs_.clear();
    engine_ = engine_actor{};
  }

  /// True if all have ended in time. An interruption may end the wait.
  bool end_all(actor_list& these, deadline until, bool interruptible = false) {
    std::set<caf::actor_addr> left;
    for (const auto& x : these) {
      left.insert(caf::actor_cast<caf::actor_addr>(x));
      caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
    }
    these.clear();
    for (const auto& x : gone_)
      left.erase(x);
    while (!left.empty() && !until.passed() && !(interruptible && interrupted_))
      (*self_)->receive(
        [&](const caf::down_msg& x) {
          gone_.insert(x.source);
          left.erase(x.source);
        },
        [](run_ended&) {}, [&](stop_run) { interrupted_ = true; },
        caf::after(until.left_ms()) >> [] {});
    return left.empty();
  }

  const application& app_;
  const config::job_config& config_;
  const driver_settings& settings_;
  job_nodes nodes_;
  node::system_config actor_config_;
  std::unique_ptr<caf::actor_system> system_;
  // Goes before its system.
  std::unique_ptr<caf::scoped_actor> self_;
  actor_list kept_;
  actor_list attempt_;
  /// Who has ended.
  std::set<caf::actor_addr> gone_;
  bool all_down_ = false;
  bool begun_ = false;
  /// Somebody wanted the end while no engine was there to hear it.
  bool interrupted_ = false;
  restart_policy policy_;

  protocol::error_signal_actor errors_;
  planner::job_spec job_;
  std::map<std::string, protocol::dist_model_actor> models_;
  std::vector<engine_sync> syncs_;
  engine_actor engine_;
};

} // namespace

driven drive(const application& app, const config::job_config& config,
             const std::shared_ptr<data_source>& data,
             const driver_settings& settings, run_listener& listener) {
  auto x = std::make_unique<driver>(app, config, settings);
  driven out;
  out.outcome = x->run(data, listener);
  out.begun = x->begun();
  out.threads_left = !x->all_down();
  if (out.threads_left)
    static_cast<void>(x.release());
  return out;
}

} // namespace troupe::engine
