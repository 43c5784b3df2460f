// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/dist_model.hpp"

#include <algorithm>
#include <set>

#include <caf/actor_cast.hpp>
#include <fmt/core.h>

#include "troupe/actors/call/device_lease.hpp"
#include "troupe/actors/call/grace.hpp"
#include "troupe/actors/model/dist_model_asking.hpp"
#include "troupe/actors/model/relay.hpp"
#include "troupe/actors/model/seats.hpp"

namespace troupe::model {

namespace {

using protocol::ack;
using std::chrono::milliseconds;

milliseconds with_grace(std::uint32_t timeout_ms) {
  return call::with_grace(timeout_ms, call::layer::dist_model);
}

} // namespace

dist_model::dist_model(caf::actor_config& config, model_job job,
                       model_surroundings around)
  : protocol::dist_model_actor::base(config),
    job_(std::move(job)),
    around_(std::move(around)),
    calls_(this) {
  for (std::size_t i = 0; i < job_.place.replicas.size(); ++i)
    members_[replica_id{static_cast<std::int32_t>(i)}]
      .seats = seats_of(job_.place.replicas[i], around_.devices_per_node);
}

const char* dist_model::name() const {
  return "dist_model";
}

template <class Reply, class Message>
void dist_model::ask_all(milliseconds timeout, const Message& message,
                         continuation<std::vector<Reply>> done) {
  // Those that are being made have nothing to say yet.
  std::vector<replica_id> made;
  for (const auto& [id, x] : members_)
    if (x.actor)
      made.push_back(id);
  ask_these<Reply>(made, timeout, message, std::move(done));
}

template <class Reply, class Request>
void dist_model::relay(const Request& request, continuation<Reply> done) {
  auto shares = cut<replica_id>(request, [](const protocol::worker_name& to) {
    return to.replica;
  });
  for (const auto& [id, share] : shares)
    if (members_.count(id) == 0)
      return done(fail(errc::invalid, fmt::format("{} has no replica {}",
                                                  job_.spec.name, id.value())));
  auto all = std::make_shared<
    call::gather<Reply>>(shares.size(), [done = std::move(done)](
                                          result<std::vector<Reply>> answers) {
    if (answers)
      done(join(std::move(*answers)));
    else
      done(fail(answers.error()));
  });
  std::size_t index = 0;
  auto together = calls_.collect();
  for (auto& [id, share] : shares) {
    auto timeout = with_grace(share.timeout_ms);
    calls_.ask<Reply>(members_.at(id).actor, timeout, std::move(share),
                      [all, index](result<Reply> x) {
                        all->set(index, std::move(x));
                      });
    ++index;
  }
}

std::vector<std::string>
dist_model::joined_devices(const std::vector<replica_id>& whose) const {
  std::set<std::string> out;
  for (auto id : whose) {
    auto found = members_.find(id);
    if (found != members_.end() && found->second.devices.size() > 1)
      out.insert(found->second.devices.begin(), found->second.devices.end());
  }
  return {out.begin(), out.end()};
}

void dist_model::await_devices(const std::vector<replica_id>& whose,
                               call::lease_turn where, std::uint32_t timeout_ms,
                               continuation<turn> done) {
  auto devices = joined_devices(whose);
  if (!around_.desk || devices.empty())
    return done(turn{{}, timeout_ms});
  milliseconds timeout{timeout_ms};
  auto asked = clock().now();
  auto have = [=, this, era = era_,
               done = std::move(done)](result<call::device_lease> lease) {
    if (!lease)
      return done(fail(lease.error()));
    if (auto now = check_era(era); !now)
      return done(fail(now.error()));
    auto waited = std::chrono::duration_cast<milliseconds>(clock().now()
                                                           - asked);
    done(turn{std::move(*lease), call::to_ms(timeout - waited)});
  };
  call::lease_devices(calls_, around_.desk, job_.spec.name, std::move(devices),
                      where, timeout, std::move(have));
}

void dist_model::invoke(const protocol::invoke& request,
                        continuation<protocol::invoked> done) {
  await_devices(ids(), call::lease_turn::last, request.timeout_ms,
                [=, this, done = std::move(done)](result<turn> x) {
                  if (!x)
                    return done(fail(x.error()));
                  auto now = request;
                  now.timeout_ms = x->timeout_ms;
                  invoke_now(now, std::move(x->devices), done);
                });
}

void dist_model::load(const protocol::run_checkpoint& request,
                      continuation<ack> done) {
  // Models that share devices load one after the other.
  await_devices(ids(), call::lease_turn::last,
                around_.models * request.timeout_ms,
                [=, this, done = std::move(done)](result<turn> x) {
                  if (!x)
                    return done(fail(x.error()));
                  ask_these<ack>(
                    ids(), with_grace(request.timeout_ms), request,
                    [done](const result<std::vector<ack>>& y) {
                      done(y.map([](auto&&) { return ack{}; }));
                    },
                    x->devices);
                });
}

void dist_model::invoke_now(const protocol::invoke& request,
                            call::device_lease lease,
                            continuation<protocol::invoked> done) {
  if (!ready())
    return done(
      fail(errc::unavailable, fmt::format("{} is not set up", job_.spec.name)));
  auto targets = ids();
  // Whoever gets rows belongs to the model.
  for (auto& [id, x] : members_)
    x.on_trial = false;
  std::vector<process::batch_ref> inputs;
  auto rows = request.input.rows();
  if (rows > 0) {
    // Fewer rows than replicas: the others have nothing to do.
    auto parts = std::min(targets.size(), static_cast<std::size_t>(rows));
    auto split = around_.store->split(request.input, parts, request.scope,
                                      deadline::after(
                                        milliseconds{request.timeout_ms}));
    if (!split)
      return done(fail(split.error()));
    inputs = std::move(*split);
  } else {
    inputs.assign(targets.size(), request.input);
  }
  auto timeout_ms = request.timeout_ms;
  auto finish =
    [this, scope = request.scope, timeout_ms,
     done = std::move(done)](result<std::vector<protocol::invoked>> answers) {
      if (!answers)
        return done(fail(answers.error()));
      auto all = join(std::move(*answers));
      auto settled = around_.store->settle(std::move(all.output), scope,
                                           deadline::after(
                                             milliseconds{timeout_ms}));
      if (!settled)
        return done(fail(settled.error()));
      all.output = std::move(*settled);
      done(std::move(all));
    };
  auto all = std::make_shared<call::gather<protocol::invoked>>(inputs.size(),
                                                               std::move(
                                                                 finish));
  auto together = calls_.collect();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    protocol::invoke share{request.function, std::move(inputs[i]),
                           request.scope, timeout_ms};
    auto whom = members_.at(targets[i]).actor;
    auto timeout = with_grace(timeout_ms);
    calls_.ask<protocol::invoked>(whom, timeout, std::move(share),
                                  // The first failure is answered at once.
                                  [=, this](result<protocol::invoked> x) {
                                    keep_while_busy(lease, whom, timeout, x);
                                    all->set(i, std::move(x));
                                  });
  }
}

dist_model::behavior_type dist_model::make_behavior() {
  using namespace protocol;
  auto owe = [this]<class T>(T*) {
    return call::reply<T>{make_response_promise<T>()};
  };
  auto owe_ack = [=] { return owe(static_cast<ack*>(nullptr)); };
  return {
    [=, this](const protocol::set_up& x) {
      auto out = owe(static_cast<manifests*>(nullptr));
      set_up(milliseconds{x.timeout_ms},
             [out](result<manifests> y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const repair_model& x) {
      auto out = owe(static_cast<repaired*>(nullptr));
      repair(x, [out](result<repaired> y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const change_replicas& x) {
      auto out = owe(static_cast<manifests*>(nullptr));
      change(x, [out](result<manifests> y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const open_groups& x) {
      auto out = owe(static_cast<group_addresses*>(nullptr));
      relay<group_addresses>(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const connect_groups& x) {
      auto out = owe_ack();
      relay<ack>(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const close_groups& x) {
      auto out = owe_ack();
      // A replica that was removed since has closed its own, as has one that is
      // being made anew: neither may keep the others from hearing this.
      auto there = x;
      std::erase_if(there.items, [this](const auto& item) {
        auto i = members_.find(item.to.replica);
        return i == members_.end() || !i->second.actor;
      });
      relay<ack>(there, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const protocol::invoke& x) {
      auto out = owe(static_cast<invoked*>(nullptr));
      invoke(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const get_parameters& x) {
      auto out = owe(static_cast<manifests*>(nullptr));
      relay<manifests>(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const install_programs& x) {
      auto out = owe_ack();
      relay<ack>(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const sync_order& x) {
      auto out = owe(static_cast<sync_standings*>(nullptr));
      relay<sync_standings>(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const transfer& x) {
      auto out = owe(static_cast<transfer_reports*>(nullptr));
      relay<transfer_reports>(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const get_operations& x) {
      auto out = owe(static_cast<operations*>(nullptr));
      ask_all<operations>(with_grace(x.timeout_ms), x,
                          [out](result<std::vector<operations>> y) {
                            if (y)
                              out.deliver(join(std::move(*y)));
                            else
                              out.deliver(fail(y.error()));
                          });
      return out.promise();
    },
    [=, this](const run_checkpoint& x) {
      auto out = owe_ack();
      if (x.load) {
        load(x, [out](result<ack> y) { out.deliver(std::move(y)); });
        return out.promise();
      }
      // Without a lease: the answer comes when the files are written, and calls
      // run meanwhile. So ranks do not talk to each other in a
      // `module::save_checkpoint`.
      ask_all<ack>(with_grace(x.timeout_ms), x,
                   [out](result<std::vector<ack>> y) {
                     out.deliver(y.map([](auto&&) { return ack{}; }));
                   });
      return out.promise();
    },
    [=, this](const close_model& x) {
      auto out = owe_ack();
      ask_all<ack>(with_grace(x.timeout_ms), x,
                   [=, this](const result<std::vector<ack>>&) {
                     out.deliver(ack{});
                     quit();
                   });
      return out.promise();
    },
  };
}

} // namespace troupe::model
