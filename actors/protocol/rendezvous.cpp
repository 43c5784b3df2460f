// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/protocol/rendezvous.hpp"

#include <map>

namespace troupe::protocol {

connect_groups introduce(const open_groups& seats, group_addresses addresses) {
  std::map<std::string, std::map<rank_id, payload>> groups;
  for (auto& x : addresses.items)
    groups[x.group][x.rank] = std::move(x.address);
  connect_groups out;
  out.timeout_ms = seats.timeout_ms;
  for (const auto& seat : seats.items) {
    group_connection item{seat.to, seat.group, {}};
    for (const auto& [rank, address] : groups[seat.group])
      item.addresses.push_back(address);
    out.items.push_back(std::move(item));
  }
  return out;
}

close_groups leave(const open_groups& seats) {
  close_groups out;
  out.timeout_ms = seats.timeout_ms;
  for (const auto& seat : seats.items)
    out.items.push_back({seat.to, seat.group});
  return out;
}

} // namespace troupe::protocol
