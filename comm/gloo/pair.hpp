// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include <gloo/transport/tcp/context.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/tcp/pair.h>

#include "troupe/comm/socket.hpp"

namespace troupe::comm::gloo {

namespace vendor = ::gloo::transport::tcp;

/// Told when a connection is closed, for whatever reason. Called with the
/// pair's lock held, on Gloo's thread or a caller's: must not call the pair.
class pair_observer {
public:
  virtual ~pair_observer() = default;

  virtual void closed(int peer) noexcept = 0;
};

/// A Gloo pair that cannot take the process down and says when it dies. The
/// pair of the library, as Debian 12 ships it,
///
///   - throws on Gloo's thread (the end of the process) if the peer sends more
///     than we expect, or anything that is not its protocol;
///   - tells nobody of a peer's death while a message is half received or half
///     sent: its wait goes on to the timeout;
///   - raises SIGPIPE when it writes to a dead peer;
///   - listens on a port of its own and takes whoever connects first.
///
/// This one derives from it at the points that its TLS sibling uses.
class pair final : public vendor::Pair {
public:
  pair(vendor::Context* context, vendor::Device* device, int peer,
       pair_observer& observer);

  /// Closes softly: what was sent still arrives.
  ~pair() override;

  /// Takes over a connected socket in place of its own.
  void adopt(socket connection);

  /// Cuts the connection, so that both sides wake up. From any thread.
  void sever() noexcept;

  void handleEvents(int events) override;

protected:
  void handleReadWrite(int events) override;

  bool write(vendor::Op& op) override;

  void changeState(state next) noexcept override;

private:
  const int peer_rank_;
  pair_observer& observer_;
  // Until then its events come from the listening socket we do not want.
  std::atomic<bool> adopted_{false};
};

/// Makes pairs of our kind.
class context final : public vendor::Context {
public:
  context(std::shared_ptr<vendor::Device> device, int rank, int size,
          pair_observer& observer);

  ~context() override;

  std::unique_ptr<::gloo::transport::Pair>& createPair(int rank) override;

  /// Makes the pair with `peer` over a connected socket.
  void connect(int peer, socket connection);

  /// Cuts every connection. From any thread.
  void sever() noexcept;

private:
  vendor::Device* const raw_device_;
  pair_observer& observer_;
  std::vector<pair*> ours_;
};

} // namespace troupe::comm::gloo
