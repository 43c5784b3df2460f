// SPDX-License-Identifier: Apache-2.0
// What the engine's chain is made of: flows, plain functions, syncs.
#include <algorithm>

#include <fmt/core.h>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/engine/engine.hpp"
#include "troupe/actors/engine/step_time.hpp"
#include "troupe/core/log.hpp"

namespace troupe::engine {

// -- flows ---------------------------------------------------------------------

/// A flow that is running: results so far, and what has been started.
struct engine::flow_run {
  const flow_graph* graph = nullptr;
  std::vector<std::optional<process::batch_ref>> values;
  std::vector<bool> started;
  std::function<void(process::batch_ref)> done;
  std::uint64_t scope = 0;
};

void engine::run_flow(const flow_graph& graph, process::batch_ref input,
                      std::function<void(process::batch_ref)> done) {
  auto run = std::make_shared<flow_run>();
  run->graph = &graph;
  run->values.resize(graph.nodes.size());
  run->started.resize(graph.nodes.size());
  run->done = std::move(done);
  run->scope = scope_;
  run->started[0] = true;
  run->values[0] = std::move(input);
  advance(run);
}

void engine::advance(const std::shared_ptr<flow_run>& run) {
  const auto& nodes = run->graph->nodes;
  if (std::ranges::all_of(run->values,
                          [](const auto& x) { return x.has_value(); })) {
    run->done(std::move(*run->values[run->graph->output]));
    return;
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto& node = nodes[i];
    auto ready = std::ranges::all_of(node.inputs, [&](std::size_t input) {
      return run->values[input].has_value();
    });
    if (run->started[i] || !ready)
      continue;
    run->started[i] = true;
    auto since = std::chrono::steady_clock::now();
    if (node.what == flow_node::kind::apply) {
      std::vector<process::batch_ref> inputs;
      for (auto input : node.inputs)
        inputs.push_back(*run->values[input]);
      apply(fmt::format("flow: {}", node.name), node.plain, std::move(inputs),
            true, [=, this](applied x) {
              count_time(run->graph->nodes[i].name, since);
              finish_node(run, i, std::move(x.reference));
            });
      continue;
    }
    const auto* model = parts_.app->models.find(node.model);
    if (!model || model->trainable())
      standing_.reset();
    protocol::invoke request;
    request.function = node.function;
    request.input = *run->values[node.inputs.front()];
    request.scope = run->scope;
    request.timeout_ms = to_ms(parts_.config.runtime.call_timeout);
    calls_.ask<
      protocol::invoked>(parts_.models.at(node.model),
                         with_grace(parts_.config.runtime.call_timeout),
                         std::move(request),
                         [=, this](result<protocol::invoked> x) {
                           const auto& name = run->graph->nodes[i].name;
                           count_time(name, since);
                           if (x && !stopped())
                             watch_stragglers(run->graph->nodes[i], x->times);
                           finish_node(run, i,
                                       x ? result<process::batch_ref>{std::move(
                                         x->output)}
                                         : fail(x.error().within(name)));
                         });
  }
}

void engine::finish_node(const std::shared_ptr<flow_run>& run,
                         std::size_t index, result<process::batch_ref> value) {
  if (stopped())
    return;
  if (!value)
    return fail_run("flow", value.error());
  run->values[index] = std::move(*value);
  advance(run);
}

void engine::apply(const std::string& what,
                   std::function<batch(const std::vector<batch>&)> function,
                   std::vector<process::batch_ref> inputs, bool store,
                   std::function<void(applied)> done) {
  apply_request request;
  request.function = std::move(function);
  request.inputs = std::move(inputs);
  request.scope = scope_;
  request.store = store;
  request.timeout = parts_.config.runtime.call_timeout;
  calls_.ask<applied>(parts_.applier, with_grace(request.timeout),
                      std::move(request),
                      [this, what, done = std::move(done)](result<applied> x) {
                        if (stopped())
                          return;
                        if (!x)
                          return fail_run(what, x.error());
                        done(std::move(*x));
                      });
}

void engine::stage(const std::string& what, std::function<batch()> make,
                   std::function<void(process::batch_ref)> done) {
  apply(
    what,
    [make = std::move(make)](const std::vector<batch>&) { return make(); }, {},
    true,
    [done = std::move(done)](applied x) { done(std::move(x.reference)); });
}

// -- syncs and evaluation ------------------------------------------------------

std::vector<std::size_t> engine::syncs_due(std::int64_t episode) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < parts_.syncs.size(); ++i) {
    const auto& x = parts_.syncs[i];
    if (x.kind == sync_schedule_kind::by_frequency && x.frequency > 0
        && episode % x.frequency == 0)
      out.push_back(i);
  }
  return out;
}

namespace {

/// Whether `later` must wait for `earlier`: it hands on what that brings, or
/// one would write what the other reads or writes.
bool depends(const engine_sync& later, const engine_sync& earlier) {
  return later.source == earlier.destination
         || later.destination == earlier.destination
         || later.destination == earlier.source;
}

} // namespace

void engine::run_syncs(std::vector<std::size_t> which, then done) {
  if (which.empty())
    return done();
  std::vector<std::size_t> now;
  std::vector<std::size_t> later;
  for (auto i : which) {
    auto waits_for = [&](std::size_t j) {
      return depends(parts_.syncs[i], parts_.syncs[j]);
    };
    auto free = std::ranges::none_of(now, waits_for)
                && std::ranges::none_of(later, waits_for);
    auto alone = !parts_.config.runtime.sync.concurrent && !now.empty();
    (free && !alone ? now : later).push_back(i);
  }
  auto since = std::chrono::steady_clock::now();
  auto all = std::make_shared<call::gather<
    protocol::ack>>(now.size(),
                    [=, this](const result<std::vector<protocol::ack>>& x) {
                      if (stopped())
                        return;
                      count_time("weight sync", since);
                      if (!x)
                        return fail_run("weight sync", x.error());
                      run_syncs(later, done);
                    });
  for (std::size_t i = 0; i < now.size(); ++i)
    run_sync(now[i],
             [all, i](result<protocol::ack> x) { all->set(i, std::move(x)); });
}

void engine::run_sync(std::size_t index,
                      std::function<void(result<protocol::ack>)> done) {
  const auto& runtime = parts_.config.runtime;
  auto every = runtime.validate_every;
  protocol::run_sync request;
  request.validate = every > 0
                     && (++sync_counts_[index]
                         % static_cast<std::uint64_t>(every))
                          == 0;
  request.dry_run = runtime.sync.dry_run;
  request.timeout_ms = to_ms(runtime.sync_timeout);
  calls_.ask<protocol::sync_report>(parts_.syncs[index].actor,
                                    sync_steps(parts_.syncs.size())
                                      * with_grace(runtime.sync_timeout),
                                    request,
                                    [=, this](result<protocol::sync_report> x) {
                                      if (stopped())
                                        return;
                                      if (!x)
                                        return done(fail(x.error()));
                                      for (const auto& line : x->links)
                                        log::info("engine", "dry run of {}: {}",
                                                  parts_.syncs[index].name,
                                                  line);
                                      auto spent = std::chrono::microseconds{
                                        x->elapsed_us};
                                      outcome_.syncs.push_back(spent);
                                      episode_.sync += spent;
                                      done(protocol::ack{});
                                    });
}

void engine::evaluate(data_stream stream,
                      std::function<void(double, std::int64_t)> done) {
  if (parts_.app->evaluation.empty() || !parts_.app->accuracy)
    return done(0, 0);
  phase("evaluation", 0, 0);
  stage(
    "the data's questions",
    [data = parts_.data, stream] { return data->all(stream); },
    [=, this](process::batch_ref questions) {
      auto rows = questions.rows();
      run_flow(parts_.app->evaluation, std::move(questions),
               [=, this](process::batch_ref answers) {
                 auto compute =
                   [f = parts_.app->accuracy](const std::vector<batch>& xs) {
                     batch out;
                     out.set_meta("accuracy", f(xs.front()));
                     return out;
                   };
                 apply("the accuracy", compute, {std::move(answers)}, false,
                       [=](const applied& x) {
                         done(x.value.meta_number("accuracy"), rows);
                       });
               });
    });
}

void engine::next_scope(then done) {
  calls_.ask<protocol::scope_opened>(parts_.storage, std::chrono::seconds{5},
                                     protocol::open_scope{},
                                     [this, done = std::move(done)](
                                       result<protocol::scope_opened> x) {
                                       if (stopped())
                                         return;
                                       if (!x)
                                         return fail_run("storage", x.error());
                                       scope_ = x->scope;
                                       if (scope_ > 1)
                                         send(parts_.storage,
                                              protocol::release_batches{scope_
                                                                        - 1});
                                       done();
                                     });
}

// -- small things --------------------------------------------------------------

void engine::phase(std::string_view name, std::int64_t done,
                   std::int64_t total) {
  parts_.listener->on_phase(name, done, total);
}

void engine::count_time(const std::string& what, time_point since) {
  auto spent = std::chrono::steady_clock::now() - since;
  auto i = std::ranges::find(outcome_.times, what,
                             [](const auto& x) { return x.first; });
  if (i == outcome_.times.end())
    outcome_.times.emplace_back(what, spent);
  else
    i->second += spent;
  episode_.times[what] += spent;
}

bool engine::stopped() const noexcept {
  return failing_ || ended_ || closing_;
}

void engine::fail_run(const std::string& during, const error& why) {
  if (stopped())
    return;
  failing_ = true;
  log::error("engine", "{}: {}", during, to_string(why));
  protocol::error_report report;
  report.code = why.code();
  report.operation = "engine";
  report.message = fmt::format("{}: {}", during, why.message());
  send(parts_.errors, report);
}

} // namespace troupe::engine
