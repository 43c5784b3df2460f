// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/lease_book.hpp"

#include <algorithm>
#include <utility>

namespace troupe::model {

bool lease_book::ask(std::uint64_t number, std::string owner,
                     std::set<std::string> devices, bool first) {
  auto same = [=](const entry& x) { return x.number == number; };
  if (std::any_of(entries_.begin(), entries_.end(), same))
    return false;
  auto passed = [](const entry& x) { return !x.holds && !x.first; };
  auto at = first ? std::find_if(entries_.begin(), entries_.end(), passed)
                  : entries_.end();
  entries_.insert(at,
                  {number, std::move(owner), std::move(devices), first, false});
  return true;
}

void lease_book::end(std::uint64_t number) {
  entries_.remove_if([=](const entry& x) { return x.number == number; });
}

std::vector<lease_book::position> lease_book::blockers_of(position x) const {
  std::vector<position> out;
  auto shares = [&](position other) {
    return std::any_of(x->devices.begin(), x->devices.end(),
                       [&](const auto& device) {
                         return other->devices.count(device) > 0;
                       });
  };
  // Whoever waits for what its owner has will not get it before this ends.
  auto has_all = [&] {
    return std::all_of(x->devices.begin(), x->devices.end(),
                       [&](const auto& device) {
                         return std::any_of(entries_.begin(), entries_.end(),
                                            [&](const entry& y) {
                                              return y.holds
                                                     && y.owner == x->owner
                                                     && y.devices.count(device)
                                                          > 0;
                                            });
                       });
  };
  if (x->first && has_all())
    return out;
  auto earlier = true;
  for (auto i = entries_.begin(); i != entries_.end(); ++i) {
    if (i == x)
      earlier = false;
    else if ((i->holds ? i->owner != x->owner : earlier) && shares(i))
      out.push_back(i);
  }
  return out;
}

std::vector<std::uint64_t> lease_book::begin() {
  std::vector<std::uint64_t> out;
  for (auto i = entries_.begin(); i != entries_.end(); ++i) {
    if (i->holds)
      continue;
    i->holds = blockers_of(i).empty();
    if (i->holds)
      out.push_back(i->number);
  }
  return out;
}

std::vector<std::string> lease_book::blockers(std::uint64_t number) const {
  std::vector<std::string> out;
  auto mine = std::find_if(entries_.begin(), entries_.end(),
                           [=](const entry& x) { return x.number == number; });
  if (mine == entries_.end() || mine->holds)
    return out;
  for (auto x : blockers_of(mine))
    if (std::count(out.begin(), out.end(), x->owner) == 0)
      out.push_back(x->owner);
  return out;
}

} // namespace troupe::model
