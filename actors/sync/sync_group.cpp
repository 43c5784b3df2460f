// SPDX-License-Identifier: Apache-2.0
// The sync_group's runs: takes the machine's steps and tells it how they ended.
#include "troupe/actors/sync/sync_group.hpp"

#include <algorithm>
#include <map>

#include <fmt/core.h>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/call/grace.hpp"
#include "troupe/core/log.hpp"

namespace troupe::sync {

using protocol::ack;

namespace {

std::uint64_t elapsed_us(std::chrono::steady_clock::time_point since) {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
    duration_cast<microseconds>(steady_clock::now() - since).count());
}

template <class T>
std::optional<error> failure_of(const result<T>& x) {
  if (x)
    return std::nullopt;
  return x.error();
}

protocol::sync_action action_of(sync_verb x) {
  using protocol::sync_action;
  switch (x) {
    case sync_verb::pin: return sync_action::pin;
    case sync_verb::enroll: return sync_action::enroll;
    case sync_verb::fence: return sync_action::fence;
    case sync_verb::swap: return sync_action::swap;
    case sync_verb::open: return sync_action::open;
    case sync_verb::reopen: return sync_action::reopen;
    default: return sync_action::unpin;
  }
}

} // namespace

sync_group::sync_group(caf::actor_config& config, std::string sync_name,
                       protocol::dist_model_actor source,
                       protocol::dist_model_actor destination,
                       std::uint32_t attempt, protocol::device_desk_actor desk)
  : protocol::sync_group_actor::base(config),
    sync_name_(std::move(sync_name)),
    first_generation_(attempt << 16),
    source_(std::move(source)),
    destination_(std::move(destination)),
    desk_(std::move(desk)),
    calls_(this) {
  // nop
}

const char* sync_group::name() const {
  return "sync_group";
}

void sync_group::on_exit() {
  // CAF's clock keeps us until the last reminder is due. Were ours the last
  // references to the models by then, the clock's thread would destroy them,
  // and that waits for the clock if its queue is full.
  source_ = protocol::dist_model_actor{};
  destination_ = protocol::dist_model_actor{};
  desk_ = protocol::device_desk_actor{};
  lease_ = nullptr;
  // The promise of whoever waits for a run holds us.
  if (auto run = std::move(run_); run)
    run->done(
      fail(errc::aborted, fmt::format("sync {} was ended", sync_name_)));
}

const protocol::dist_model_actor&
sync_group::model_of(std::size_t member) const {
  return machine_.members()[member].source ? source_ : destination_;
}

std::chrono::milliseconds sync_group::patience(std::uint32_t timeout_ms) {
  return call::with_grace(timeout_ms, call::layer::sync_group);
}

std::string_view sync_group::state_name() const {
  if (run_ && !run_->begun)
    return "waiting for devices";
  if (run_ && run_->ending)
    return "reporting a failure";
  return preparing_ ? "preparing" : to_string(machine_.state());
}

result<void> sync_group::ready() const {
  if (preparing_ || run_)
    return fail(errc::unavailable,
                fmt::format("sync {} is {}", sync_name_, state_name()));
  if (broken_ && !may_prepare_again())
    return fail(errc::unavailable,
                fmt::format("sync {} could not be prepared", sync_name_));
  if (lanes_.empty())
    return fail(errc::unavailable,
                fmt::format("sync {} is not prepared", sync_name_));
  return {};
}

// -- running -------------------------------------------------------------------

void sync_group::run(sync_kind kind, std::uint32_t timeout_ms,
                     continuation<protocol::sync_report> done) {
  run_ = std::make_unique<progress>();
  trial_ = {};
  ++work_number_;
  run_->kind = kind;
  run_->timeout_ms = timeout_ms;
  run_->start = std::chrono::steady_clock::now();
  run_->done = std::move(done);
  // What does not train travels too until all have it.
  run_->lane = complete_ ? lanes_.size() - 1 : 0;
  const auto& x = lanes_[run_->lane];
  machine_.use(x.route.moves(), x.linked);
  // Before the sources are pinned: calls that are held have no devices.
  call::lease_devices(calls_, desk_, "sync " + sync_name_, joined_devices({&x}),
                      call::lease_turn::last, together_ * patience(timeout_ms),
                      [=, this, number = work_number_](
                        result<call::device_lease> lease) {
                        if (!current(number))
                          return;
                        if (!lease) {
                          auto ended = std::move(*run_);
                          run_.reset();
                          return ended.done(fail(lease.error().within(
                            fmt::format("sync {}", sync_name_))));
                        }
                        run_->devices = *lease;
                        run_->begun = true;
                        perform(machine_.begin(kind));
                      });
}

void sync_group::perform(const sync_steps& steps) {
  if (!steps.empty())
    begin_phase();
  // An ask can fail at once, and then the next steps come from inside the loop.
  ++depth_;
  for (const auto& step : steps) {
    switch (step.verb) {
      case sync_verb::link: link(); break;
      case sync_verb::judge_standings:
      case sync_verb::judge_reports: judge(step.verb); break;
      case sync_verb::transfer:
      case sync_verb::compare:
        run_->reports.clear();
        for (auto i : step.members)
          move(step.verb, i);
        break;
      default: order(step.verb, step.members);
    }
  }
  // Answers that nobody waits for come later still.
  if (--depth_ == 0 && run_ && machine_.finished()
      && !std::exchange(run_->ending, true))
    end_run();
}

void sync_group::begin_phase() {
  log::debug("sync_group", "{}: {}", sync_name_, to_string(machine_.state()));
  phase_begin_ = clock().now();
  ++phase_;
  // One reminder at a time, however many phases pass.
  if (std::exchange(reminded_, true))
    return;
  delayed_send(this, alarm(), protocol::check_sync{});
}

std::chrono::milliseconds sync_group::alarm() const {
  // Before the ranks give up: then their buckets are gone.
  return std::chrono::milliseconds{run_->timeout_ms} * 9 / 10;
}

void sync_group::order(sync_verb verb,
                       const std::vector<std::size_t>& members) {
  if (members.empty())
    return;
  // One message for all: the ranks of a replica must hear it between the same
  // two calls (`sync_order`). No step is for both models.
  protocol::sync_order request;
  request.sync = sync_name_;
  request.program = lanes_[run_->lane].route.program;
  request.action = action_of(verb);
  request.version = run_->next;
  for (auto i : members)
    request.items.push_back({machine_.members()[i].name});
  request.timeout_ms = run_->timeout_ms;
  auto heard = [=, this, number = work_number_](
                 const result<protocol::sync_standings>& x) {
    std::map<protocol::worker_name, const protocol::sync_standing*> answers;
    if (x)
      for (const auto& y : x->items)
        answers.emplace(y.from, &y);
    for (auto i : members) {
      // What is late, or nobody waits for, changes nothing.
      if (!current(number))
        return;
      if (!x) {
        arrived(verb, i, x.error());
        continue;
      }
      auto found = answers.find(machine_.members()[i].name);
      if (found == answers.end())
        arrived(verb, i, error{errc::internal, "a rank was not asked"});
      else
        take_in(verb, i, *found->second);
    }
  };
  ask<protocol::sync_standings>(model_of(members.front()), run_->timeout_ms,
                                std::move(request), std::move(heard));
}

void sync_group::take_in(sync_verb verb, std::size_t member,
                         const protocol::sync_standing& x) {
  if (x.failed)
    return arrived(verb, member, x.why);
  // A rank says so once; whatever comes of this run, its links are of no use.
  if (x.moved)
    machine_.set_linked(false);
  if (verb == sync_verb::pin)
    run_->sources.push_back(x);
  if (verb == sync_verb::enroll)
    run_->next = std::max(run_->next, x.version.next());
  arrived(verb, member, std::nullopt);
}

void sync_group::move(sync_verb verb, std::size_t member) {
  const auto& x = lanes_[run_->lane];
  protocol::transfer request;
  request.program = x.route.program;
  request.mode = mode_of(verb);
  request.on_trial = verb == sync_verb::transfer && stages_on_trial();
  request.source_digest = run_->kind == sync_kind::run_validated;
  request.links = x.generation;
  request.items.push_back({machine_.members()[member].name});
  request.timeout_ms = run_->timeout_ms;
  ask<protocol::transfer_reports>(model_of(member), run_->timeout_ms,
                                  std::move(request),
                                  [=, this, number = work_number_](
                                    result<protocol::transfer_reports> got) {
                                    if (!current(number))
                                      return;
                                    if (got)
                                      std::move(got->items.begin(),
                                                got->items.end(),
                                                std::back_inserter(
                                                  run_->reports));
                                    arrived(verb, member, failure_of(got));
                                  });
}

void sync_group::arrived(sync_verb verb, std::size_t member,
                         const std::optional<error>& failure) {
  if (!failure)
    run_->answers[member] = {verb, clock().now()};
  else if (verb == sync_verb::transfer && stages_on_trial())
    note_run_failure(*failure);
  perform(machine_.arrive(verb, member, failure));
}

bool sync_group::current(std::uint64_t number) const noexcept {
  return run_ && work_number_ == number;
}

bool sync_group::at_work(std::uint64_t number) const noexcept {
  return (run_ || preparing_) && work_number_ == number;
}

void sync_group::link() {
  build_links(run_->lane, run_->timeout_ms,
              [this, number = work_number_](const auto& built) {
                if (current(number))
                  perform(machine_.judged(sync_verb::link, failure_of(built)));
              });
}

void sync_group::judge(sync_verb verb) {
  perform(machine_.judged(verb, failure_of(check(verb))));
}

result<void> sync_group::check(sync_verb verb) const {
  if (verb == sync_verb::judge_standings)
    return check_sources(run_->sources);
  auto right = check_reports(lanes_[run_->lane].route, run_->reports);
  if (!right || run_->kind == sync_kind::compare)
    return right;
  for (const auto& x : run_->reports)
    if (!x.difference.empty())
      return fail(errc::corrupt,
                  fmt::format("{}: {}", to_string(x.from), x.difference));
  return {};
}

void sync_group::end_run() {
  if (!failed_on_the_way() || !stages_on_trial())
    return conclude_run();
  if (staging_lacks_memory())
    return run_in_place(*machine_.failure());
  own_up([this, number = work_number_] {
    if (current(number))
      conclude_run();
  });
}

bool sync_group::failed_on_the_way() const {
  return machine_.failure() && machine_.failed_in() == sync_state::transferring;
}

void sync_group::conclude_run() {
  auto failure = machine_.failure();
  auto why = failure.value_or(error{});
  if (failed_on_the_way())
    why = with_remedy(why);
  if (failure)
    why = explain(why);
  auto ended = std::move(*run_);
  run_.reset();
  auto devices = std::exchange(ended.devices, nullptr);
  auto& x = lanes_[ended.lane];
  x.linked = machine_.linked();
  if (machine_.committed()) {
    version_ = ended.next;
    x.has_staged = machine_.mode() == sync_mode::staged;
  }
  if (ended.kind != sync_kind::compare)
    complete_ = machine_.committed() && !failure;
  // What it staged would lie idle: from now on only what trains travels.
  if (complete_ && ended.lane + 1 < lanes_.size())
    leave_links(ended.lane, ended.timeout_ms, [devices](const result<ack>&) {});
  protocol::sync_report report;
  report.version = version_;
  report.bytes = x.route.bytes;
  report.elapsed_us = elapsed_us(ended.start);
  for (const auto& y : ended.reports)
    if (ended.kind == sync_kind::compare && !y.difference.empty())
      report.differences.push_back(
        fmt::format("{}: {}", to_string(y.from), y.difference));
  report.dropped = dropped_;
  if (failure) {
    log::error("sync_group", "{}", to_string(why));
    if (options_.when_lost == "drop")
      return go_on_without_the_dead(std::move(ended), why);
    // Memory that a source has lent stays until its links are gone.
    if (options_.free_groups)
      leave_links(ended.lane, ended.timeout_ms,
                  [devices](const result<ack>&) {});
    return ended.done(fail(why));
  }
  if (!options_.free_groups)
    return ended.done(std::move(report));
  leave_links(ended.lane, ended.timeout_ms,
              [done = ended.done, report, devices](const result<ack>&) {
                done(report);
              });
}

// -- without the dead ----------------------------------------------------------

void sync_group::go_on_without_the_dead(progress ended, const error& why) {
  // A link that broke says "lost" too. Who is dead does not answer; who is
  // frozen might wake up and serve, so nobody goes on without it.
  preparing_ = true;
  ++work_number_;
  using protocol::sync_standings;
  auto timeout_ms = ended.timeout_ms;
  auto decide = [this, why,
                 ended = std::make_shared<progress>(std::move(ended))](
                  result<std::vector<sync_standings>> xs) {
    std::set<protocol::worker_name> dead;
    auto silent = !xs;
    if (xs)
      for (const auto& part : *xs)
        for (const auto& x : part.items) {
          if (x.failed && x.why.code() == errc::lost)
            dead.insert(x.from);
          silent = silent || (x.failed && x.why.code() == errc::timed_out);
          if (x.moved)
            lanes_.front().linked = false;
        }
    preparing_ = false;
    dismiss(ended->timeout_ms);
    if (silent || dead.empty())
      return ended->done(fail(why));
    drop(dead, std::move(*ended), why);
  };
  auto both = std::make_shared<call::gather<sync_standings>>(2, decide);
  for (auto source : {true, false})
    ask_side(source, protocol::sync_action::enroll, timeout_ms,
             [both, source](result<sync_standings> x) {
               both->set(source ? 0 : 1, std::move(x));
             });
}

void sync_group::dismiss(std::uint32_t timeout_ms) {
  for (auto source : {true, false})
    ask_side(source, protocol::sync_action::unpin, timeout_ms,
             [](const auto&) {});
}

void sync_group::ask_side(bool source, protocol::sync_action action,
                          std::uint32_t timeout_ms,
                          continuation<protocol::sync_standings> heard) {
  protocol::sync_order request;
  request.sync = sync_name_;
  request.program = lanes_.front().route.program;
  request.action = action;
  request.timeout_ms = timeout_ms;
  for (const auto& x : machine_.members())
    if (x.source == source)
      request.items.push_back({x.name});
  ask<protocol::sync_standings>(source ? source_ : destination_, timeout_ms,
                                std::move(request), std::move(heard));
}

void sync_group::drop(const std::set<protocol::worker_name>& dead,
                      progress ended, const error& why) {
  std::set<replica_id> broken;
  for (const auto& x : prepared_.destination.items)
    if (dead.count(x.worker) > 0)
      broken.insert(x.worker.replica);
  // What is left of a destination replica is no replica; it stays closed.
  auto gone = dead;
  protocol::sync_order close;
  close.sync = sync_name_;
  close.action = protocol::sync_action::fence;
  close.timeout_ms = ended.timeout_ms;
  for (const auto& x : prepared_.destination.items)
    if (broken.count(x.worker.replica) > 0) {
      if (gone.insert(x.worker).second)
        close.items.push_back({x.worker});
    }
  auto is_gone = [&](const protocol::worker_manifest& x) {
    return gone.count(x.worker) > 0;
  };
  for (const auto* side : {&prepared_.source, &prepared_.destination})
    if (std::ranges::all_of(side->items, is_gone))
      return ended.done(fail(why.within("nobody is left to go on with")));
  if (!close.items.empty())
    ask<protocol::sync_standings>(destination_, ended.timeout_ms,
                                  std::move(close), [](const auto&) {});
  // The new plan counts ranks anew, and so names links anew.
  for (std::size_t i = 0; i < lanes_.size(); ++i)
    leave_links(i, ended.timeout_ms, [](const auto&) {});
  std::erase_if(prepared_.source.items, is_gone);
  std::erase_if(prepared_.destination.items, is_gone);
  for (const auto& x : gone)
    log::warning("sync_group", "{} goes on without {}", sync_name_,
                 to_string(x));
  dropped_.insert(dropped_.end(), gone.begin(), gone.end());
  // Nobody can run what was planned with the dead.
  broken_ = true;
  start(ended.kind, ended.timeout_ms, std::move(ended.done));
}

bool sync_group::may_prepare_again() const {
  return broken_ && !dropped_.empty();
}

void sync_group::start(sync_kind kind, std::uint32_t timeout_ms,
                       continuation<protocol::sync_report> done) {
  if (!may_prepare_again())
    return run(kind, timeout_ms, std::move(done));
  auto request = prepared_;
  prepare(request, [=, this](const result<protocol::sync_plan>& planned) {
    if (planned)
      run(kind, timeout_ms, done);
    else
      done(fail(planned.error()));
  });
}

// -- messages ------------------------------------------------------------------

sync_group::behavior_type sync_group::make_behavior() {
  using namespace protocol;
  return {
    [this](const prepare_sync& x) {
      call::reply<sync_plan> out{make_response_promise<sync_plan>()};
      if (preparing_ || run_)
        out.deliver(
          fail(errc::unavailable,
               fmt::format("sync {} is {}", sync_name_, state_name())));
      else
        prepare(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [this](const run_sync& x) {
      call::reply<sync_report> out{make_response_promise<sync_report>()};
      if (auto can = ready(); !can) {
        out.deliver(fail(can.error()));
      } else if (x.dry_run) {
        const auto& route = lanes_[complete_ ? lanes_.size() - 1 : 0].route;
        out.deliver(
          sync_report{version_, route.bytes, 0, {}, route.describe()});
      } else {
        start(x.validate ? sync_kind::run_validated : sync_kind::run,
              x.timeout_ms, [out](auto y) { out.deliver(std::move(y)); });
      }
      return out.promise();
    },
    [this](const verify_sync& x) {
      call::reply<sync_report> out{make_response_promise<sync_report>()};
      if (auto can = ready(); !can) {
        out.deliver(fail(can.error()));
      } else {
        // What does not train is compared too.
        auto complete = std::exchange(complete_, false) && !may_prepare_again();
        start(sync_kind::compare, x.timeout_ms,
              [out](auto y) { out.deliver(std::move(y)); });
        complete_ = complete;
      }
      return out.promise();
    },
    [this](check_sync) { look_around(); },
    [this](const close_sync& x) {
      call::reply<ack> out{make_response_promise<ack>()};
      auto left = std::make_shared<
        call::gather<ack>>(lanes_.size(),
                           [out, this](const result<std::vector<ack>>&) {
                             out.deliver(ack{});
                             quit();
                           });
      for (std::size_t i = 0; i < lanes_.size(); ++i)
        leave_links(i, x.timeout_ms,
                    [left, i](const result<ack>&) { left->set(i, ack{}); });
      return out.promise();
    },
  };
}

} // namespace troupe::sync
