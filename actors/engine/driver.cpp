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
#include <fmt/format.h>
#include <unistd.h>

#include "troupe/actors/engine/engine.hpp"
#include "troupe/actors/engine/error_follower.hpp"
#include "troupe/actors/engine/job_actors.hpp"
#include "troupe/actors/engine/job_nodes.hpp"
#include "troupe/actors/engine/planner_actor.hpp"
#include "troupe/actors/engine/recovery.hpp"
#include "troupe/actors/engine/repair_crew.hpp"
#include "troupe/actors/engine/restart_policy.hpp"
#include "troupe/actors/engine/run_orders.hpp"
#include "troupe/actors/engine/status_desk.hpp"
#include "troupe/actors/monitor/error_monitor.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/node/port_manager.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/node/system_config.hpp"
#include "troupe/actors/process/signal_watch.hpp"
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
      policy_(config.runtime.on_failure == config::failure_policy::stop
                ? 0
                : config.runtime.max_restarts,
              config.runtime.restart_backoff) {
    // nop
  }

  /// True if every actor has ended. If not, the driver must outlive all of the
  /// process: threads that are left still use it, and waiting for them has no
  /// bound.
  [[nodiscard]] bool all_down() const noexcept { return all_down_; }

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

private:
  std::unique_ptr<caf::actor_system> new_system() {
    return std::make_unique<caf::actor_system>(actor_config_);
  }

  using actor_list = std::vector<caf::strong_actor_ptr>;

  /// Where an attempt begins, if not at the beginning.
  struct beginning {
    std::optional<checkpoint::saved> resume;
    std::optional<repaired_run> repaired;
  };

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

  void make_models() {
    auto plan = members_.plan();
    // From now on replicas have the numbers that the plan gives them.
    members_ = {config::to_job_spec(config_, app_.syncs), nodes_.cluster(),
                plan};
    body_ = make_body(app_, config_, plan, nodes_, *system_, errors_);
    for (const auto& [name, model] : body_.models)
      keep_in(body_actors_, model);
    keep_in(body_actors_, body_.storage);
  }

  void start_engine(const std::shared_ptr<data_source>& data, beginning& from,
                    run_listener& listener) {
    engine_parts parts;
    parts.app = &app_;
    parts.config = config_;
    parts.models = body_.models;
    parts.members = members_;
    parts.syncs = make_syncs(app_, config_, body_, *system_, attempts_++);
    for (const auto& x : parts.syncs)
      keep_now(x.actor);
    parts.data = data;
    parts.storage = body_.storage;
    parts.errors = errors_;
    parts.applier = keep_now(
      system_->spawn<applier, caf::detached>(&nodes_.store()));
    parts.keeper = keep_now(
      system_->spawn<
        checkpoint_keeper,
        caf::detached>(checkpoint::checkpoint_folder{settings_.checkpoint_dir},
                       static_cast<std::size_t>(
                         config_.runtime.checkpoints_max)));
    parts.resume = std::exchange(from.resume, std::nullopt);
    parts.repaired = std::exchange(from.repaired, std::nullopt);
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
    if (orders_)
      orders_->serve(engine_);
  }

  /// A run that takes no orders runs all the same.
  void open_orders(run_listener& listener) {
    if (settings_.orders_file.empty())
      return;
    auto opened = run_orders::open(*system_, settings_.orders_file);
    if (opened)
      orders_ = std::move(*opened);
    else
      listener.on_note(
        fmt::format("Takes no orders: {}", opened.error().message()));
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
  result<run_outcome> run_attempts(const std::shared_ptr<data_source>& data,
                                   status_desk& listener) {
    auto origin = position_of(*data);
    if (!origin)
      return fail(origin.error());
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
          || policy_.restarts_max() == 0)
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

  // -- going on after a failure -----------------------------------------------

  /// Where the next attempt begins; nothing if there is none.
  result<std::optional<beginning>> go_on(run_ended& ended, data_source& data,
                                         const batch& origin,
                                         status_desk& listener) {
    auto& outcome = ended.outcome;
    const auto& cause = outcome.verdict.root;
    auto stay = [&](const error& why) -> std::optional<beginning> {
      if (!interrupted_)
        listener.on_note(fmt::format("Cannot go on: {}", why.message()));
      return std::nullopt;
    };
    // Nobody writes any more: what is on the disk stays.
    if (auto over = end_attempt(cause); !over)
      return stay(over.error());
    auto found = checkpoint::checkpoint_folder{settings_.checkpoint_dir}
                   .latest();
    if (found)
      outcome.saved_episode = found->episode;
    auto facts = facts_of(ended, outcome.saved_episode);
    auto ways = ways_on(facts);
    if (ways.empty())
      return stay({errc::unavailable, "models had begun to train, and there is "
                                      "no checkpoint"});
    restart_notice notice;
    notice.cause = cause;
    notice.episode = episode_of(ways.front(), facts);
    auto wait = policy_.next(cause.code, notice.episode);
    if (!wait)
      return std::optional<beginning>{};
    notice.number = policy_.restarts();
    notice.number_max = policy_.restarts_max();
    notice.wait = *wait;
    listener.on_restart(notice);
    if (!pause(*wait))
      return std::optional<beginning>{};
    error why{errc::unavailable, "there is no other way"};
    for (auto how : ways) {
      if (episode_of(how, facts) != notice.episode) {
        notice.episode = episode_of(how, facts);
        listener.on_restart(notice);
      }
      if (how == way::anew)
        return begin_anew(found, data, origin, listener);
      auto from = how == way::in_memory
                    ? std::move(*ended.standing)
                    : standing_point{found->episode, found->state, 0};
      repaired_episode_ = from.episode;
      auto repaired = repair(how, std::move(from), facts,
                             found ? found->directory : std::filesystem::path{},
                             listener);
      if (interrupted_)
        return std::optional<beginning>{};
      if (repaired)
        return std::optional{beginning{std::nullopt, std::move(*repaired)}};
      why = repaired.error();
      log::warning("driver", "no repair: {}", to_string(why));
    }
    return stay(why);
  }

  /// Ends all that is left, and gives where the next attempt begins.
  result<std::optional<beginning>> begin_anew(result<checkpoint::saved>& found,
                                              data_source& data,
                                              const batch& origin,
                                              status_desk& listener) {
    repaired_episode_.reset();
    listener.on_note("All processes begin anew.");
    if (auto over = end_body(); !over) {
      if (!interrupted_)
        listener.on_note(
          fmt::format("Cannot go on: {}", over.error().message()));
      return std::optional<beginning>{};
    }
    beginning from;
    if (found)
      from.resume = std::move(*found);
    else if (auto back = seek_to(data, origin); !back)
      return fail(back.error());
    return std::optional{std::move(from)};
  }

  [[nodiscard]] recovery_facts
  facts_of(const run_ended& ended, std::optional<std::int64_t> saved) const {
    recovery_facts x;
    x.drop = config_.runtime.on_failure == config::failure_policy::drop;
    x.deterministic = config_.runtime.deterministic;
    if (ended.standing)
      x.standing = ended.standing->episode;
    x.saved = saved;
    x.repaired = repaired_episode_;
    x.machine_lost = nodes_.any_lost();
    return x;
  }

  /// Has the models become whole with what is left of them.
  result<repaired_run> repair(way how, standing_point from,
                              const recovery_facts& facts,
                              const std::filesystem::path& checkpoint,
                              status_desk& listener) {
    using models = std::map<std::string, protocol::repaired>;
    listener.on_phase("repair", 0, 0);
    recovery_folders folders{checkpoint, settings_.checkpoint_dir / "rescue"};
    std::error_code ignored;
    std::filesystem::remove_all(folders.rescue, ignored);
    auto crew = keep_now(
      system_->spawn<repair_crew>(body_.models,
                                  repair_orders(app_.models, how, facts,
                                                folders, from.scope,
                                                config_.runtime.setup_timeout),
                                  caf::actor_cast<repair_owner_actor>(
                                    caf::actor_cast<caf::strong_actor_ptr>(
                                      self_->ptr()))));
    caf::anon_send(crew, repair_all{});
    result<models> done = fail(errc::aborted, "interrupted");
    auto over = false;
    // Every wait of the crew has a deadline.
    (*self_)->receive_while([&] { return !over && !interrupted_; })(
      [&](repair_ended& x) {
        done = std::move(x.models);
        over = true;
      },
      [&](stop_run) { interrupted_ = true; },
      [&](const caf::down_msg& x) { gone_.insert(x.source); });
    std::filesystem::remove_all(folders.rescue, ignored);
    if (!done)
      return fail(done.error());
    repaired_run out;
    out.from = std::move(from);
    out.saved_episode = facts.saved.value_or(-1);
    for (auto& [name, x] : *done) {
      tell_repair(name, x, listener);
      members_.apply(name, {{}, x.dropped});
      out.members[name] = std::move(x.members);
    }
    return out;
  }

  static void tell_repair(const std::string& model, const protocol::repaired& x,
                          status_desk& listener) {
    auto tell = [&](const std::vector<replica_id>& ids, std::string_view what) {
      std::vector<std::int32_t> numbers;
      for (auto id : ids)
        numbers.push_back(id.value());
      if (!ids.empty())
        listener.on_note(fmt::format("{} replica {} {}.", model,
                                     fmt::join(numbers, ", "), what));
    };
    tell(x.made_anew, "was made anew");
    tell(x.dropped, "was lost; the run goes on without it");
  }

  result<run_ended> wait() {
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
    auto body_down = end_all(body_actors_, until);
    all_down_ = end_all(kept_, until) && attempt_down && body_down;
    body_ = {};
    engine_ = engine_actor{};
    errors_ = protocol::error_signal_actor{};
  }

  /// Ends what belongs to this attempt alone, and the process in which it
  /// failed: what a module is that threw, or does not answer, nobody knows.
  result<void> end_attempt(const protocol::error_report& cause) {
    if (cause.slot >= 0)
      if (auto over = nodes_.end_host(*self_, cause.node, cause.slot); !over)
        log::warning("driver", "ending the host that failed: {}",
                     to_string(over.error()));
    // A plain function may be running, or a checkpoint on its way to the disk.
    const auto& runtime = config_.runtime;
    auto timeout = std::max(runtime.call_timeout, runtime.checkpoint_timeout);
    return end_these(attempt_, timeout);
  }

  /// Ends all hosts and models, so that they can begin anew.
  result<void> end_body() {
    if (auto anew = nodes_.begin_anew(*self_); !anew)
      return anew;
    body_ = {};
    return end_these(body_actors_, config_.runtime.call_timeout);
  }

  result<void> end_these(actor_list& these, milliseconds timeout) {
    if (!end_all(these, deadline::after(timeout), true))
      return fail(errc::timed_out, "an actor of the failed attempt does not "
                                   "end");
    return {};
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
        [](run_ended&) {}, [](repair_ended&) {},
        [&](stop_run) { interrupted_ = true; },
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
  actor_list body_actors_;
  actor_list attempt_;
  /// Who has ended.
  std::set<caf::actor_addr> gone_;
  bool all_down_ = false;
  /// Somebody wanted the end while no engine was there to hear it.
  bool interrupted_ = false;
  restart_policy policy_;

  std::uint32_t attempts_ = 0;
  roster members_;
  std::unique_ptr<run_orders> orders_;
  std::optional<std::int64_t> repaired_episode_;

  protocol::error_signal_actor errors_;
  job_body body_;
  engine_actor engine_;
};

} // namespace

driven drive(const application& app, const config::job_config& config,
             const std::shared_ptr<data_source>& data,
             const driver_settings& settings, run_listener& listener) {
  auto x = std::make_unique<driver>(app, config, settings);
  driven out;
  out.outcome = x->run(data, listener);
  out.threads_left = !x->all_down();
  if (out.threads_left)
    static_cast<void>(x.release());
  return out;
}

} // namespace troupe::engine
