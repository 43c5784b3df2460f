// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/dist_model.hpp"

#include <algorithm>

#include <caf/actor_cast.hpp>
#include <fmt/core.h>

#include "troupe/actors/call/grace.hpp"
#include "troupe/actors/model/relay.hpp"

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
  // nop
}

const char* dist_model::name() const {
  return "dist_model";
}

protocol::replica_spec dist_model::spec_of(std::size_t replica) const {
  protocol::replica_spec x;
  x.model = job_.spec.name;
  x.id = replica_id{static_cast<std::int32_t>(replica)};
  x.num_replica = job_.spec.num_replica;
  const auto& sizes = job_.spec.parallel;
  x.tensor = sizes.tensor;
  x.pipeline = sizes.pipeline;
  x.data = sizes.data;
  x.context = sizes.context;
  x.expert = sizes.expert;
  x.isolated = job_.spec.isolated;
  x.config = job_.config;
  x.seed = job_.seed;
  x.num_threads = job_.num_threads;
  x.collective_timeout_ms = call::to_ms(job_.collective_timeout);
  for (const auto& place : job_.place.replicas[replica].ranks) {
    protocol::rank_seat seat{place.node, -1};
    if (!place.devices.empty()) {
      auto node = static_cast<std::size_t>(place.node.value());
      auto before = std::int32_t{0};
      for (std::size_t i = 0; i < node; ++i)
        before += around_.devices_per_node[i];
      seat.device = place.devices.front().value() - before;
    }
    x.ranks.push_back(seat);
  }
  return x;
}

void dist_model::make_replicas(milliseconds timeout, continuation<ack> done) {
  replicas_.resize(job_.place.replicas.size());
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < replicas_.size(); ++i)
    if (!replicas_[i])
      missing.push_back(i);
  auto all = std::make_shared<call::gather<ack>>(missing.size(),
                                                 [done = std::move(done)](
                                                   result<std::vector<ack>> x) {
                                                   done(x.map([](auto&&) {
                                                     return ack{};
                                                   }));
                                                 });
  for (std::size_t index = 0; index < missing.size(); ++index) {
    auto i = missing[index];
    auto spec = spec_of(i);
    auto node = static_cast<std::size_t>(spec.ranks.front().node.value());
    protocol::make_replica request{std::move(spec),
                                   caf::actor_cast<protocol::dist_model_actor>(
                                     this)};
    calls_.ask<protocol::made_replica>(around_.nodes[node], timeout,
                                       std::move(request),
                                       [=, this](
                                         result<protocol::made_replica> x) {
                                         if (!x)
                                           return all->set(index,
                                                           fail(x.error()));
                                         replicas_[i] = x->replica;
                                         all->set(index, ack{});
                                       });
  }
}

void dist_model::set_up(milliseconds timeout,
                        continuation<protocol::manifests> done) {
  make_replicas(timeout, [=, this](const result<ack>& made) {
    if (!made)
      return done(fail(made.error()));
    protocol::set_up request{static_cast<std::uint32_t>(timeout.count())};
    ask_all<protocol::manifests>(with_grace(request.timeout_ms), request,
                                 [done](
                                   result<std::vector<protocol::manifests>> y) {
                                   if (y)
                                     done(join(std::move(*y)));
                                   else
                                     done(fail(y.error()));
                                 });
  });
}

template <class Reply, class Message>
void dist_model::ask_all(milliseconds timeout, const Message& message,
                         continuation<std::vector<Reply>> done) {
  auto all = std::make_shared<call::gather<Reply>>(replicas_.size(),
                                                   std::move(done));
  for (std::size_t i = 0; i < replicas_.size(); ++i)
    calls_.ask<Reply>(replicas_[i], timeout, message,
                      [all, i](result<Reply> x) { all->set(i, std::move(x)); });
}

template <class Reply, class Request>
void dist_model::relay(const Request& request, continuation<Reply> done) {
  auto shares = cut<replica_id>(request, [](const protocol::worker_name& to) {
    return to.replica;
  });
  for (const auto& [id, share] : shares)
    if (id.value() < 0
        || static_cast<std::size_t>(id.value()) >= replicas_.size())
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
  for (auto& [id, share] : shares) {
    auto timeout = with_grace(share.timeout_ms);
    calls_.ask<Reply>(replicas_[static_cast<std::size_t>(id.value())], timeout,
                      std::move(share), [all, index](result<Reply> x) {
                        all->set(index, std::move(x));
                      });
    ++index;
  }
}

void dist_model::invoke(const protocol::invoke& request,
                        continuation<protocol::invoked> done) {
  if (replicas_.empty())
    return done(
      fail(errc::unavailable, fmt::format("{} is not set up", job_.spec.name)));
  std::vector<process::batch_ref> inputs(replicas_.size(), request.input);
  auto rows = request.input.rows();
  if (rows > 0) {
    // Fewer rows than replicas: the others have nothing to do.
    auto parts = std::min(replicas_.size(), static_cast<std::size_t>(rows));
    auto split = around_.store->split(request.input, parts, request.scope,
                                      deadline::after(
                                        milliseconds{request.timeout_ms}));
    if (!split)
      return done(fail(split.error()));
    inputs = std::move(*split);
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
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    auto share = request;
    share.input = std::move(inputs[i]);
    calls_.ask<protocol::invoked>(replicas_[i], with_grace(timeout_ms),
                                  std::move(share),
                                  [all, i](result<protocol::invoked> x) {
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
      relay<ack>(x, [out](auto y) { out.deliver(std::move(y)); });
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
