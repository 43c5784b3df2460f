// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/bench/sync/two_processes.hpp"
#include "troupe/comm/endpoint.hpp"
#include "troupe/comm/link.hpp"

namespace troupe::bench {

/// Rank of this end in a group of both.
[[nodiscard]] inline rank_id own_rank(const two_processes& with) {
  return rank_id{with.self() == sync_end::source ? 0 : 1};
}

/// This end of a link over a communicator of both processes, of which `self`
/// is ours. `backend` is a constant of the program. The other process calls it
/// too.
[[nodiscard]] result<comm::link_ptr> paired_link(const two_processes& with,
                                                 comm::endpoint& self,
                                                 const char* backend);

} // namespace troupe::bench
