// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/neighbours.hpp"

#include <caf/actor_cast.hpp>
#include <fmt/core.h>

#include "troupe/actors/process/host_types.hpp"

namespace troupe::node {

namespace {

protocol::host_name name_of_node(node_id x) {
  return {x, process::node_slot, incarnation{}};
}

bool is_node(const protocol::host_name& x) {
  return x.slot == process::node_slot;
}

} // namespace

neighbours::neighbours(caf::actor_config& config, neighbourhood around)
  : protocol::neighbours_actor::base(config),
    around_(std::move(around)),
    calls_(this) {
  // nop
}

const char* neighbours::name() const {
  return "neighbours";
}

void neighbours::on_exit() {
  // Owed answers hold us, and tunnels end with their last owner.
  entries_.clear();
}

void neighbours::find(
  const key& whom, milliseconds timeout,
  std::function<void(const result<caf::strong_actor_ptr>&)> done) {
  auto index = static_cast<std::size_t>(whom.node.value());
  if (whom.node.value() < 0 || index >= around_.gates.size())
    return done(fail(errc::invalid,
                     fmt::format("the job has no node {}", whom.node.value())));
  auto& x = entries_[whom];
  if (x.found)
    return done(x.found);
  x.waiting.push_back(std::move(done));
  if (x.waiting.size() > 1)
    return;
  open_way request;
  request.gate = around_.gates[index];
  request.identity = around_.identity;
  request.slot = whom.slot;
  request.timeout_ms = static_cast<std::uint32_t>(timeout.count());
  calls_.ask<way>(spawn<connector, caf::detached>(),
                  timeout + milliseconds{500}, request,
                  [=, this](result<way> got) {
                    if (!got)
                      return settle(whom, fail(got.error().within(
                                            to_string(around_.gates[index]))));
                    entries_[whom].tunnel = std::move(got->tunnel);
                    if (is_node(whom))
                      return knock(whom, got->found, timeout);
                    settle(whom, got->found);
                  });
}

void neighbours::knock(const key& whom, const caf::strong_actor_ptr& door,
                       milliseconds timeout) {
  calls_
    .ask<protocol::found_node>(caf::actor_cast<protocol::node_door_actor>(door),
                               timeout, protocol::get_node{around_.job},
                               [=, this](result<protocol::found_node> x) {
                                 if (!x)
                                   return settle(whom, fail(x.error()));
                                 settle(whom,
                                        caf::actor_cast<caf::strong_actor_ptr>(
                                          x->node));
                               });
}

void neighbours::settle(const key& whom,
                        const result<caf::strong_actor_ptr>& found) {
  auto i = entries_.find(whom);
  if (i == entries_.end())
    return;
  auto waiting = std::exchange(i->second.waiting, {});
  if (found) {
    i->second.found = *found;
    // The next one who asks gets another way.
    calls_.watch(caf::actor_cast<caf::actor>(*found),
                 [this, whom](const error&) { entries_.erase(whom); });
  } else {
    entries_.erase(i);
  }
  for (const auto& done : waiting)
    done(found);
}

neighbours::behavior_type neighbours::make_behavior() {
  using namespace protocol;
  return {
    [this](const find_node& x) {
      call::reply<found_node> out{make_response_promise<found_node>()};
      find(name_of_node(x.node), milliseconds{x.timeout_ms},
           [out](const result<caf::strong_actor_ptr>& y) {
             if (!y)
               return out.deliver(fail(y.error()));
             out.deliver(found_node{caf::actor_cast<node_actor>(*y)});
           });
      return out.promise();
    },
    [this](const find_host& x) {
      call::reply<found_host> out{make_response_promise<found_host>()};
      find(x.host, milliseconds{x.timeout_ms},
           [out](const result<caf::strong_actor_ptr>& y) {
             if (!y)
               return out.deliver(fail(y.error()));
             out.deliver(found_host{caf::actor_cast<host_actor>(*y)});
           });
      return out.promise();
    },
  };
}

} // namespace troupe::node
