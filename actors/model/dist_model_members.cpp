// SPDX-License-Identifier: Apache-2.0
// Which replicas a dist_model has: made, repaired, added and removed.
#include <algorithm>
#include <memory>

#include <caf/actor_cast.hpp>
#include <fmt/core.h>

#include "troupe/actors/model/dist_model_asking.hpp"
#include "troupe/actors/model/relay.hpp"
#include "troupe/core/log.hpp"

namespace troupe::model {

namespace {

using protocol::ack;
using protocol::manifests;
using std::chrono::milliseconds;

milliseconds with_grace(milliseconds x) {
  return call::with_grace(x, call::layer::dist_model);
}

/// What a replica may take its whole time for: to wait for its workers, to open
/// and to connect groups, to list parameters.
constexpr auto rejoin_steps = 4;

} // namespace

// -- what there is -------------------------------------------------------------

result<void> dist_model::check_era(std::uint64_t era) const {
  if (era != era_)
    return fail(errc::aborted, "the model was repaired meanwhile");
  return {};
}

std::vector<replica_id> dist_model::ids() const {
  std::vector<replica_id> out;
  out.reserve(members_.size());
  for (const auto& [id, x] : members_)
    out.push_back(id);
  return out;
}

bool dist_model::ready() const {
  return !members_.empty() && std::ranges::all_of(members_, [](const auto& x) {
    return static_cast<bool>(x.second.actor);
  });
}

protocol::replica_spec dist_model::spec_of(replica_id id) const {
  protocol::replica_spec x;
  x.model = job_.spec.name;
  x.id = id;
  x.num_replica = static_cast<std::int32_t>(members_.size());
  const auto& sizes = job_.spec.parallel;
  x.tensor = sizes.tensor;
  x.pipeline = sizes.pipeline;
  x.data = sizes.data;
  x.context = sizes.context;
  x.expert = sizes.expert;
  x.isolated = job_.spec.isolated;
  x.config = job_.config;
  x.seed = job_.seed;
  x.memory = job_.memory;
  x.weights_return = job_.weights_return;
  x.num_threads = job_.num_threads;
  x.collective_timeout_ms = call::to_ms(job_.collective_timeout);
  x.ranks = members_.at(id).seats;
  x.on_trial = members_.at(id).on_trial;
  x.attempt = job_.attempt;
  return x;
}

// -- set-up --------------------------------------------------------------------

void dist_model::make_replicas(milliseconds timeout, continuation<ack> done) {
  std::vector<replica_id> missing;
  std::map<node_id, int> on_node;
  for (const auto& [id, x] : members_) {
    ++on_node[x.seats.front().node];
    if (!x.actor)
      missing.push_back(id);
  }
  auto all = std::make_shared<call::gather<ack>>(missing.size(),
                                                 [done = std::move(done)](
                                                   result<std::vector<ack>> x) {
                                                   done(x.map([](auto&&) {
                                                     return ack{};
                                                   }));
                                                 });
  for (std::size_t index = 0; index < missing.size(); ++index) {
    auto id = missing[index];
    auto spec = spec_of(id);
    auto home = spec.ranks.front().node;
    auto node = static_cast<std::size_t>(home.value());
    auto through_node = around_.far_nodes && on_node[home] > 1;
    protocol::make_replica request{std::move(spec),
                                   caf::actor_cast<protocol::dist_model_actor>(
                                     this)};
    auto keep = [=, this, era = era_](result<protocol::made_replica> x) {
      if (!x)
        return all->set(index, fail(x.error()));
      auto i = members_.find(id);
      if (era == era_ && i != members_.end()) {
        i->second.actor = x->replica;
        if (through_node)
          calls_.route(x->replica,
                       {caf::actor_cast<caf::actor>(around_.nodes[node])});
      } else {
        send_exit(x->replica, caf::exit_reason::user_shutdown);
      }
      all->set(index, ack{});
    };
    calls_.ask<protocol::made_replica>(around_.nodes[node], timeout,
                                       std::move(request), keep);
  }
}

void dist_model::start_ranks(const std::vector<replica_id>& ids,
                             milliseconds timeout, continuation<ack> done) {
  using protocol::started_ranks;
  auto note = [=, this, era = era_](result<std::vector<started_ranks>> x) {
    if (!x)
      return done(fail(x.error()));
    if (auto now = check_era(era); !now)
      return done(fail(now.error()));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      auto found = members_.find(ids[i]);
      if (found == members_.end())
        continue;
      auto& devices = (*x)[i].devices;
      found->second.devices = {devices.begin(), devices.end()};
      // Of those without one.
      found->second.devices.erase("");
    }
    done(ack{});
  };
  ask_these<started_ranks>(ids, with_grace(timeout),
                           protocol::start_ranks{call::to_ms(timeout)}, note);
}

void dist_model::set_up(milliseconds timeout, continuation<manifests> done) {
  make_ready(ids(), {true, {}, call::to_ms(timeout)}, call::lease_turn::last,
             std::move(done));
}

void dist_model::make_ready(const std::vector<replica_id>& ids,
                            const protocol::run_checkpoint& load,
                            call::lease_turn turn_of,
                            continuation<manifests> done) {
  milliseconds timeout{load.timeout_ms};
  auto era = era_;
  auto set_up = [=, this](result<turn> mine) {
    if (!mine)
      return done(fail(mine.error()));
    auto devices = mine->devices;
    auto ready = [=, this](result<std::vector<manifests>> told) {
      if (!told)
        return done(fail(told.error()));
      if (auto now = check_era(era); !now)
        return done(fail(now.error()));
      auto all = std::make_shared<manifests>(join(std::move(*told)));
      if (load.directory.empty())
        return done(std::move(*all));
      ask_these<ack>(
        ids, with_grace(timeout), load,
        [=](const result<std::vector<ack>>& loaded) {
          if (!loaded)
            return done(fail(loaded.error()));
          done(std::move(*all));
        },
        devices);
    };
    ask_these<manifests>(ids, with_grace(timeout),
                         protocol::set_up{load.timeout_ms}, ready, devices);
  };
  make_replicas(timeout, [=, this](const result<ack>& made) {
    if (!made)
      return done(fail(made.error()));
    if (auto now = check_era(era); !now)
      return done(fail(now.error()));
    start_ranks(ids, timeout, [=, this](const result<ack>& started) {
      if (!started)
        return done(fail(started.error()));
      // Ranks are joined, and modules may let them talk.
      await_devices(ids, turn_of, around_.models * load.timeout_ms, set_up);
    });
  });
}

// -- after a failure -----------------------------------------------------------

void dist_model::repair(const protocol::repair_model& request,
                        continuation<protocol::repaired> done) {
  ++era_;
  job_.attempt = request.attempt;
  // Nobody knows of those that were being added.
  for (auto id : ids())
    if (members_.at(id).on_trial)
      leave_out(id);
  // Ranks are joined anew, behind those of other models that share devices.
  milliseconds timeout{request.timeout_ms};
  auto patience = std::min(job_.rejoin_timeout, timeout);
  auto each = rejoin_steps * with_grace(patience);
  if (request.load_all)
    each += with_grace(timeout);
  await_devices(ids(), call::lease_turn::first,
                call::to_ms(around_.models * each),
                [=, this, done = std::move(done)](result<turn> mine) {
                  if (!mine)
                    return done(fail(mine.error()));
                  rejoin(request, std::move(mine->devices), done);
                });
}

void dist_model::rejoin(const protocol::repair_model& request,
                        call::device_lease lease,
                        continuation<protocol::repaired> done) {
  auto era = era_;
  milliseconds timeout{request.timeout_ms};
  struct state {
    call::device_lease devices;
    std::vector<replica_id> whole;
    std::vector<replica_id> lost;
    protocol::repaired kept;
    std::optional<error> problem;
  };
  auto found = std::make_shared<state>();
  found->devices = std::move(lease);
  auto patience = std::min(job_.rejoin_timeout, timeout);
  auto all_ids = ids();
  auto judge = [=, this](const result<std::vector<ack>>&) {
    if (found->problem)
      return done(fail(*found->problem));
    auto next = [=, this](const result<std::vector<ack>>& loaded) {
      if (!loaded)
        return done(fail(loaded.error()));
      if (auto now = check_era(era); !now)
        return done(fail(now.error()));
      // Those that are made anew ask for theirs.
      found->devices = nullptr;
      replace(request, std::move(found->lost), std::move(found->kept), done);
    };
    if (!request.load_all)
      return next({});
    ask_these<ack>(found->whole, with_grace(timeout),
                   protocol::run_checkpoint{true, request.checkpoint,
                                            request.timeout_ms},
                   next, found->devices);
  };
  auto all = std::make_shared<call::gather<ack>>(all_ids.size(), judge);
  auto together = calls_.collect();
  for (std::size_t i = 0; i < all_ids.size(); ++i) {
    auto id = all_ids[i];
    auto whom = members_.at(id).actor;
    auto time_left = rejoin_steps * with_grace(patience);
    auto heard = [=, this](result<manifests> x) {
      keep_while_busy(found->devices, whom, time_left, x);
      if (x) {
        found->whole.push_back(id);
        std::move(x->items.begin(), x->items.end(),
                  std::back_inserter(found->kept.members.items));
      } else if (x.error().code() == errc::lost
                 || x.error().code() == errc::unavailable) {
        // Gone, or never set up.
        found->lost.push_back(id);
      } else if (!found->problem) {
        found->problem = x.error();
      }
      all->set(i, ack{});
    };
    calls_.ask<manifests>(whom, time_left,
                          protocol::rejoin{request.scope, call::to_ms(patience),
                                           request.load_all, request.attempt},
                          heard);
  }
}

void dist_model::replace(const protocol::repair_model& request,
                         std::vector<replica_id> lost, protocol::repaired kept,
                         continuation<protocol::repaired> done) {
  if (lost.empty())
    return done(std::move(kept));
  std::ranges::sort(lost);
  const auto& name = job_.spec.name;
  if (request.drop && lost.size() < members_.size()) {
    for (auto id : lost) {
      log::info("dist_model", "{} goes on without replica {}", name,
                id.value());
      leave_out(id);
    }
    kept.dropped = std::move(lost);
    return done(std::move(kept));
  }
  auto has_source = !request.checkpoint.empty() || !request.rescue.empty();
  if (request.drop || (request.must_load && !has_source))
    return done(fail(errc::unavailable,
                     fmt::format("{} has lost replica {} and {}", name,
                                 lost.front().value(),
                                 request.drop ? "has no other one"
                                              : "nothing to load it from")));
  auto era = era_;
  auto make = [=, this,
               kept = std::make_shared<protocol::repaired>(std::move(kept))](
                const result<ack>& saved) {
    if (!saved)
      return done(fail(saved.error()));
    if (auto now = check_era(era); !now)
      return done(fail(now.error()));
    for (auto id : lost)
      end_now(id);
    protocol::run_checkpoint load{true, request.checkpoint, request.timeout_ms};
    if (load.directory.empty()) {
      load.directory = request.rescue;
      load.by_peers = true;
    }
    make_ready(lost, load, call::lease_turn::first, [=](result<manifests> x) {
      if (!x)
        return done(fail(x.error()));
      std::move(x->items.begin(), x->items.end(),
                std::back_inserter(kept->members.items));
      kept->made_anew = lost;
      done(std::move(*kept));
    });
  };
  if (!request.checkpoint.empty() || request.rescue.empty())
    return make(ack{});
  protocol::run_checkpoint save{false, request.rescue, request.timeout_ms,
                                true};
  // Without a lease: the ranks that are left are not joined.
  ask_these<ack>(lost, with_grace(milliseconds{request.timeout_ms}), save,
                 [make](const result<std::vector<ack>>& x) {
                   make(x.map([](auto&&) { return ack{}; }));
                 });
}

void dist_model::end_now(replica_id id) {
  auto& x = members_.at(id).actor;
  if (x) {
    send_exit(x, caf::exit_reason::user_shutdown);
    calls_.route(x, {});
  }
  x = protocol::replica_actor{};
  members_.at(id).devices.clear();
}

void dist_model::leave_out(replica_id id) {
  // Its workers close when it ends.
  end_now(id);
  const auto& seats = members_.at(id).seats;
  for (std::size_t i = 0; i < seats.size(); ++i) {
    auto node = static_cast<std::size_t>(seats[i].node.value());
    rank_id rank{static_cast<std::int32_t>(i)};
    if (node < around_.nodes.size())
      send(around_.nodes[node],
           protocol::worker_removed{{job_.spec.name, id, rank}});
  }
  members_.erase(id);
}

// -- more or fewer -------------------------------------------------------------

result<void> dist_model::check(const protocol::change_replicas& request) const {
  auto invalid = [&](std::string_view what, replica_id id) {
    return fail(errc::invalid, fmt::format("{} {} replica {}", job_.spec.name,
                                           what, id.value()));
  };
  for (const auto& x : request.add) {
    if (members_.count(x.id) > 0 || x.id.value() < 0)
      return invalid("cannot have another", x.id);
    if (x.ranks.size() != static_cast<std::size_t>(job_.spec.parallel.world()))
      return invalid("needs other ranks for", x.id);
  }
  for (auto id : request.remove)
    if (members_.count(id) == 0)
      return invalid("has no", id);
  if (members_.size() + request.add.size() <= request.remove.size())
    return fail(errc::invalid,
                fmt::format("{} would have no replica", job_.spec.name));
  return {};
}

void dist_model::change(const protocol::change_replicas& request,
                        continuation<manifests> done) {
  if (auto sound = check(request); !sound)
    return done(fail(sound.error()));
  std::vector<replica_id> fresh;
  for (const auto& x : request.add) {
    members_[x.id].seats = x.ranks;
    members_[x.id].on_trial = true;
    fresh.push_back(x.id);
  }
  auto finish = [=, this, era = era_](result<manifests> x) {
    if (auto now = check_era(era); !now)
      return done(fail(now.error()));
    if (!x) {
      for (auto id : fresh)
        leave_out(id);
      return done(fail(x.error()));
    }
    for (auto id : request.remove)
      leave_out(id);
    done(std::move(x));
  };
  make_ready(fresh, {true, {}, request.timeout_ms}, call::lease_turn::last,
             finish);
}

} // namespace troupe::model
