// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/paired_link.hpp"

#include <utility>
#include <vector>

#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/comm_link.hpp"

namespace troupe::bench {

result<comm::link_ptr> paired_link(const two_processes& with,
                                   comm::endpoint& self, const char* backend) {
  auto other = with.exchange(self.address(), ample());
  if (!other)
    return fail(other.error());
  auto mine = own_rank(with);
  std::vector<bytes> all{self.address(), std::move(*other)};
  if (mine != rank_id{0})
    std::swap(all[0], all[1]);
  auto group = self.connect(all, ample());
  if (!group)
    return fail(group.error());
  return std::make_shared<comm::comm_link>(*group, rank_id{1 - mine.value()}, 1,
                                           backend);
}

} // namespace troupe::bench
