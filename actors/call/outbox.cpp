// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/call/outbox.hpp"

#include <utility>

#include <caf/actor_cast.hpp>

namespace troupe::call {

void outbox::route(const caf::actor_addr& target, std::vector<caf::actor> via) {
  if (via.empty())
    routes_.erase(target);
  else
    routes_.insert_or_assign(target, std::move(via));
}

const std::vector<caf::actor>*
outbox::route_to(const caf::actor_addr& target) const {
  auto i = routes_.find(target);
  return i == routes_.end() ? nullptr : &i->second;
}

void outbox::add(protocol::parcel x, taker take) {
  auto next = std::move(x.via.front());
  x.via.erase(x.via.begin());
  auto& there = waiting_[caf::actor_cast<caf::actor_addr>(next)];
  there.next = std::move(next);
  there.bundle.items.push_back(std::move(x));
  there.takers.push_back(std::move(take));
}

std::vector<outbox::departure> outbox::leave() {
  std::vector<departure> out;
  if (held_ > 0)
    return out;
  for (auto& [address, x] : std::exchange(waiting_, {}))
    out.push_back(std::move(x));
  return out;
}

void outbox::clear() {
  waiting_.clear();
  routes_.clear();
}

} // namespace troupe::call
