// SPDX-License-Identifier: Apache-2.0
// How the engine saves a run and goes on with it.
#include <algorithm>
#include <exception>

#include <fmt/core.h>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/engine/engine.hpp"
#include "troupe/actors/engine/model_shapes.hpp"
#include "troupe/actors/engine/step_time.hpp"
#include "troupe/core/exception.hpp"
#include "troupe/core/log.hpp"

namespace troupe::engine {

namespace {

/// Of the engine's state. Another number is another meaning.
constexpr std::int64_t state_version = 1;

/// How long a run that has failed waits for a checkpoint on its way.
constexpr auto farewell = std::chrono::seconds{5};

/// What the data source's entries begin with.
constexpr std::string_view data_prefix = "data/";

/// How many runs a sync has had.
std::string runs_of(const engine_sync& x) {
  return "syncs/" + x.name;
}

std::int64_t integer(const batch& from, std::string_view name) {
  const auto* found = from.find_meta(name);
  const auto* value = found ? std::get_if<std::int64_t>(found) : nullptr;
  return value ? *value : 0;
}

std::optional<double> number(const batch& from, std::string_view name) {
  if (!from.find_meta(name))
    return std::nullopt;
  return from.meta_number(name);
}

/// The part of `state` whose names begin with `data_prefix`, without it.
batch data_part(const batch& state) {
  batch out;
  for (const auto& [name, value] : state.meta())
    if (name.starts_with(data_prefix))
      out.set_meta(name.substr(data_prefix.size()), value);
  for (const auto& [name, value] : state.tensors())
    if (name.starts_with(data_prefix))
      out.set(name.substr(data_prefix.size()), value);
  return out;
}

} // namespace

// -- saving --------------------------------------------------------------------

result<batch> engine::state_after(std::int64_t episode) const {
  batch out;
  out.set_meta("version", state_version);
  out.set_meta("episode", episode);
  out.set_meta("samples", samples_);
  for (const auto& [index, count] : sync_counts_)
    out.set_meta(runs_of(parts_.syncs[index]),
                 static_cast<std::int64_t>(count));
  out.set_meta("tokens", outcome_.tokens);
  out.set_meta("evaluated", outcome_.evaluated);
  if (outcome_.warm_start_accuracy)
    out.set_meta("warm_start_accuracy", *outcome_.warm_start_accuracy);
  if (episode_.accuracy)
    out.set_meta("accuracy", *episode_.accuracy);
  auto elapsed = std::chrono::steady_clock::now() - begin_;
  out.set_meta("elapsed_ns", static_cast<std::int64_t>(
                               std::chrono::nanoseconds{elapsed}.count()));
  add_shapes(out, parts_.config);
  auto position = position_of(*parts_.data);
  if (!position)
    return fail(position.error());
  for (const auto& [name, value] : position->meta())
    out.set_meta(fmt::format("{}{}", data_prefix, name), value);
  for (const auto& [name, value] : position->tensors())
    out.set(fmt::format("{}{}", data_prefix, name), value);
  return out;
}

void engine::save_if_due(std::int64_t episode, then done) {
  auto interval = parts_.config.runtime.save_episode_interval;
  if (interval <= 0)
    return done();
  save_owed_ = save_owed_ || episode % interval == 0;
  // A destination gets its weights from its source again when the run is
  // resumed, so they must be those that its source has now.
  auto in_step = syncs_due(episode).size() == syncs_due(0).size();
  if (!save_owed_ || !in_step)
    return done();
  save(episode, std::move(done));
}

void engine::save(std::int64_t episode, then done) {
  // One at a time: whoever trains faster than the disk writes waits here.
  if (saving_)
    return finish_saving(
      [=, this, done = std::move(done)] { save(episode, done); });
  auto state = state_after(episode);
  if (!state)
    return fail_run("saving a checkpoint", state.error());
  saving_ = true;
  save_owed_ = false;
  last_saved_ = episode;
  auto timeout = parts_.config.runtime.checkpoint_timeout;
  auto begun = [=, this, state = std::move(*state),
                done = std::move(done)](result<checkpoint_begun> x) {
    if (!x)
      return saving_failed(x.error());
    if (stopped())
      return end_saving();
    auto saved = [=, this](result<std::vector<protocol::ack>> all) {
      if (!all)
        return saving_failed(all.error());
      // Also of a run that has failed meanwhile: it goes on from here.
      commit(episode, state);
    };
    auto all = std::make_shared<call::gather<protocol::ack>>(parts_.models
                                                               .size(),
                                                             saved);
    std::size_t index = 0;
    for (const auto& [name, model] : parts_.models) {
      protocol::run_checkpoint request;
      request.directory = x->directory.string();
      request.timeout_ms = to_ms(timeout);
      calls_.ask<protocol::ack>(model, with_grace(timeout), std::move(request),
                                [all, index](result<protocol::ack> y) {
                                  all->set(index, std::move(y));
                                });
      ++index;
    }
    // What is asked of a model from now on comes after its state was copied.
    done();
  };
  calls_.ask<checkpoint_begun>(parts_.keeper, with_grace(timeout),
                               begin_checkpoint{episode}, std::move(begun));
}

void engine::commit(std::int64_t episode, const batch& state) {
  auto timeout = parts_.config.runtime.checkpoint_timeout;
  calls_.ask<protocol::ack>(parts_.keeper, with_grace(timeout),
                            commit_checkpoint{episode, state},
                            [=, this](const result<protocol::ack>& x) {
                              if (!x)
                                return saving_failed(x.error());
                              log::info("engine",
                                        "saved a checkpoint of episode {}",
                                        episode);
                              outcome_.saved_episode = episode;
                              end_saving();
                            });
}

void engine::saving_failed(const error& why) {
  if (stopped())
    return end_saving();
  saving_ = false;
  after_saving_ = {};
  fail_run("saving a checkpoint", why);
}

void engine::end_saving() {
  saving_ = false;
  auto next = std::exchange(after_saving_, {});
  // Of a run that has failed only the end waits for it.
  if (next && (!stopped() || closing_))
    next();
}

void engine::save_before_end(then done) {
  auto goes_on = parts_.config.runtime.on_failure
                 != config::failure_policy::stop;
  if (!saving_ || !goes_on)
    return done();
  after_saving_ = std::move(done);
  delayed_send(this, farewell, give_up_saving{});
}

void engine::finish_saving(then done) {
  if (!saving_)
    return done();
  phase("saving", 0, 0);
  after_saving_ = std::move(done);
}

// -- going on ------------------------------------------------------------------

void engine::restore(std::int64_t episode, const batch& state) {
  outcome_.episodes = episode;
  outcome_.tokens = state.meta_number("tokens");
  outcome_.evaluated = integer(state, "evaluated");
  outcome_.warm_start_accuracy = number(state, "warm_start_accuracy");
  samples_ = integer(state, "samples");
  for (std::size_t i = 0; i < parts_.syncs.size(); ++i)
    sync_counts_[i] = static_cast<std::uint64_t>(
      integer(state, runs_of(parts_.syncs[i])));
  episode_ = {};
  episode_.episode = outcome_.episodes;
  episode_.num_episode = parts_.config.runtime.num_episode;
  episode_.accuracy = number(state, "accuracy");
  begin_ -= std::chrono::nanoseconds{integer(state, "elapsed_ns")};
  parts_.data->seek(data_part(state));
}

void engine::go_on() {
  const auto& from = *parts_.resume;
  if (integer(from.state, "version") != state_version)
    return fail_run("loading a checkpoint",
                    {errc::invalid,
                     fmt::format("{} was saved by another version of Troupe",
                                 from.directory.string())});
  phase("loading", 0, 0);
  auto since = std::chrono::steady_clock::now();
  auto timeout = parts_.config.runtime.checkpoint_timeout;
  for (const auto& line : from.passed_over)
    parts_.listener->on_note(fmt::format("Passed over a checkpoint: {}", line));
  auto loaded = [=, this](result<std::vector<protocol::ack>> x) {
    if (stopped())
      return;
    count_time("loading", since);
    if (!x)
      return fail_run("loading a checkpoint", x.error());
    const auto& from = *parts_.resume;
    follow(from.episode, from.state, from.episode);
  };
  auto all = std::make_shared<call::gather<protocol::ack>>(parts_.models.size(),
                                                           loaded);
  std::size_t index = 0;
  for (const auto& [name, model] : parts_.models) {
    protocol::run_checkpoint request;
    request.load = true;
    request.directory = from.directory.string();
    request.timeout_ms = to_ms(timeout);
    // Those that share devices wait for each other.
    auto patience = static_cast<int>(parts_.models.size() + 1)
                    * with_grace(timeout);
    calls_.ask<protocol::ack>(model, patience, std::move(request),
                              [all, index](result<protocol::ack> y) {
                                all->set(index, std::move(y));
                              });
    ++index;
  }
}

void engine::go_on_repaired() {
  const auto& x = *parts_.repaired;
  follow(x.from.episode, x.from.state, x.saved_episode);
}

void engine::follow(std::int64_t episode, const batch& state,
                    std::int64_t saved_episode) {
  try {
    restore(episode, state);
  } catch (const std::exception& problem) {
    return fail_run("going on", error_from(problem));
  }
  last_saved_ = saved_episode;
  if (saved_episode >= 0)
    outcome_.saved_episode = saved_episode;
  // One that was due when the run failed is still due.
  auto interval = parts_.config.runtime.save_episode_interval;
  save_owed_ = interval > 0 && episode / interval * interval > saved_episode;
  // No figure of the run: the run that is gone on with had none here.
  run_syncs(syncs_due(0), [this, counts = sync_counts_] {
    sync_counts_ = counts;
    outcome_.syncs.clear();
    parts_.listener->on_note(
      fmt::format("Goes on after episode {}.", outcome_.episodes));
    next_scope([this] {
      stand(outcome_.episodes);
      if (good_enough())
        final_checks();
      else
        next_episode(outcome_.episodes + 1);
    });
  });
}

void engine::stand(std::int64_t episode) {
  standing_.reset();
  if (parts_.config.runtime.on_failure == config::failure_policy::stop)
    return;
  auto state = state_after(episode);
  // Nothing to go on from, then, but nothing is lost yet.
  if (!state)
    return log::warning("engine", "no position after episode {}: {}", episode,
                        to_string(state.error()));
  standing_ = standing_point{episode, std::move(*state), scope_};
}

} // namespace troupe::engine
