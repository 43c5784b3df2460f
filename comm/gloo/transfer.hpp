// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <gloo/transport/tcp/unbound_buffer.h>

#include "troupe/comm/gloo/pair.hpp"
#include "troupe/comm/transport.hpp"

namespace troupe::comm::gloo {

class gloo_transport;

enum class direction : std::uint8_t { sending, receiving };

/// An unbound buffer with a wait of our own. Gloo's closes every pair when its
/// time is up, and takes an abort for more important than a completion.
///
/// Gloo refers to it weakly and holds it only while it moves bytes without
/// blocking; the destructor waits for that. Afterwards Gloo does not touch the
/// memory any more, even if the message never completed.
class waitable_buffer final : public vendor::UnboundBuffer {
public:
  waitable_buffer(const std::shared_ptr<vendor::Context>& context, void* data,
                  std::size_t size);

  /// Starts the one message this buffer is for.
  [[nodiscard]] result<void> start(direction way, int peer, std::uint64_t slot);

  enum class outcome : std::uint8_t { moved, stopped, broken, late };

  [[nodiscard]] outcome wait(direction way, deadline until);

  /// True once a message has arrived.
  [[nodiscard]] bool received() noexcept;

  /// Ends the wait now or to come. From any thread.
  void stop() noexcept;

  /// Why a wait was `broken`.
  [[nodiscard]] std::string reason();
};

/// One message between this rank and `peer`.
class transfer final : public operation {
public:
  transfer(gloo_transport& home,
           const std::shared_ptr<vendor::Context>& context, direction way,
           void* data, std::size_t size, rank_id peer);

  ~transfer() override;

  [[nodiscard]] result<void> wait(deadline until) override;

  [[nodiscard]] result<void> start(std::uint64_t slot) {
    return buffer_.start(way_, peer_.value(), slot);
  }

  [[nodiscard]] rank_id peer() const noexcept { return peer_; }

  void stop() noexcept { buffer_.stop(); }

private:
  gloo_transport& home_;
  direction way_;
  rank_id peer_;
  waitable_buffer buffer_;
};

} // namespace troupe::comm::gloo
