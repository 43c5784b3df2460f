// SPDX-License-Identifier: Apache-2.0
// How a replica comes to its workers: node, host, worker, one after the other;
// and what their hosts tell of them.
#include <map>
#include <memory>

#include <caf/actor_cast.hpp>
#include <fmt/core.h>

#include "troupe/actors/call/gather.hpp"
#include "troupe/actors/call/grace.hpp"
#include "troupe/actors/model/late_answer.hpp"
#include "troupe/actors/model/relay.hpp"
#include "troupe/actors/model/replica.hpp"

namespace troupe::model {

namespace {

using call::to_ms;
using protocol::ack;
using std::chrono::milliseconds;

milliseconds with_grace(milliseconds x) {
  return call::with_grace(x, call::layer::replica);
}

} // namespace

void replica::start_worker(std::size_t rank, milliseconds timeout,
                           continuation<ack> done) {
  auto failed = [=, this](const error& why) {
    done(fail(report(rank, "start", late_or(why, "start", timeout))));
  };
  reach_node(spec_.ranks[rank].node, timeout,
             [=, this](const result<protocol::node_actor>& node) {
               if (!node)
                 return failed(node.error());
               nodes_[spec_.ranks[rank].node] = *node;
               acquire_host(*node, rank, timeout,
                            [=, this](const result<ack>& acquired) {
                              if (!acquired)
                                return failed(acquired.error());
                              make_worker(rank, timeout,
                                          [=](const result<ack>& made) {
                                            if (!made)
                                              return failed(made.error());
                                            done(ack{});
                                          });
                            });
             });
}

void replica::reach_node(node_id node, milliseconds timeout,
                         continuation<protocol::node_actor> done) {
  if (node == around_.here)
    return done(around_.node);
  if (!around_.others)
    return done(
      fail(errc::unavailable,
           fmt::format("nobody knows the way to node {}", node.value())));
  calls_.ask<protocol::found_node>(around_.others, with_grace(timeout),
                                   protocol::find_node{node, to_ms(timeout)},
                                   [done](result<protocol::found_node> x) {
                                     if (!x)
                                       return done(fail(x.error()));
                                     done(x->node);
                                   });
}

void replica::acquire_host(const protocol::node_actor& node, std::size_t rank,
                           milliseconds timeout, continuation<ack> done) {
  protocol::acquire_host request;
  request.timeout_ms = to_ms(timeout);
  request.worker = worker_name(rank);
  request.from = around_.here;
  request.device = spec_.ranks[rank].device;
  if (request.device < 0)
    request.kind = protocol::host_kind::cpu;
  if (spec_.isolated)
    request.isolated_for = fmt::format("{}/{}", spec_.model, spec_.id.value());
  auto keep = [=, this](result<protocol::acquired_host> x) {
    if (!x)
      return done(fail(x.error()));
    hosts_[rank] = x->host;
    controls_[rank] = x->control;
    send(node, protocol::worker_placed{x->host, worker_name(rank)});
    done(ack{});
  };
  calls_.ask<protocol::acquired_host>(node, with_grace(timeout), request,
                                      [=, this](
                                        result<protocol::acquired_host> x) {
                                        if (!x || x->control)
                                          return keep(std::move(x));
                                        reach_host(std::move(*x), timeout,
                                                   keep);
                                      });
}

void replica::reach_host(protocol::acquired_host found, milliseconds timeout,
                         continuation<protocol::acquired_host> done) {
  auto host = found.host;
  calls_.ask<
    protocol::found_host>(around_.others, with_grace(timeout),
                          protocol::find_host{host, to_ms(timeout)},
                          [=](result<protocol::found_host> x) {
                            if (!x)
                              return done(fail(x.error()));
                            done(protocol::acquired_host{host, x->control});
                          });
}

void replica::make_worker(std::size_t rank, milliseconds timeout,
                          continuation<ack> done) {
  auto keep = [=, this](result<protocol::started_worker> x) {
    if (!x)
      return done(fail(x.error()));
    workers_[rank] = x->worker;
    movers_[rank] = x->mover;
    devices_[rank] = x->device;
    // Also notice the end of a worker that nobody is calling.
    calls_.watch(workers_[rank], [=, this](const error& reason) {
      if (!closing_)
        static_cast<void>(report(rank, "idle", reason));
    });
    done(ack{});
  };
  calls_.ask<protocol::started_worker>(controls_[rank], timeout,
                                       protocol::start_worker{
                                         worker_spec(rank)},
                                       keep);
}

void replica::find_routes() {
  if (!around_.far_hosts)
    return;
  std::map<node_id, int> on_node;
  std::map<protocol::host_name, int> in_host;
  for (const auto& x : hosts_) {
    ++on_node[x.node];
    ++in_host[x];
  }
  for (std::size_t rank = 0; rank < world(); ++rank) {
    const auto& host = hosts_[rank];
    std::vector<caf::actor> via;
    if (host.node != around_.here && on_node[host.node] > 1)
      via.push_back(caf::actor_cast<caf::actor>(nodes_[host.node]));
    if (in_host[host] > 1)
      via.push_back(caf::actor_cast<caf::actor>(controls_[rank]));
    calls_.route(workers_[rank], via);
    calls_.route(movers_[rank], via);
  }
}

// -- what they do --------------------------------------------------------------

void replica::get_operations(milliseconds timeout,
                             continuation<protocol::operations> done) {
  using protocol::host_status;
  using protocol::operations;
  // Each host once, whatever number of our ranks it holds.
  std::map<protocol::host_name, std::size_t> first;
  for (std::size_t rank = 0; rank < world(); ++rank)
    if (controls_[rank])
      first.emplace(hosts_[rank], rank);
  auto all = std::make_shared<
    call::gather<operations>>(first.size(),
                              [done](result<std::vector<operations>> x) {
                                // None of the parts below is an error.
                                done(x.map([](auto&& parts) {
                                  return join(std::move(parts));
                                }));
                              });
  std::size_t index = 0;
  for (const auto& [host, rank] : first) {
    calls_.ask<host_status>(controls_[rank], timeout,
                            protocol::get_host_status{},
                            [=, this, host = host](result<host_status> x) {
                              operations out;
                              if (x) {
                                for (auto& y : x->workers)
                                  if (y.worker.model == spec_.model
                                      && y.worker.replica == spec_.id)
                                    out.items.push_back(std::move(y));
                              } else {
                                auto age = static_cast<std::uint64_t>(
                                  timeout.count());
                                for (std::size_t i = 0; i < world(); ++i)
                                  if (hosts_[i] == host)
                                    out.items.push_back(
                                      {worker_name(i),
                                       x.error().code() == errc::timed_out
                                         ? "its process does not answer"
                                         : x.error().message(),
                                       age, true});
                              }
                              all->set(index, std::move(out));
                            });
    ++index;
  }
}

} // namespace troupe::model
