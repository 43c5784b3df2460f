// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "comm/devices/device_subject.hpp"
#include "comm/devices/fault.hpp"
#include "troupe/comm/link.hpp"

namespace troupe::test {

/// One end of a link, which goes wrong once it is told to. Before, it counts
/// its operations: pushes, pulls, lends, borrows and reclaims.
class faulty_link final : public comm::link,
                          private comm::window_source,
                          private comm::window_sink {
public:
  struct surroundings {
    device_subject place;
    /// Of the source: bytes of each bucket.
    std::vector<std::uint64_t> bucket_bytes;
    /// Of the source: a byte of a tensor that is sent.
    std::byte* sent = nullptr;
    /// Ends the process at once; null: the end is only forgotten.
    std::function<void()> vanish;
    /// Called when the executor gives up.
    std::function<void()> gave_up;
  };

  faulty_link(comm::link_ptr inner, surroundings around);

  /// What the next operations do.
  void arm(const fault& what);

  [[nodiscard]] bool fired() const noexcept { return fired_; }

  // -- implementation of link --------------------------------------------------

  std::string_view backend() const noexcept override;
  result<void> push(std::span<const std::byte> data, deadline until) override;
  result<void> pull(std::span<std::byte> data, deadline until) override;
  void abort() noexcept override;
  comm::window_source* source_windows() noexcept override;
  comm::window_sink* sink_windows() noexcept override;

private:
  // -- implementation of window_source -----------------------------------------

  result<void> share(std::shared_ptr<comm::shared_memory> memory) override;
  std::optional<comm::window>
  locate(std::span<const std::byte> data) const noexcept override;
  result<void> lend(std::uint64_t count, deadline until) override;
  result<std::uint64_t> reclaim(std::uint64_t known, deadline until) override;
  void withdraw() noexcept override;

  // -- implementation of window_sink -------------------------------------------

  result<std::span<const std::byte>> view(comm::window where,
                                          std::uint64_t bytes) override;
  result<void> borrow(std::uint64_t total, deadline until) override;
  bool intact() const noexcept override;
  result<void> give_back(std::uint64_t total, deadline until) override;
  void let_go() noexcept override;

  // ----------------------------------------------------------------------------

  /// Before each operation: what goes wrong now.
  result<void> step(deadline until);

  /// True if it is the turn of this one.
  bool due(fault_kind kind, std::uint64_t turn, std::uint64_t turns);

  /// Changes the first byte of one of the words at `begin`: whatever is in a
  /// bucket begins with a word.
  result<void> flip(std::byte* begin, std::uint64_t bytes, deadline until);

  result<void> push_flipped(std::span<const std::byte> data, deadline until);

  const comm::link_ptr inner_;
  const surroundings around_;
  /// Of a sender that packs: where, in the order of the buckets.
  std::shared_ptr<comm::shared_memory> staging_;
  mutable std::vector<std::byte*> slots_;
  // Operations of the last run, and of this one.
  std::uint64_t steps_before_ = 0;
  std::uint64_t pushes_before_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t pushes_ = 0;
  std::uint64_t lends_ = 0;
  std::optional<fault> fault_;
  std::atomic<bool> fired_ = false;
  std::atomic<bool> forgotten_ = false;
  // Of stalls.
  std::mutex mutex_;
  std::condition_variable changed_;
  bool aborted_ = false;
};

} // namespace troupe::test
