// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "troupe/comm/gloo/address.hpp"
#include "troupe/comm/socket.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::comm::gloo {

/// Connects this rank with all others: element r is a non-blocking socket to
/// rank r (none to itself).
///
/// Of two ranks the higher one calls and says hello with both nonces; the lower
/// one checks them and acknowledges. Whoever calls and does not know the nonces
/// is hung up on and does no harm.
///
/// Fails with `errc::aborted` once `wake` is readable, `errc::timed_out` naming
/// the ranks that did not come, `errc::lost` if a rank refuses or hangs up.
[[nodiscard]] result<std::vector<socket>>
meet(const socket& listener, const socket& wake, rank_id self,
     const std::vector<contact>& ranks, deadline until);

} // namespace troupe::comm::gloo
