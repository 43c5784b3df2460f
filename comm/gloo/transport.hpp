// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "troupe/comm/gloo/pair.hpp"
#include "troupe/comm/transport.hpp"

namespace troupe::comm::gloo {

class transfer;
class waitable_buffer;

/// Messages through Gloo's unbound buffers. Gloo's thread moves the bytes; the
/// operating thread waits.
///
/// The slot of a message holds its channel and its size, so that a message of
/// an unexpected size never meets a receive.
///
/// A rank that is done says goodbye before it closes its connections. One that
/// closes without, or is killed, takes the group down.
class gloo_transport final : public transport, private pair_observer {
public:
  /// `connections[r]` is a socket connected to rank r; the one of `rank` is
  /// not looked at. Takes up to 10 ms a peer: Gloo's thread must tick.
  gloo_transport(std::shared_ptr<vendor::Device> device, rank_id rank,
                 std::vector<socket> connections);

  ~gloo_transport() override;

  /// Gets ready to hear goodbyes. Call once, before the first message.
  [[nodiscard]] result<void> open();

  [[nodiscard]] rank_id rank() const noexcept override;

  [[nodiscard]] std::int32_t size() const noexcept override;

  [[nodiscard]] result<operation_ptr>
  start_send(std::span<const std::byte> data, rank_id to,
             channel through) override;

  [[nodiscard]] result<operation_ptr>
  start_recv(std::span<std::byte> data, rank_id from, channel through) override;

  void kill() noexcept override;

private:
  friend class transfer;

  void closed(int peer) noexcept override;

  void say_goodbye();

  result<operation_ptr> start(std::unique_ptr<transfer> message,
                              std::uint64_t slot);

  void forget(const transfer* message) noexcept;

  /// What a message with `peer` that was stopped reports.
  error why_stopped(rank_id peer);

  const rank_id rank_;
  const std::int32_t size_;
  // Guards what follows. Taken with a pair's lock held: never call a pair while
  // holding it.
  std::mutex mutex_;
  bool killed_ = false;
  std::optional<int> failed_;
  std::vector<bool> closed_;
  std::vector<transfer*> under_way_;
  // Last but for what refers to it: its pairs call `closed` until they are
  // gone.
  std::shared_ptr<context> context_;
  // One byte from every peer, received when it is done.
  std::vector<std::byte> farewell_;
  std::vector<std::unique_ptr<waitable_buffer>> farewells_;
};

} // namespace troupe::comm::gloo
