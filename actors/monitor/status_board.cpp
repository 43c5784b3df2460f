// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/status_board.hpp"

#include <algorithm>
#include <set>

#include <fmt/core.h>

namespace troupe::monitor {

namespace {

/// What others are given to answer, so that it is us who give up last.
constexpr auto inner_patience = status_board::patience / 2;

std::uint64_t ms_between(caf::actor_clock::time_point from,
                         caf::actor_clock::time_point to) {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
    std::max<std::int64_t>(0, duration_cast<milliseconds>(to - from).count()));
}

} // namespace

status_board::status_board(caf::actor_config& config, board_settings settings,
                           protocol::error_signal_actor errors)
  : status_board_actor::base(config),
    settings_(std::move(settings)),
    errors_(std::move(errors)),
    begin_(clock().now()),
    phase_begin_(begin_),
    calls_(this) {
  // nop
}

const char* status_board::name() const {
  return "status_board";
}

void status_board::on_exit() {
  waiting_.clear();
  watched_ = {};
  errors_ = protocol::error_signal_actor{};
}

protocol::run_status status_board::beginning() const {
  protocol::run_status out;
  out.app = settings_.app;
  out.run = settings_.run;
  out.job = settings_.job;
  out.models = settings_.models;
  return out;
}

void status_board::gather() {
  auto last = std::exchange(now_, beginning());
  // One more for ourselves: nobody may finish before all have been asked.
  open_ = 1;
  if (!progress_.end.empty()) {
    // Nobody is left to ask.
    now_.nodes = std::move(last.nodes);
    now_.workers = std::move(last.workers);
  } else {
    for (const auto& node : watched_.nodes) {
      ++open_;
      calls_.ask<protocol::node_status>(node, patience,
                                        protocol::get_node_status{},
                                        [this](
                                          result<protocol::node_status> x) {
                                          if (x)
                                            now_.nodes.push_back(std::move(*x));
                                          else
                                            now_.silent.push_back(
                                              "a node: " + x.error().message());
                                          finish();
                                        });
    }
    for (const auto& [name, model] : watched_.models) {
      ++open_;
      protocol::get_operations request{
        static_cast<std::uint32_t>(inner_patience.count())};
      calls_.ask<protocol::operations>(model, patience, request,
                                       [this, name = name](
                                         result<protocol::operations> x) {
                                         if (x)
                                           std::move(x->items.begin(),
                                                     x->items.end(),
                                                     std::back_inserter(
                                                       now_.workers));
                                         else
                                           now_.silent.push_back(
                                             fmt::format("model {}: {}", name,
                                                         x.error().message()));
                                         finish();
                                       });
    }
  }
  ++open_;
  calls_.ask<protocol::error_history>(errors_, patience,
                                      protocol::get_errors{errors_max},
                                      [this](
                                        result<protocol::error_history> x) {
                                        if (x)
                                          now_.errors = std::move(*x);
                                        else
                                          now_.silent.push_back(
                                            "the error_signal: "
                                            + x.error().message());
                                        finish();
                                      });
  finish();
}

void status_board::finish() {
  if (--open_ > 0)
    return;
  now_.workers = one_each(std::move(now_.workers));
  // Replicas come and go.
  for (auto& model : now_.models) {
    std::set<replica_id> replicas;
    for (const auto& x : now_.workers)
      if (x.worker.model == model.model)
        replicas.insert(x.worker.replica);
    if (!replicas.empty())
      model.num_replica = static_cast<std::int32_t>(replicas.size());
  }
  std::ranges::sort(now_.nodes, {}, &protocol::node_status::node);
  now_.progress = progress_;
  now_.progress.uptime_ms = ms_between(begin_, clock().now());
  now_.progress.phase_ms = ms_between(phase_begin_, clock().now());
  for (auto& x : std::exchange(waiting_, {}))
    x.deliver(now_);
}

status_board::behavior_type status_board::make_behavior() {
  using namespace protocol;
  return {
    [this](get_run_status) {
      call::reply<run_status> out{make_response_promise<run_status>()};
      if (waiting_.size() == waiting_max)
        out.deliver(fail(errc::exhausted, "too many ask how the run stands"));
      else
        waiting_.push_back(out);
      if (open_ == 0)
        gather();
      return out.promise();
    },
    [this](const watched_run& x) { watched_ = x; },
    [this](const progress_status& x) {
      if (x.phase != progress_.phase)
        phase_begin_ = clock().now();
      progress_ = x;
    },
  };
}

std::vector<protocol::worker_status>
one_each(std::vector<protocol::worker_status> all) {
  std::ranges::stable_sort(all, {}, &protocol::worker_status::worker);
  std::vector<protocol::worker_status> out;
  for (auto& x : all) {
    if (out.empty() || out.back().worker != x.worker) {
      out.push_back(std::move(x));
      continue;
    }
    auto& known = out.back();
    if (known.operation == "idle")
      known.operation = std::move(x.operation);
  }
  return out;
}

} // namespace troupe::monitor
