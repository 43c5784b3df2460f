// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/running.hpp"

#include <fmt/core.h>

namespace troupe::comm::nccl {

result<void> await_settled(const library& lib, owned_comm& comm,
                           sideband& peers, const char* what,
                           const std::function<result<void>()>& check,
                           deadline until) {
  patience rests{peers};
  for (;;) {
    auto state = comm.state();
    if (auto good = check(); !good)
      return good;
    if (!state)
      return fail(errc::aborted, fmt::format("{}: aborted", what));
    if (*state == codes::success)
      return {};
    if (*state != codes::in_progress)
      return fail(error_of(lib, *state, comm.words(), what));
    if (until.passed())
      return fail(errc::timed_out,
                  fmt::format("{}: waited in vain for the other ranks", what));
    rests.rest();
  }
}

} // namespace troupe::comm::nccl
