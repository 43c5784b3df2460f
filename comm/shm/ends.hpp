// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "troupe/comm/link.hpp"
#include "troupe/comm/shared_memory.hpp"
#include "troupe/comm/shm/wire.hpp"

namespace troupe::comm::shm {

/// Sending end. Region 0 is its staging buffer, region i+1 its i-th memory.
/// What it has handed over it keeps alive.
class sender final : public link, private window_source {
public:
  /// `backend` is a constant of the program.
  sender(std::string_view backend, socket line,
         std::vector<std::shared_ptr<shared_memory>> memories);

  [[nodiscard]] std::string_view backend() const noexcept override;

  [[nodiscard]] result<void> push(std::span<const std::byte> data,
                                  deadline until) override;

  /// Fails with `errc::invalid`: this end sends.
  [[nodiscard]] result<void> pull(std::span<std::byte> data,
                                  deadline until) override;

  void abort() noexcept override;

  [[nodiscard]] window_source* source_windows() noexcept override {
    return this;
  }

private:
  result<void> share(std::shared_ptr<shared_memory> memory) override;

  std::optional<window>
  locate(std::span<const std::byte> data) const noexcept override;

  result<void> lend(std::uint64_t count, deadline until) override;

  result<std::uint64_t> reclaim(std::uint64_t known, deadline until) override;

  void withdraw() noexcept override;

  /// Hands over all memory that the peer does not have yet.
  result<void> hand_over(deadline until);

  result<void> hand_over(std::uint32_t index, deadline until);

  result<void> try_push(std::span<const std::byte> data, deadline until);

  result<void> push_staged(std::span<const std::byte> data, deadline until);

  result<void> announce(std::uint32_t region, std::uint64_t offset,
                        std::uint64_t length, std::uint64_t total,
                        deadline until);

  /// Waits for the receipt of the oldest notice under way.
  result<void> collect(deadline until);

  /// Waits for the next receipt of either kind and books it.
  result<void> hear(deadline until);

  const shared_memory& region(std::uint32_t index) const;

  std::string_view backend_;
  wire wire_;
  std::vector<std::shared_ptr<shared_memory>> memories_;
  std::shared_ptr<shared_memory> staging_;
  std::vector<bool> handed_over_;
  std::uint64_t announced_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t lent_ = 0;
  std::uint64_t returned_ = 0;
};

/// Receiving end. Copies from the sender's memory, and does not report success
/// before the sender has promised to have kept it unchanged: the receipt.
class receiver final : public link, private window_sink {
public:
  /// Without an `opener` only memory that comes as a memfd can be handed over.
  receiver(std::string_view backend, socket line,
           std::shared_ptr<memory_opener> opener);

  [[nodiscard]] std::string_view backend() const noexcept override;

  /// Fails with `errc::invalid`: this end receives.
  [[nodiscard]] result<void> push(std::span<const std::byte> data,
                                  deadline until) override;

  [[nodiscard]] result<void> pull(std::span<std::byte> data,
                                  deadline until) override;

  void abort() noexcept override;

  [[nodiscard]] window_sink* sink_windows() noexcept override { return this; }

private:
  /// Memory of the sender. Members die last to first: the descriptor tells the
  /// sender that the memory is closed.
  struct region {
    socket held;
    std::shared_ptr<foreign_memory> memory;
    /// That this process's instructions can read.
    bool ordinary = false;
  };

  result<std::span<const std::byte>> view(window where,
                                          std::uint64_t bytes) override;

  result<void> borrow(std::uint64_t total, deadline until) override;

  bool intact() const noexcept override;

  result<void> give_back(std::uint64_t total, deadline until) override;

  void let_go() noexcept override;

  /// Receives the next notice; maps what is handed over before it.
  result<void> listen(notice& what, socket& fd, deadline until);

  /// Takes over what a handover announces.
  result<void> accept(const notice& what, socket fd, deadline until);

  result<void> map(std::uint32_t index, const socket& fd);

  result<void> open(std::uint32_t index, std::uint64_t name_bytes, socket held,
                    deadline until);

  result<void> check_new(std::uint32_t index) const;

  result<void> try_pull(std::span<std::byte> data, deadline until);

  /// Checks a notice, which is not trusted, and finds its bytes.
  result<std::span<const std::byte>> find(const notice& what, socket fd,
                                          std::size_t wanted, std::size_t left);

  result<void> copy(std::span<const std::byte> from, std::byte* to,
                    deadline until);

  std::string_view backend_;
  std::shared_ptr<memory_opener> opener_;
  wire wire_;
  std::map<std::uint32_t, region> regions_;
  std::uint64_t sequence_ = 0;
  std::uint64_t lent_ = 0;
  std::uint64_t returned_ = 0;
};

} // namespace troupe::comm::shm
