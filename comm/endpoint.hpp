// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "troupe/comm/communicator.hpp"
#include "troupe/core/codec.hpp"

namespace troupe::comm {

/// One rank's half-built communicator: rendezvous in two steps, so that actors
/// carry the addresses and nobody needs a shared file or a guessed port.
///
///   1. every rank makes an endpoint and hands its `address()` to an actor;
///   2. the actor hands all addresses, in rank order, to every rank, which
///      calls `connect`.
///
/// `connect` blocks until all pairs stand or `until` passes and may be called
/// once. `abort` from any thread ends it at once.
class endpoint {
public:
  virtual ~endpoint() = default;

  /// Opaque bytes that only peers of the same backend understand.
  [[nodiscard]] virtual const bytes& address() const noexcept = 0;

  /// `addresses[r]` is what rank r's `address()` returned. Nothing in it is
  /// trusted: a malformed address fails with `errc::invalid`.
  [[nodiscard]] virtual result<communicator_ptr>
  connect(const std::vector<bytes>& addresses, deadline until) = 0;

  virtual void abort() noexcept = 0;
};

using endpoint_ptr = std::shared_ptr<endpoint>;

} // namespace troupe::comm
