// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/lease_book.hpp"

#include <algorithm>
#include <utility>

namespace troupe::model {

bool lease_book::ask(std::uint64_t number, std::string owner,
                     std::set<std::string> devices) {
  auto same = [=](const entry& x) { return x.number == number; };
  if (std::any_of(entries_.begin(), entries_.end(), same))
    return false;
  entries_.push_back({number, std::move(owner), std::move(devices), false});
  return true;
}

void lease_book::end(std::uint64_t number) {
  entries_.remove_if([=](const entry& x) { return x.number == number; });
}

bool lease_book::blocks(const entry& earlier, const entry& x) {
  auto shared = std::any_of(x.devices.begin(), x.devices.end(),
                            [&](const auto& device) {
                              return earlier.devices.count(device) > 0;
                            });
  return shared && (!earlier.holds || earlier.owner != x.owner);
}

std::vector<std::uint64_t> lease_book::begin() {
  std::vector<std::uint64_t> out;
  for (auto i = entries_.begin(); i != entries_.end(); ++i) {
    if (i->holds)
      continue;
    // Those behind it that hold share nothing with it, or they would wait.
    i->holds = std::none_of(entries_.begin(), i,
                            [&](const entry& x) { return blocks(x, *i); });
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
  for (auto i = entries_.begin(); i != mine; ++i)
    if (blocks(*i, *mine) && std::count(out.begin(), out.end(), i->owner) == 0)
      out.push_back(i->owner);
  return out;
}

} // namespace troupe::model
