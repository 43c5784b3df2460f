// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/replica.hpp"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "troupe/actors/call/grace.hpp"
#include "troupe/actors/model/late_answer.hpp"
#include "troupe/actors/model/relay.hpp"
#include "troupe/actors/model/worker_state.hpp"
#include "troupe/actors/protocol/rendezvous.hpp"

namespace troupe::model {

namespace {

using call::to_ms;
using protocol::ack;
using std::chrono::milliseconds;

milliseconds from_ms(std::uint32_t x) {
  return milliseconds{x};
}

milliseconds with_grace(milliseconds x) {
  return call::with_grace(x, call::layer::replica);
}

/// Whether ranks may wait for each other in it, on devices that the model has
/// asked for. Whoever keeps those must not wait for a disk; syncs ask for their
/// own.
template <class Message>
bool may_talk(const Message&) {
  return true;
}

bool may_talk(const protocol::transfer&) {
  return false;
}

bool may_talk(const protocol::sync_order&) {
  return false;
}

bool may_talk(const protocol::run_checkpoint& x) {
  return x.load;
}

template <class T>
result<T> answer_of(const protocol::worker_name&, result<T> x) {
  return x;
}

/// In a sync each rank answers for itself.
result<protocol::sync_standings> answer_of(const protocol::worker_name& rank,
                                           result<protocol::sync_standings> x) {
  if (x)
    return x;
  protocol::sync_standing out;
  out.from = rank;
  out.failed = true;
  out.why = x.error();
  return protocol::sync_standings{{std::move(out)}};
}

planner::parallel_layout layout_of(const protocol::replica_spec& spec) {
  planner::parallel_sizes sizes;
  sizes.tensor = spec.tensor;
  sizes.pipeline = spec.pipeline;
  sizes.data = spec.data;
  sizes.context = spec.context;
  sizes.expert = spec.expert;
  // The planner has refused sizes that do not make a layout.
  return planner::parallel_layout::make(sizes, planner::rank_order::megatron)
    .value();
}

} // namespace

replica::replica(caf::actor_config& config, protocol::replica_spec spec,
                 replica_surroundings around, protocol::dist_model_actor owner)
  : protocol::replica_actor::base(config),
    spec_(std::move(spec)),
    around_(std::move(around)),
    layout_(layout_of(spec_)),
    calls_(this) {
  workers_.resize(world());
  movers_.resize(world());
  controls_.resize(world());
  hosts_.resize(world());
  devices_.resize(world());
  // Nobody's process until one is acquired.
  for (auto& x : hosts_)
    x.slot = -1;
  calls_.watch(owner, [this](const error&) {
    closing_ = true;
    quit(caf::exit_reason::user_shutdown);
  });
}

const char* replica::name() const {
  return "replica";
}

void replica::on_exit() {
  // Node and replica hold each other.
  around_ = replica_surroundings{};
  nodes_.clear();
  // A promise holds us.
  waiting_.clear();
}

std::size_t replica::world() const noexcept {
  return spec_.ranks.size();
}

protocol::worker_name replica::worker_name(std::size_t rank) const {
  return {spec_.model, spec_.id, rank_id{static_cast<std::int32_t>(rank)}};
}

protocol::worker_spec replica::worker_spec(std::size_t rank) const {
  protocol::worker_spec x;
  x.name = worker_name(rank);
  x.num_replica = spec_.num_replica;
  x.tensor = spec_.tensor;
  x.pipeline = spec_.pipeline;
  x.data = spec_.data;
  x.context = spec_.context;
  x.expert = spec_.expert;
  x.device = spec_.ranks[rank].device;
  x.config = spec_.config;
  x.seed = spec_.seed;
  x.memory = spec_.memory;
  x.weights_return = spec_.weights_return;
  x.num_threads = spec_.num_threads;
  x.collective_timeout_ms = spec_.collective_timeout_ms;
  return x;
}

template <class Reply, class Handle, class Message>
void replica::ask_one(const Handle& target, std::size_t rank,
                      const round_ptr& asked, milliseconds timeout,
                      Message message, continuation<Reply> done) {
  auto counts = may_talk(message);
  owed_ += counts;
  asked->missing.insert(rank);
  calls_.ask<Reply>(target, with_grace(timeout), std::move(message),
                    [this, rank, asked, timeout, counts,
                     done = std::move(done)](result<Reply> x) {
                      asked->missing.erase(rank);
                      // What was asked before a failure is of no interest.
                      if (!x && asked->era == era_) {
                        x = fail(report(rank, *asked,
                                        late_or(x.error(), asked->operation,
                                                timeout)));
                        note_failure(asked, x.error());
                      }
                      done(std::move(x));
                      // What comes next has been asked by now.
                      owed_ -= counts;
                      if (owed_ == 0)
                        for (const auto& told : std::exchange(waiting_, {}))
                          told.deliver(ack{});
                    });
}

void replica::await_ranks(call::reply<ack> out) {
  if (owed_ == 0)
    return out.deliver(ack{});
  waiting_.push_back(std::move(out));
}

template <class Reply, class Message>
void replica::ask(std::size_t rank, const round_ptr& asked,
                  milliseconds timeout, Message message,
                  continuation<Reply> done) {
  ask_one<Reply>(workers_[rank], rank, asked, timeout, std::move(message),
                 std::move(done));
}

template <class Reply, class Message>
void replica::ask_all(const std::string& operation, milliseconds timeout,
                      const Message& message,
                      continuation<std::vector<Reply>> done) {
  auto all = std::make_shared<call::gather<Reply>>(world(), std::move(done));
  auto asked = begin_round(operation);
  auto together = calls_.collect();
  for (std::size_t rank = 0; rank < world(); ++rank)
    ask<Reply>(rank, asked, timeout, message,
               [all, rank](result<Reply> x) { all->set(rank, std::move(x)); });
}

template <class Reply, class Request>
void replica::relay(const std::string& operation, const Request& request,
                    continuation<Reply> done) {
  relay_to<Reply>(workers_, begin_round(operation), request, std::move(done));
}

template <class Reply, class Handle, class Request>
void replica::relay_to(const std::vector<Handle>& targets,
                       const round_ptr& asked, const Request& request,
                       continuation<Reply> done) {
  auto shares = cut<rank_id>(request, [](const protocol::worker_name& to) {
    return to.rank;
  });
  for (const auto& [rank, share] : shares)
    if (rank.value() < 0 || static_cast<std::size_t>(rank.value()) >= world())
      return done(fail(errc::invalid,
                       fmt::format("{} replica {} has no rank {}", spec_.model,
                                   spec_.id.value(), rank.value())));
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
  for (auto& [rank, share] : shares) {
    auto timeout = from_ms(share.timeout_ms);
    auto at = static_cast<std::size_t>(rank.value());
    ask_one<Reply>(targets[at], at, asked, timeout, std::move(share),
                   [all, index, name = worker_name(at)](result<Reply> x) {
                     all->set(index, answer_of(name, std::move(x)));
                   });
    ++index;
  }
}

// -- set-up --------------------------------------------------------------------

void replica::join_ranks(milliseconds timeout, continuation<ack> done) {
  if (world() == 1)
    return done(ack{});
  auto one_process = std::ranges::all_of(hosts_, [&](const auto& x) {
    return x == hosts_.front();
  });
  protocol::open_groups seats;
  seats.timeout_ms = to_ms(timeout);
  auto add = [&](const std::string& group, const planner::rank_group& members) {
    for (std::size_t i = 0; i < members.size(); ++i)
      seats.items.push_back(
        {worker_name(static_cast<std::size_t>(members[i].value())), group,
         one_process ? "inproc" : "gloo", protocol::seat_kind::member,
         rank_id{static_cast<std::int32_t>(i)},
         static_cast<std::int32_t>(members.size())});
  };
  planner::rank_group everyone;
  for (std::size_t i = 0; i < world(); ++i)
    everyone.emplace_back(static_cast<std::int32_t>(i));
  add(world_group(worker_name(0)), everyone);
  if (layout_.size(planner::dimension::data) > 1
      && layout_.size(planner::dimension::data) < layout_.world())
    for (const auto& group : layout_.groups(planner::dimension::data)) {
      auto rank = static_cast<std::size_t>(group.front().value());
      add(data_parallel_group(worker_name(rank), worker_spec(rank)), group);
    }
  relay<
    protocol::group_addresses>("open groups", seats,
                               [=, this](
                                 result<protocol::group_addresses> addresses) {
                                 if (!addresses)
                                   return done(fail(addresses.error()));
                                 relay<ack>("connect groups",
                                            protocol::introduce(seats,
                                                                std::move(
                                                                  *addresses)),
                                            done);
                               });
}

void replica::start(milliseconds timeout, continuation<ack> done) {
  if (started_)
    return done(ack{});
  auto all = std::make_shared<call::gather<ack>>(world(),
                                                 [=, this](
                                                   result<std::vector<ack>> x) {
                                                   if (!x)
                                                     return done(
                                                       fail(x.error()));
                                                   started_ = true;
                                                   find_routes();
                                                   done(ack{});
                                                 });
  for (std::size_t rank = 0; rank < world(); ++rank)
    start_worker(rank, timeout,
                 [all, rank](result<ack> x) { all->set(rank, std::move(x)); });
}

void replica::set_up(milliseconds timeout,
                     continuation<protocol::manifests> done) {
  using protocol::manifests;
  auto told = [=, this](result<std::vector<manifests>> answers) {
    if (!answers)
      return done(fail(answers.error()));
    complete_all(join(std::move(*answers)), timeout, done);
  };
  start(timeout, [=, this](const result<ack>& started) {
    if (!started)
      return done(fail(started.error()));
    join_ranks(timeout, [=, this](const result<ack>& joined) {
      if (!joined)
        return done(fail(joined.error()));
      ask_all<manifests>("set up", timeout, protocol::set_up{to_ms(timeout)},
                         told);
    });
  });
}

void replica::complete_all(protocol::manifests told, milliseconds timeout,
                           continuation<protocol::manifests> done) {
  auto all = std::make_shared<call::gather<
    protocol::manifests>>(told.items.size(),
                          [done](
                            result<std::vector<protocol::manifests>> whole) {
                            if (whole)
                              done(join(std::move(*whole)));
                            else
                              done(fail(whole.error()));
                          });
  for (auto& x : told.items) {
    auto rank = static_cast<std::size_t>(x.worker.rank.value());
    if (rank < world())
      x.host_device = devices_[rank];
  }
  auto together = calls_.collect();
  for (std::size_t i = 0; i < told.items.size(); ++i)
    complete(std::move(told.items[i]), timeout,
             [all, i](result<protocol::manifests> x) {
               all->set(i, std::move(x));
             });
}

void replica::complete(protocol::worker_manifest manifest, milliseconds timeout,
                       continuation<protocol::manifests> done) {
  auto known = manifest.parameters.size();
  if (known >= manifest.parameter_count)
    return done(protocol::manifests{{std::move(manifest)}});
  auto rank = static_cast<std::size_t>(manifest.worker.rank.value());
  protocol::get_parameters request;
  request.items.push_back({manifest.worker, known});
  request.timeout_ms = to_ms(timeout);
  ask<
    protocol::manifests>(rank, begin_round("set up"), timeout,
                         std::move(request),
                         [=, this, manifest = std::move(manifest)](
                           result<protocol::manifests> x) mutable {
                           if (!x)
                             return done(fail(x.error()));
                           if (x->items.size() != 1
                               || x->items.front().parameters.empty())
                             return done(
                               fail(errc::internal,
                                    fmt::format("{} lists {} of {} parameters",
                                                to_string(manifest.worker),
                                                known,
                                                manifest.parameter_count)));
                           auto& more = x->items.front().parameters;
                           std::move(more.begin(), more.end(),
                                     std::back_inserter(manifest.parameters));
                           complete(std::move(manifest), timeout, done);
                         });
}

// -- weights -------------------------------------------------------------------

void replica::transfer(const protocol::transfer& request,
                       continuation<protocol::transfer_reports> done) {
  auto asked = begin_round("weight sync");
  if (request.on_trial)
    asked->tried = begin_trial(request);
  else
    trials_.erase(request.program);
  relay_to<protocol::transfer_reports>(movers_, asked, request,
                                       std::move(done));
}

// -- calls ---------------------------------------------------------------------

void replica::invoke(const protocol::invoke& request,
                     continuation<protocol::invoked> done) {
  using planner::dimension;
  auto parts = static_cast<std::size_t>(layout_.size(dimension::data));
  std::vector<process::batch_ref> inputs;
  if (request.input.rows() > 0 && parts > 1) {
    auto split = request.input.split(parts);
    if (!split)
      return done(fail(split.error()));
    inputs = std::move(*split);
  } else {
    inputs.assign(parts, request.input);
  }
  auto timeout = from_ms(request.timeout_ms);
  auto layout = layout_;
  auto all = std::make_shared<call::gather<
    protocol::invoked>>(world(), [layout,
                                  done = std::move(done)](
                                   result<std::vector<protocol::invoked>>
                                     answers) {
    if (!answers)
      return done(fail(answers.error()));
    // Of the ranks that saw the same rows the first of the last pipeline
    // stage speaks; ranks are walked in data order.
    std::vector<protocol::rank_time> times;
    for (const auto& x : *answers)
      times.insert(times.end(), x.times.begin(), x.times.end());
    std::vector<protocol::invoked> spoken;
    for (std::int32_t data = 0; data < layout.size(dimension::data); ++data) {
      planner::parallel_layout::coordinates at;
      at.at(dimension::data) = data;
      at.at(dimension::pipeline) = layout.size(dimension::pipeline) - 1;
      auto rank = layout.rank_at(at);
      spoken.push_back(
        std::move((*answers)[static_cast<std::size_t>(rank.value().value())]));
    }
    auto joined = join(std::move(spoken));
    joined.times = std::move(times);
    done(std::move(joined));
  });
  auto asked = begin_round(request.function);
  auto together = calls_.collect();
  for (std::size_t rank = 0; rank < world(); ++rank) {
    protocol::invoke share{request.function,
                           {},
                           request.scope,
                           request.timeout_ms};
    auto data = layout_.coordinates_of(rank_id{static_cast<std::int32_t>(rank)})
                  .at(dimension::data);
    share.input = inputs[static_cast<std::size_t>(data)];
    ask<protocol::invoked>(rank, asked, timeout, std::move(share),
                           [all, rank](result<protocol::invoked> x) {
                             all->set(rank, std::move(x));
                           });
  }
}

replica::behavior_type replica::make_behavior() {
  using namespace protocol;
  auto owe = [this]<class T>(T*) {
    return call::reply<T>{make_response_promise<T>()};
  };
  auto owe_ack = [=] { return owe(static_cast<ack*>(nullptr)); };
  return {
    [=, this](const start_ranks& x) {
      auto out = owe(static_cast<started_ranks*>(nullptr));
      start(from_ms(x.timeout_ms), [=, this](const result<ack>& y) {
        out.deliver(y.map([this](auto&&) { return started_ranks{devices_}; }));
      });
      return out.promise();
    },
    [=, this](const protocol::await_ranks&) {
      auto out = owe_ack();
      await_ranks(out);
      return out.promise();
    },
    [=, this](const protocol::set_up& x) {
      auto out = owe(static_cast<manifests*>(nullptr));
      set_up(from_ms(x.timeout_ms), [=, this](result<manifests> y) {
        if (y)
          spec_.on_trial = false;
        out.deliver(std::move(y));
      });
      return out.promise();
    },
    [=, this](const protocol::rejoin& x) {
      auto out = owe(static_cast<manifests*>(nullptr));
      rejoin(x, [out](result<manifests> y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const open_groups& x) {
      auto out = owe(static_cast<group_addresses*>(nullptr));
      relay<group_addresses>("open groups", x,
                             [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const connect_groups& x) {
      auto out = owe_ack();
      // Who is still at it may wait for a rank of the other model.
      auto asked = begin_round("connect groups");
      asked->explained = true;
      relay_to<ack>(workers_, asked, x,
                    [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const close_groups& x) {
      auto out = owe_ack();
      relay<ack>("close groups", x,
                 [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const protocol::invoke& x) {
      auto out = owe(static_cast<invoked*>(nullptr));
      invoke(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const get_parameters& x) {
      auto out = owe(static_cast<manifests*>(nullptr));
      relay<manifests>("set up", x,
                       [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const install_programs& x) {
      auto out = owe_ack();
      relay<ack>("prepare sync", x,
                 [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const sync_order& x) {
      auto out = owe(static_cast<sync_standings*>(nullptr));
      if (x.action == sync_action::own_up) {
        own_up(x.sync);
        out.deliver(sync_standings{});
        return out.promise();
      }
      // An application's hook deserves its name.
      relay<sync_standings>(x.action == sync_action::open
                              ? "on_sync"
                              : fmt::format("sync ({})", to_string(x.action)),
                            x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const protocol::transfer& x) {
      auto out = owe(static_cast<transfer_reports*>(nullptr));
      transfer(x, [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const protocol::get_operations& x) {
      auto out = owe(static_cast<operations*>(nullptr));
      get_operations(from_ms(x.timeout_ms),
                     [out](auto y) { out.deliver(std::move(y)); });
      return out.promise();
    },
    [=, this](const run_checkpoint& x) {
      auto out = owe_ack();
      if (x.by_peers && !x.load) {
        save_by_peers(x, [out](result<ack> y) { out.deliver(std::move(y)); });
        return out.promise();
      }
      ask_all<ack>(x.load ? "load checkpoint" : "save checkpoint",
                   from_ms(x.timeout_ms), x, [out](result<std::vector<ack>> y) {
                     out.deliver(y.map([](auto&&) { return ack{}; }));
                   });
      return out.promise();
    },
    [=, this](const close_model& x) {
      auto out = owe_ack();
      closing_ = true;
      auto all = std::make_shared<
        call::gather<ack>>(world(), [=, this](result<std::vector<ack>>) {
        out.deliver(ack{});
        quit();
      });
      auto asked = begin_round("close");
      auto together = calls_.collect();
      for (std::size_t rank = 0; rank < world(); ++rank)
        ask<ack>(rank, asked, from_ms(x.timeout_ms), x,
                 // A worker that is gone already is closed.
                 [all, rank](const result<ack>&) { all->set(rank, ack{}); });
      return out.promise();
    },
  };
}

} // namespace troupe::model
