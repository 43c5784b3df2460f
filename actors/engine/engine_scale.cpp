// SPDX-License-Identifier: Apache-2.0
// How models get more or fewer replicas while a run goes on.
#include <algorithm>

#include <fmt/core.h>

#include "troupe/actors/config/nearest.hpp"
#include "troupe/actors/engine/engine.hpp"
#include "troupe/actors/engine/step_time.hpp"
#include "troupe/actors/model/seats.hpp"
#include "troupe/core/log.hpp"

namespace troupe::engine {

namespace {

/// Whoever wants more at once is refused.
constexpr std::size_t wanted_max = 16;

/// Of one model: each is placed in turn, and nobody else is heard meanwhile.
constexpr std::int32_t replicas_max = 1024;

} // namespace

result<void> engine::check(const protocol::scale_model& x) const {
  auto invalid = [](std::string text) {
    return fail(errc::invalid, std::move(text));
  };
  const auto* model = parts_.app->models.find(x.model);
  if (!model) {
    std::vector<std::string> names;
    for (const auto& known : parts_.app->models.models())
      names.push_back(known->name());
    auto meant = config::nearest(x.model, names);
    return invalid(fmt::format("there is no model '{}'{}", x.model,
                               meant
                                 ? fmt::format("; did you mean '{}'?", *meant)
                                 : std::string{}));
  }
  if (x.num_replica < 1)
    return invalid(fmt::format("{} needs at least 1 replica, not {}", x.model,
                               x.num_replica));
  if (x.num_replica > replicas_max)
    return invalid(fmt::format("{} replicas are too many; at most {}",
                               x.num_replica, replicas_max));
  if (model->trainable())
    return invalid(fmt::format("{} trains: the number of its ranks is part of "
                               "how it does; only models that do not can be "
                               "scaled",
                               x.model));
  for (const auto& sync : parts_.syncs)
    if (sync.destination == x.model
        && (sync.kind == sync_schedule_kind::once || sync.frequency == 0))
      return invalid(fmt::format("{} gets its weights from {} only once, "
                                 "before training: a new replica would have "
                                 "none",
                                 x.model, sync.source));
  return {};
}

void engine::want(const protocol::scale_model& x,
                  const call::reply<protocol::scaled>& out) {
  if (stopped())
    return out.deliver(fail(errc::unavailable, "the run ends"));
  if (auto sound = check(x); !sound)
    return out.deliver(fail(sound.error()));
  if (wanted_.size() >= wanted_max)
    return out.deliver(fail(errc::exhausted, "too many orders wait already"));
  wanted_.push_back({x, out});
}

void engine::next_episode(std::int64_t number) {
  if (wanted_.empty() || number > parts_.config.runtime.num_episode)
    return begin_episode(number);
  auto next = std::move(wanted_.front());
  wanted_.pop_front();
  // What is being saved must not lose who saves it.
  finish_saving(
    [=, this] { scale(next, [=, this] { next_episode(number); }); });
}

void engine::scale(const wanted_scale& x, then done) {
  const auto& model = x.order.model;
  auto before = parts_.members.num_replica(model);
  auto change_to = parts_.members.change(model, x.order.num_replica);
  if (!change_to) {
    x.out.deliver(fail(change_to.error()));
    return done();
  }
  phase("scaling", 0, 0);
  auto finish = [=, this] {
    parts_.listener->on_note(fmt::format("{} has {} replica{} now, before {}.",
                                         model, x.order.num_replica,
                                         x.order.num_replica == 1 ? "" : "s",
                                         before));
    x.out.deliver(
      protocol::scaled{before, x.order.num_replica, outcome_.episodes});
    done();
  };
  change(model, *change_to, [=, this](const result<void>& changed) {
    if (changed)
      return join_syncs(model, finish);
    parts_.listener->on_note(fmt::format("{} keeps {} replicas: {}", model,
                                         before, changed.error().message()));
    x.out.deliver(fail(changed.error()));
    done();
  });
}

void engine::change(const std::string& model, const roster_change& x,
                    std::function<void(result<void>)> done) {
  auto timeout = parts_.config.runtime.setup_timeout;
  protocol::change_replicas request;
  request.timeout_ms = to_ms(timeout);
  request.remove = x.remove;
  for (const auto& [id, place] : x.add)
    request.add.push_back(
      {id, model::seats_of(place, parts_.members.devices_per_node())});
  auto heard = [=, this](result<protocol::manifests> fresh) {
    if (stopped())
      return;
    if (!fresh)
      return done(fail(fresh.error()));
    parts_.members.apply(model, x);
    auto& items = manifests_[model].items;
    std::erase_if(items, [&](const auto& item) {
      return std::ranges::count(x.remove, item.worker.replica) > 0;
    });
    std::move(fresh->items.begin(), fresh->items.end(),
              std::back_inserter(items));
    done({});
  };
  // Made, started, set up, behind models that share devices.
  auto steps = static_cast<int>(parts_.models.size()) + 3;
  calls_.ask<protocol::manifests>(parts_.models.at(model),
                                  steps * with_grace(timeout),
                                  std::move(request), heard);
}

void engine::join_syncs(const std::string& model, then done) {
  std::vector<std::size_t> touched;
  std::vector<std::size_t> due;
  for (std::size_t i = 0; i < parts_.syncs.size(); ++i) {
    const auto& x = parts_.syncs[i];
    if (x.source != model && x.destination != model)
      continue;
    touched.push_back(i);
    if (x.kind == sync_schedule_kind::by_frequency && x.frequency > 0)
      due.push_back(i);
  }
  // No syncs of the run's schedule: they count for nothing.
  auto finish = [this, done = std::move(done), counts = sync_counts_,
                 times = outcome_.syncs] {
    sync_counts_ = counts;
    outcome_.syncs = times;
    done();
  };
  prepare(touched,
          [this, due, finish = std::move(finish)] { run_syncs(due, finish); });
}

} // namespace troupe::engine
