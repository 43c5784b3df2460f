// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "troupe/comm/endpoint.hpp"
#include "troupe/comm/options.hpp"
#include "troupe/comm/probe.hpp"

namespace troupe::comm::gloo {

struct endpoint_options {
  /// Address or host name to listen on.
  std::string bind_address = "127.0.0.1";
  /// Network interface to listen on, e.g. `"eth0"`; if set, `bind_address` is
  /// ignored.
  std::string interface;
  collective_options collectives;
};

/// Usable if a TCP socket can be bound to `options`' address.
[[nodiscard]] probe_result probe(const endpoint_options& options = {});

/// An endpoint over TCP by Gloo. Starts Gloo's thread and listens; nothing is
/// sent before `connect`.
///
/// Fails with `errc::invalid` if `rank` is not in [0, size) and with
/// `errc::unavailable` if the address cannot be bound.
[[nodiscard]] result<endpoint_ptr>
make_endpoint(rank_id rank, std::int32_t size,
              const endpoint_options& options = {});

} // namespace troupe::comm::gloo
