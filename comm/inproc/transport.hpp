// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include "troupe/comm/transport.hpp"

namespace troupe::comm::inproc {

/// What the ranks of one group share: the sends that wait for their receive.
///
/// The receiving thread copies from the sender's memory. A send that is being
/// copied is not withdrawn before the copier has let go of it, so nobody reads
/// memory whose send has returned.
class group {
public:
  explicit group(std::int32_t size);

  [[nodiscard]] std::int32_t size() const noexcept { return size_; }

  /// `rank` is done: ends every wait of its own and every wait for it.
  void leave(std::int32_t rank) noexcept;

  /// `rank` has failed: nobody waits in this group any more.
  void fail(std::int32_t rank) noexcept;

private:
  friend class send_operation;
  friend class receive_operation;

  /// A send on its way. Lives in its operation.
  struct parcel {
    enum class state { waiting, copying, copied, refused };

    std::span<const std::byte> data;
    state now = state::waiting;
  };

  /// From, to, channel.
  using route = std::tuple<std::int32_t, std::int32_t, std::uint64_t>;

  struct seat {
    std::condition_variable wake;
    bool left = false;
  };

  seat& at(std::int32_t rank) { return seats_[static_cast<std::size_t>(rank)]; }

  /// Why a message between the two cannot go on, seen from `self`; nothing
  /// while it can.
  [[nodiscard]] std::optional<error> obstacle(std::int32_t self,
                                              std::int32_t peer);

  void wake_all() noexcept;

  const std::int32_t size_;
  std::mutex mutex_;
  std::vector<seat> seats_;
  // The first rank that failed.
  std::optional<std::int32_t> failed_;
  std::map<route, std::deque<parcel*>> waiting_;
};

/// One rank's side of a group. Leaves the group when destroyed.
class group_transport final : public transport {
public:
  group_transport(std::shared_ptr<group> shared, rank_id rank);

  ~group_transport() override;

  [[nodiscard]] rank_id rank() const noexcept override;

  [[nodiscard]] std::int32_t size() const noexcept override;

  [[nodiscard]] result<operation_ptr>
  start_send(std::span<const std::byte> data, rank_id to,
             channel through) override;

  [[nodiscard]] result<operation_ptr>
  start_recv(std::span<std::byte> data, rank_id from, channel through) override;

  void kill() noexcept override;

private:
  std::shared_ptr<group> shared_;
  rank_id rank_;
};

} // namespace troupe::comm::inproc
