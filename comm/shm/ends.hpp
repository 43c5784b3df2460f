// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "troupe/comm/link.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/wire.hpp"

namespace troupe::comm::shm {

/// Sending end. Region 0 is its staging buffer, region i+1 its i-th arena.
class sender final : public link {
public:
  sender(socket line, std::vector<std::shared_ptr<arena>> arenas);

  [[nodiscard]] std::string_view backend() const noexcept override;

  [[nodiscard]] result<void> push(std::span<const std::byte> data,
                                  deadline until) override;

  /// Fails with `errc::invalid`: this end sends.
  [[nodiscard]] result<void> pull(std::span<std::byte> data,
                                  deadline until) override;

  void abort() noexcept override;

private:
  result<void> try_push(std::span<const std::byte> data, deadline until);

  result<void> push_staged(std::span<const std::byte> data, deadline until);

  result<void> announce(std::uint32_t region, std::uint64_t offset,
                        std::uint64_t length, std::uint64_t total,
                        deadline until);

  /// Waits for the receipt of the oldest notice under way.
  result<void> collect(deadline until);

  const arena& region(std::uint32_t index) const;

  wire wire_;
  std::vector<std::shared_ptr<arena>> arenas_;
  std::shared_ptr<arena> staging_;
  std::vector<bool> handed_over_;
  std::uint64_t announced_ = 0;
  std::uint64_t received_ = 0;
};

/// Receiving end. Copies from the sender's memory, and does not report success
/// before the sender has promised to have kept it unchanged: the receipt.
class receiver final : public link {
public:
  explicit receiver(socket line);

  [[nodiscard]] std::string_view backend() const noexcept override;

  /// Fails with `errc::invalid`: this end receives.
  [[nodiscard]] result<void> push(std::span<const std::byte> data,
                                  deadline until) override;

  [[nodiscard]] result<void> pull(std::span<std::byte> data,
                                  deadline until) override;

  void abort() noexcept override;

private:
  result<void> try_pull(std::span<std::byte> data, deadline until);

  /// Checks a notice, which is not trusted, and finds its bytes.
  result<std::span<const std::byte>> find(const notice& what, socket fd,
                                          std::size_t wanted, std::size_t left);

  result<void> copy(std::span<const std::byte> from, std::byte* to,
                    deadline until);

  wire wire_;
  std::map<std::uint32_t, foreign_arena> regions_;
  std::uint64_t sequence_ = 0;
};

} // namespace troupe::comm::shm
