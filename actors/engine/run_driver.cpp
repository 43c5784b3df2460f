// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/run_driver.hpp"

#include <cstdio>
#include <utility>

#include <caf/send.hpp>
#include <fmt/core.h>
#include <unistd.h>

#include "troupe/actors/engine/error_follower.hpp"
#include "troupe/actors/engine/planner_actor.hpp"
#include "troupe/actors/engine/repair_crew.hpp"
#include "troupe/actors/monitor/error_monitor.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/node/port_manager.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/core/log.hpp"

namespace troupe::engine {

using std::chrono::milliseconds;

namespace {

/// How long actors of the driver may take for small things.
constexpr auto local_timeout = std::chrono::seconds{5};

} // namespace

run_driver::run_driver(const application& app, const config::job_config& config,
                       const driver_settings& settings)
  : app_(app),
    config_(config),
    settings_(settings),
    nodes_(app, config, settings),
    actor_config_(settings.guard != nullptr || !settings.nodes.empty()),
    system_(std::make_unique<caf::actor_system>(actor_config_)),
    self_(std::make_unique<caf::scoped_actor>(*system_)),
    policy_(config.runtime.on_failure == config::failure_policy::stop
              ? 0
              : config.runtime.max_restarts,
            config.runtime.restart_backoff) {
  // nop
}

result<run_outcome> run_driver::run(const std::shared_ptr<data_source>& data,
                                    run_listener& listener) {
  auto watch = watch_signals();
  if (!watch)
    return fail(watch.error());
  if (auto up = start_nodes(listener); !up)
    return stop_early(up.error());
  config::take_all_devices(config_, nodes_.cluster().num_device());
  if (settings_.on_settled)
    if (auto good = settings_.on_settled(config_); !good)
      return stop_early(good.error());
  nodes_.write_down();
  auto plan = make_plan();
  if (!plan)
    return stop_early(plan.error());
  begun_ = true;
  auto desk = open_desk(listener);
  members_ = {config::to_job_spec(config_, app_.syncs), nodes_.cluster(),
              *plan};
  open_orders(*desk);
  auto outcome = run_attempts(data, *desk);
  orders_.reset();
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

// -- making --------------------------------------------------------------------

result<void> run_driver::start_nodes(run_listener& listener) {
  errors_ = keep(system_->spawn<monitor::error_signal>());
  caf::anon_send(errors_,
                 protocol::subscribe_errors{keep(system_->spawn<error_follower>(
                   [&listener](const auto& x) { listener.on_error(x); }))});
  tell_application();
  if (auto started = nodes_.start(*system_, errors_); !started)
    return started;
  if (nodes_.local())
    for (const auto& x : nodes_.all())
      keep(x);
  return {};
}

void run_driver::tell_application() {
  if (app_.on_error)
    caf::anon_send(errors_, protocol::subscribe_errors{keep(
                              system_->spawn<error_follower, caf::detached>(
                                app_.on_error))});
}

result<planner::placement> run_driver::make_plan() {
  auto job = config::to_job_spec(config_, app_.syncs);
  auto planner = keep(system_->spawn<job_planner>(nodes_.cluster()));
  result<planner::placement> plan;
  (*self_)
    ->request(planner, local_timeout, plan_request{job})
    .receive([&](planner::placement& x) { plan = std::move(x); },
             [&](caf::error& x) { plan = fail(protocol::from_caf(x)); });
  if (plan)
    for (const auto& line : plan->warnings)
      log::warning("planner", "{}", line);
  return plan;
}

std::unique_ptr<status_desk> run_driver::open_desk(run_listener& listener) {
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

void run_driver::make_models() {
  auto plan = members_.plan();
  // From now on replicas have the numbers that the plan gives them.
  members_ = {config::to_job_spec(config_, app_.syncs), nodes_.cluster(), plan};
  body_ = make_body(app_, config_, plan, nodes_, *system_, errors_,
                    ++attempts_);
  for (const auto& [name, model] : body_.models)
    keep_in(body_actors_, model);
  keep_in(body_actors_, body_.storage);
  keep_in(body_actors_, body_.desk);
}

void run_driver::start_engine(const std::shared_ptr<data_source>& data,
                              beginning& from, run_listener& listener) {
  engine_parts parts;
  parts.app = &app_;
  parts.config = config_;
  parts.models = body_.models;
  parts.members = members_;
  parts.syncs = make_syncs(app_, config_, body_, *system_, attempts_);
  for (const auto& x : parts.syncs)
    keep_now(x.actor);
  parts.data = data;
  parts.storage = body_.storage;
  parts.errors = errors_;
  parts.applier = keep_now(
    system_->spawn<applier, caf::detached>(&nodes_.store()));
  std::vector<std::string> trained;
  for (const auto& x : config_.models)
    if (x.trainable)
      trained.push_back(x.name);
  parts.keeper = keep_now(
    system_->spawn<
      checkpoint_keeper,
      caf::detached>(checkpoint::checkpoint_folder{settings_.checkpoint_dir},
                     static_cast<std::size_t>(config_.runtime.checkpoints_max),
                     trained, errors_));
  parts.resume = std::exchange(from.resume, std::nullopt);
  parts.repaired = std::exchange(from.repaired, std::nullopt);
  parts.listener = &listener;
  parts.owner = caf::actor_cast<run_owner_actor>(
    caf::actor_cast<caf::strong_actor_ptr>(self_->ptr()));
  engine_ = keep_now(system_->spawn<engine>(std::move(parts)));
  auto monitor = keep_now(
    system_->spawn<monitor::error_monitor>(nodes_.all(), attempts_));
  keep_now(system_->spawn<node::port_manager>(process::port_manager{}));
  caf::anon_send(monitor, protocol::subscribe_verdict{engine_});
  caf::anon_send(monitor, protocol::subscribe_verdict{errors_});
  // What an earlier attempt died of is over.
  auto from_now = policy_.restarts() > 0;
  caf::anon_send(errors_, protocol::subscribe_errors{monitor, from_now});
  caf::anon_send(engine_, start_run{});
  if (orders_)
    orders_->serve(engine_);
}

void run_driver::open_orders(run_listener& listener) {
  if (settings_.orders_file.empty())
    return;
  auto opened = run_orders::open(*system_, settings_.orders_file);
  if (opened)
    orders_ = std::move(*opened);
  else
    listener.on_note(
      fmt::format("Takes no orders: {}", opened.error().message()));
}

// -- running -------------------------------------------------------------------

result<std::unique_ptr<process::signal_watch>> run_driver::watch_signals() {
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

result<run_outcome>
run_driver::run_attempts(const std::shared_ptr<data_source>& data,
                         status_desk& listener) {
  auto origin = position_of(*data);
  if (!origin)
    return fail(origin.error());
  if (auto lost = check_position(*origin, config_.runtime)) {
    protocol::error_report report;
    report.level = protocol::severity::warning;
    report.code = errc::failed;
    report.operation = "data";
    report.message = std::move(*lost);
    caf::anon_send(errors_, report);
  }
  beginning from{settings_.resume, std::nullopt};
  for (;;) {
    if (!from.repaired)
      make_models();
    listener.watch({nodes_.all(), body_.models});
    auto saved = from.resume ? std::optional{from.resume->episode}
                             : std::nullopt;
    start_engine(data, from, listener);
    auto ended = wait();
    if (orders_)
      orders_->serve({});
    if (!ended)
      return fail(ended.error());
    members_ = std::move(ended->members);
    auto& outcome = ended->outcome;
    outcome.restarts = policy_.restarts();
    if (!outcome.saved_episode)
      outcome.saved_episode = saved;
    if (outcome.end != run_end::failed || interrupted_
        || policy_.restarts() >= policy_.restarts_max())
      return outcome;
    auto next = go_on(*ended, *data, *origin, listener);
    if (!next)
      return fail(next.error());
    if (interrupted_)
      outcome.end = run_end::interrupted;
    if (!*next)
      return outcome;
    from = std::move(**next);
  }
}

result<run_ended> run_driver::wait() {
  result<run_ended> out = fail(errc::internal, "the engine fell silent");
  auto done = false;
  // Ends with the engine, whose every wait has a deadline.
  (*self_)->receive_while([&] { return !done; })(
    [&](run_ended& x) {
      out = std::move(x);
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

bool run_driver::pause(milliseconds time) {
  auto until = deadline::after(time);
  while (!interrupted_ && !until.passed())
    (*self_)->receive([&](stop_run) { interrupted_ = true; },
                      [&](const caf::down_msg& x) { gone_.insert(x.source); },
                      caf::after(until.left_ms()) >> [] {});
  return !interrupted_;
}

// -- ending --------------------------------------------------------------------

result<run_outcome> run_driver::stop_early(const error& why) {
  shut_down();
  return fail(why);
}

void run_driver::shut_down() {
  auto timeout = config_.runtime.shutdown_timeout;
  nodes_.close(*self_, timeout);
  auto until = deadline::after(timeout);
  auto attempt_down = end_all(attempt_, until);
  auto body_down = end_all(body_actors_, until);
  all_down_ = end_all(kept_, until) && attempt_down && body_down;
  body_ = {};
  engine_ = engine_actor{};
  errors_ = protocol::error_signal_actor{};
}

bool run_driver::end_all(actor_list& these, deadline until,
                         bool interruptible) {
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
      [](run_ended&) {}, [](repair_ended&) {},
      [&](stop_run) { interrupted_ = true; },
      caf::after(until.left_ms()) >> [] {});
  return left.empty();
}

} // namespace troupe::engine
