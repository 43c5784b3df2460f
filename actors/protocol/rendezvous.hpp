// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/actors/protocol/model.hpp"

namespace troupe::protocol {

/// The second step of a rendezvous from the first one's request and answer:
/// every seat learns the addresses of its group in rank order. Seats whose
/// group did not answer completely get fewer addresses than ranks, which their
/// backend refuses.
[[nodiscard]] connect_groups introduce(const open_groups& seats,
                                       group_addresses addresses);

/// The request that undoes `seats`.
[[nodiscard]] close_groups leave(const open_groups& seats);

} // namespace troupe::protocol
