// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "troupe/comm/link.hpp"

namespace troupe::comm::inproc {

/// Adds windows to a link between two threads: each end reads the other's
/// address space anyway, so a window is an address.
///
/// An end that gives up waits for a reader that is in the middle of its unit,
/// so that nobody reads memory that the sender has taken back.
class window_link final : public link,
                          private window_source,
                          private window_sink {
public:
  /// Wraps both ends of a link of pushes and pulls.
  [[nodiscard]] static std::pair<link_ptr, link_ptr>
  wrap(std::pair<link_ptr, link_ptr> ends);

  ~window_link() override;

  [[nodiscard]] std::string_view backend() const noexcept override;

  [[nodiscard]] result<void> push(std::span<const std::byte> data,
                                  deadline until) override;

  [[nodiscard]] result<void> pull(std::span<std::byte> data,
                                  deadline until) override;

  void abort() noexcept override;

  [[nodiscard]] window_source* source_windows() noexcept override;

  [[nodiscard]] window_sink* sink_windows() noexcept override;

private:
  enum class side : std::uint8_t { sender, receiver };

  /// What both ends share.
  struct book {
    std::mutex mutex;
    std::condition_variable changed;
    std::uint64_t lent = 0;
    std::uint64_t returned = 0;
    /// The receiver is between `borrow` and `give_back`.
    bool reading = false;
    /// Which end gave up first, and why.
    std::optional<side> quitter;
    error cause;
  };

  window_link(link_ptr stream, std::shared_ptr<book> shared, side which);

  result<void> share(std::shared_ptr<shared_memory> memory) override;

  std::optional<window>
  locate(std::span<const std::byte> data) const noexcept override;

  result<void> lend(std::uint64_t count, deadline until) override;

  result<std::uint64_t> reclaim(std::uint64_t known, deadline until) override;

  void withdraw() noexcept override;

  result<std::span<const std::byte>> view(window where,
                                          std::uint64_t bytes) override;

  result<void> borrow(std::uint64_t total, deadline until) override;

  bool intact() const noexcept override;

  result<void> give_back(std::uint64_t total, deadline until) override;

  void let_go() noexcept override;

  /// The error this end sees if one has given up. With the book's lock held.
  [[nodiscard]] std::optional<error> obstacle() const;

  /// Waits for `ready`; an error kills the link.
  template <class F>
  result<void> wait(std::unique_lock<std::mutex>& lock, deadline until,
                    F ready);

  /// With the book's lock held.
  void quit(const error& why);

  /// Kills both parts of the link.
  error die(error why);

  link_ptr stream_;
  std::shared_ptr<book> book_;
  side side_;
};

} // namespace troupe::comm::inproc
