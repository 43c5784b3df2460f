// SPDX-License-Identifier: Apache-2.0
// The engine's chain: what follows what in a run.
#include "troupe/actors/engine/engine.hpp"

#include <algorithm>
#include <exception>
#include <numeric>

#include <fmt/core.h>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/engine/step_time.hpp"
#include "troupe/actors/model/version_key.hpp"
#include "troupe/core/digest.hpp"
#include "troupe/core/exception.hpp"
#include "troupe/core/log.hpp"
#include "troupe/core/units.hpp"

namespace troupe::engine {

std::string_view to_string(run_end x) noexcept {
  switch (x) {
    case run_end::finished: return "finished";
    case run_end::interrupted: return "interrupted";
    default: return "failed";
  }
}

engine::engine(caf::actor_config& config, engine_parts parts)
  : engine_actor::base(config),
    parts_(std::move(parts)),
    stragglers_(parts_.config.runtime.straggler_factor,
                parts_.config.runtime.straggler_min),
    calls_(this) {
  // nop
}

const char* engine::name() const {
  return "engine";
}

void engine::on_exit() {
  // CAF's clock may hold us, for a timeout that is over, when the system ends.
  // The threads of these two wait for their last reference, and the system
  // waits for the threads.
  after_saving_ = {};
  wanted_.clear();
  parts_.applier = applier_actor{};
  parts_.keeper = checkpoint_keeper_actor{};
}

engine::behavior_type engine::make_behavior() {
  return {
    [this](start_run) { set_up(); },
    [this](stop_run) {
      if (!stopped())
        close(run_end::interrupted);
    },
    [this](give_up_saving) {
      if (closing_)
        end_saving();
    },
    [this](const protocol::scale_model& x) {
      call::reply<protocol::scaled> out{
        make_response_promise<protocol::scaled>()};
      want(x, out);
      return out.promise();
    },
    [this](const protocol::verdict& x) {
      if (ended_ || closing_)
        return;
      failing_ = true;
      outcome_.verdict = x;
      close(run_end::failed);
    },
  };
}

// -- set-up --------------------------------------------------------------------

void engine::set_up() {
  if (parts_.repaired) {
    manifests_ = parts_.repaired->members;
    return prepare_syncs();
  }
  phase("set-up", 0, static_cast<std::int64_t>(parts_.models.size()));
  auto since = std::chrono::steady_clock::now();
  auto timeout = parts_.config.runtime.setup_timeout;
  auto count = parts_.models.size();
  auto all = std::make_shared<call::gather<
    protocol::manifests>>(count,
                          [=,
                           this](result<std::vector<protocol::manifests>> x) {
                            if (stopped())
                              return;
                            count_time("set-up", since);
                            if (!x)
                              return fail_run("set-up", x.error());
                            std::size_t index = 0;
                            for (const auto& [name, model] : parts_.models)
                              manifests_[name] = std::move((*x)[index++]);
                            prepare_syncs();
                          });
  std::size_t index = 0;
  auto ready = std::make_shared<std::int64_t>(0);
  for (const auto& [name, model] : parts_.models) {
    // Making, starting, setting up; those that share devices wait for each
    // other.
    calls_.ask<protocol::manifests>(model, (count + 3) * with_grace(timeout),
                                    protocol::set_up{to_ms(timeout)},
                                    [=, this](result<protocol::manifests> x) {
                                      if (x && !stopped())
                                        phase("set-up", ++*ready,
                                              static_cast<std::int64_t>(count));
                                      all->set(index, std::move(x));
                                    });
    ++index;
  }
}

void engine::prepare_syncs() {
  std::vector<std::size_t> all(parts_.syncs.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  prepare(all, [this] {
    next_scope([this] {
      if (parts_.repaired)
        go_on_repaired();
      else if (parts_.resume)
        go_on();
      else
        warm_start(0);
    });
  });
}

void engine::prepare(const std::vector<std::size_t>& which, then done) {
  auto timeout = parts_.config.runtime.sync_timeout;
  auto all = std::make_shared<call::gather<
    protocol::sync_plan>>(which.size(),
                          [this, which, done = std::move(done)](
                            result<std::vector<protocol::sync_plan>> x) {
                            if (stopped())
                              return;
                            if (!x)
                              return fail_run("preparing syncs", x.error());
                            for (std::size_t i = 0; i < x->size(); ++i)
                              warn_of_sync(which[i], (*x)[i].warnings);
                            done();
                          });
  auto together = static_cast<std::uint32_t>(which.size());
  for (std::size_t i = 0; i < which.size(); ++i) {
    const auto& sync = parts_.syncs[which[i]];
    calls_.ask<
      protocol::sync_plan>(sync.actor,
                           prepare_steps(together) * with_grace(timeout),
                           protocol::prepare_sync{manifests_[sync.source],
                                                  manifests_[sync.destination],
                                                  sync.options, to_ms(timeout),
                                                  together},
                           [all, i](result<protocol::sync_plan> x) {
                             all->set(i, std::move(x));
                           });
  }
}

// -- warm start ----------------------------------------------------------------

void engine::warm_start(std::int64_t round) {
  if (parts_.app->warm_start.training.empty())
    return first_syncs();
  const auto& options = parts_.config.runtime.options;
  auto rounds = options.integer(parts_.app->warm_start.rounds_option);
  auto rows = options.integer(parts_.app->warm_start.rows_option);
  auto bar = options.number(parts_.app->warm_start.accuracy_option);
  if (round >= rounds) {
    if (rounds > 0)
      parts_.listener->on_note(
        fmt::format("The warm start ended after {} rounds, below {:.2f}.",
                    rounds, bar));
    return first_syncs();
  }
  phase("warm start", round, rounds);
  stage(
    "the data's examples",
    [data = parts_.data, rows] {
      return data->draw(data_stream::supervised, rows);
    },
    [=, this](process::batch_ref examples) {
      // Not a copy of the plan: the flow keeps a pointer to its graph.
      run_flow(parts_.app->warm_start.training, std::move(examples),
               [=, this](const process::batch_ref&) {
                 run_syncs(syncs_due(0), [=, this] {
                   evaluate(data_stream::dev, [=, this](double accuracy,
                                                        std::int64_t) {
                     log::info("engine", "warm start round {}: dev {:.4f}",
                               round + 1, accuracy);
                     next_scope([=, this] {
                       if (accuracy >= bar)
                         first_syncs();
                       else
                         warm_start(round + 1);
                     });
                   });
                 });
               });
    });
}

void engine::first_syncs() {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < parts_.syncs.size(); ++i)
    if (parts_.syncs[i].kind == sync_schedule_kind::once
        || parts_.syncs[i].frequency > 0)
      all.push_back(i);
  run_syncs(std::move(all), [this] {
    evaluate(data_stream::test, [this](double accuracy, std::int64_t rows) {
      if (rows > 0) {
        outcome_.warm_start_accuracy = accuracy;
        outcome_.evaluated = rows;
        parts_.listener->on_note(
          fmt::format("Held-out accuracy before training: {:.3f}", accuracy));
      }
      next_scope([this] {
        stand(0);
        save_if_due(0, [this] { next_episode(1); });
      });
    });
  });
}

// -- episodes ------------------------------------------------------------------

void engine::begin_episode(std::int64_t number) {
  const auto& runtime = parts_.config.runtime;
  if (number > runtime.num_episode || parts_.app->experience.empty())
    return final_checks();
  episode_ = {};
  episode_.episode = number;
  episode_.num_episode = runtime.num_episode;
  episode_begin_ = std::chrono::steady_clock::now();
  phase("generation", number - 1, runtime.num_episode);
  auto drawn = std::make_shared<std::string>();
  stage(
    "the data's prompts",
    [drawn, data = parts_.data, rows = runtime.sample_per_episode] {
      auto out = data->draw(data_stream::prompts, rows);
      auto all = encode(out);
      *drawn = to_string(digest_of({all.data(), all.size()}, 0, 0));
      return out;
    },
    [this, drawn](process::batch_ref prompts) {
      episode_.samples = {samples_, samples_ + prompts.rows(), *drawn};
      run_flow(parts_.app->experience, std::move(prompts),
               [this](process::batch_ref experience) {
                 experience_ = std::move(experience);
                 train_episode();
               });
    });
}

namespace {

/// What it throws begins with the metric's name.
double measure(const metric_function& metric, const batch& experience) {
  try {
    return metric.compute(experience);
  } catch (const std::exception& x) {
    throw exception(error_from(x).within(metric.name));
  } catch (...) {
    throw exception(
      error{errc::failed, fmt::format("{}: it threw something that is no "
                                      "std::exception",
                                      metric.name)});
  }
}

} // namespace

void engine::train_episode() {
  auto compute = [metrics = parts_.app->metrics](const std::vector<batch>& xs) {
    batch out;
    for (const auto& metric : metrics)
      out.set_meta(metric.name, measure(metric, xs.front()));
    return out;
  };
  auto keep = [this](const batch& x) {
    // Which weights made a batch is no figure of the episode.
    for (const auto& [name, value] : x.meta())
      if (!std::holds_alternative<std::string>(value)
          && !model::is_version_key(name))
        episode_.metrics[name] = x.meta_number(name);
  };
  auto to_syncs = [this] {
    run_syncs(syncs_due(episode_.episode), [this] { end_episode(); });
  };
  apply("metric", compute, {experience_}, false, [=, this](const applied& x) {
    keep(x.value);
    outcome_.tokens += x.value.meta_number("tokens");
    if (parts_.app->training.empty())
      return to_syncs();
    phase("training", episode_.episode - 1, episode_.num_episode);
    run_flow(parts_.app->training, std::move(experience_),
             [=, this](process::batch_ref trained) {
               apply(
                 "what training returned",
                 [](const std::vector<batch>& xs) {
                   batch meta;
                   for (const auto& [name, value] : xs.front().meta())
                     meta.set_meta(name, value);
                   return meta;
                 },
                 {std::move(trained)}, false,
                 [=, this](const applied& y) {
                   // What the experience measured is not overwritten.
                   auto before = std::exchange(episode_.metrics, {});
                   keep(y.value);
                   auto refused = refuse(episode_.metrics);
                   for (auto& [name, value] : before)
                     episode_.metrics[name] = value;
                   if (!refused)
                     to_syncs();
                 });
             });
  });
}

void engine::end_episode() {
  const auto& runtime = parts_.config.runtime;
  auto finish = [this] {
    auto now = std::chrono::steady_clock::now();
    episode_.spent = now - episode_begin_;
    episode_.elapsed = now - begin_;
    outcome_.episodes = episode_.episode;
    samples_ = episode_.samples.end;
    parts_.listener->on_episode(episode_);
    next_scope([this] {
      stand(episode_.episode);
      auto last = good_enough();
      save_if_due(episode_.episode, [this, last] {
        if (last)
          final_checks();
        else
          next_episode(episode_.episode + 1);
      });
    });
  };
  auto interval = runtime.eval_episode_interval;
  if (interval <= 0 || episode_.episode % interval != 0
      || episode_.episode == runtime.num_episode)
    return finish();
  evaluate(data_stream::dev, [=, this](double accuracy, std::int64_t rows) {
    if (rows > 0)
      episode_.accuracy = accuracy;
    finish();
  });
}

bool engine::good_enough() const {
  const auto& option = parts_.app->stop_accuracy_option;
  if (option.empty() || !episode_.accuracy)
    return false;
  auto bar = parts_.config.runtime.options.number(option);
  if (*episode_.accuracy < bar)
    return false;
  parts_.listener->on_note(
    fmt::format("Dev accuracy {:.3f} has reached {:.2f}: training ends.",
                *episode_.accuracy, bar));
  return true;
}

// -- ends ----------------------------------------------------------------------

void engine::final_checks() {
  const auto& runtime = parts_.config.runtime;
  if (runtime.save_episode_interval > 0 && last_saved_ < outcome_.episodes)
    return save(outcome_.episodes, [this] { final_checks(); });
  evaluate(data_stream::test, [this](double accuracy, std::int64_t rows) {
    if (rows > 0) {
      outcome_.final_accuracy = accuracy;
      outcome_.evaluated = rows;
    }
    phase("comparing weights", 0,
          static_cast<std::int64_t>(parts_.syncs.size()));
    compare_weights(0);
  });
}

void engine::compare_weights(std::size_t index) {
  auto kept = [this](const engine_sync& x) {
    // A dry run has moved nothing.
    return !parts_.config.runtime.sync.dry_run
           && x.kind == sync_schedule_kind::by_frequency && x.frequency > 0;
  };
  while (index < parts_.syncs.size() && !kept(parts_.syncs[index]))
    ++index;
  if (index == parts_.syncs.size())
    return finish_saving([this] { close(run_end::finished); });
  auto timeout = parts_.config.runtime.sync_timeout;
  calls_.ask<
    protocol::sync_report>(parts_.syncs[index].actor,
                           compare_steps(parts_.syncs.size())
                             * with_grace(timeout),
                           protocol::verify_sync{to_ms(timeout)},
                           [=, this](result<protocol::sync_report> x) {
                             if (stopped())
                               return;
                             if (!x)
                               return fail_run("comparing weights", x.error());
                             outcome_
                               .weights_identical = outcome_.weights_identical
                                                      .value_or(true)
                                                    && x->differences.empty();
                             for (auto& line : x->differences)
                               outcome_.weight_differences.push_back(
                                 std::move(line));
                             compare_weights(index + 1);
                           });
}

void engine::close(run_end how) {
  closing_ = true;
  outcome_.end = how;
  outcome_.wall = std::chrono::steady_clock::now() - begin_;
  auto finish = [this] {
    if (std::exchange(ended_, true))
      return;
    // It may hold the promise of an order.
    after_saving_ = {};
    for (auto& x : std::exchange(wanted_, {}))
      x.out.deliver(fail(errc::unavailable, "the run has ended"));
    send(parts_.owner, run_ended{std::move(outcome_), std::move(standing_),
                                 std::move(parts_.members)});
    quit();
  };
  // After a failure or an interruption workers may be in the middle of
  // anything: the node ends them all at once.
  if (how == run_end::failed)
    return save_before_end(finish);
  if (how != run_end::finished)
    return finish();
  phase("closing", 0, 0);
  auto timeout = parts_.config.runtime.shutdown_timeout;
  auto models = [=, this] {
    auto all = std::make_shared<
      call::gather<protocol::ack>>(parts_.models.size(),
                                   [finish](
                                     result<std::vector<protocol::ack>>) {
                                     finish();
                                   });
    std::size_t index = 0;
    for (const auto& [name, model] : parts_.models) {
      calls_.ask<protocol::ack>(model, with_grace(timeout),
                                protocol::close_model{to_ms(timeout)},
                                [all, index](const result<protocol::ack>&) {
                                  all->set(index, protocol::ack{});
                                });
      ++index;
    }
  };
  auto groups = std::make_shared<
    call::gather<protocol::ack>>(parts_.syncs.size(),
                                 [models](result<std::vector<protocol::ack>>) {
                                   models();
                                 });
  for (std::size_t i = 0; i < parts_.syncs.size(); ++i)
    calls_.ask<protocol::ack>(parts_.syncs[i].actor, with_grace(timeout),
                              protocol::close_sync{to_ms(timeout)},
                              [groups, i](const result<protocol::ack>&) {
                                groups->set(i, protocol::ack{});
                              });
}

} // namespace troupe::engine
