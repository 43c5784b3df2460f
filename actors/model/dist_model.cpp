// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/dist_model.hpp"

#include <fmt/core.h>

#include "troupe/actors/call/grace.hpp"
#include "troupe/actors/model/relay.hpp"
#include "troupe/actors/model/replica.hpp"

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

void dist_model::make_replicas() {
  for (auto i = replicas_.size(); i < job_.place.replicas.size(); ++i)
    replicas_.push_back(
      spawn<replica, caf::linked>(job_,
                                  replica_id{static_cast<std::int32_t>(i)},
                                  around_));
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
    auto split = request.input.split(parts);
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
    [=, this](const set_up& x) {
      auto out = owe(static_cast<manifests*>(nullptr));
      make_replicas();
      ask_all<manifests>(with_grace(x.timeout_ms), x,
                         [out](result<std::vector<manifests>> y) {
                           if (y)
                             out.deliver(join(std::move(*y)));
                           else
                             out.deliver(fail(y.error()));
                         });
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
