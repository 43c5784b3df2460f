// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "troupe/comm/endpoint.hpp"
#include "troupe/comm/nccl/communicator.hpp"

namespace troupe::comm::nccl {

/// One rank's half-built communicator. Its address is a contact for the
/// connections beside NCCL, which the actors carry. NCCL's unique id travels over
/// those connections once all ranks have met: an address may be of a group that
/// then uses another backend, and NCCL keeps what it made for an id until all
/// its ranks come.
///
/// `connect` first meets the other ranks, then makes NCCL's communicator, which
/// is non-blocking and polled: the deadline and `abort` end both.
///
/// Fails with `errc::invalid` if `rank` is not in [0, size) or the settings lack
/// a runtime or library, with `errc::unavailable` if the address cannot be
/// bound.
[[nodiscard]] result<endpoint_ptr>
make_endpoint(rank_id rank, std::int32_t size, const settings& config);

} // namespace troupe::comm::nccl
