// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "troupe/comm/communicator.hpp"

namespace troupe::model {

/// A communicator that adds up how long its operations took, also those that
/// failed: the time in which its rank waited for others or moved bytes.
///
/// A view: both the inner communicator and the sum outlive it. Threads: as the
/// inner one; the sum is written by the operating thread.
class timed_communicator final : public comm::communicator {
public:
  timed_communicator(comm::communicator& inner, std::chrono::nanoseconds& spent)
    : inner_(&inner),
      spent_(&spent) {
    // nop
  }

  [[nodiscard]] const comm::communicator* inner() const noexcept {
    return inner_;
  }

  [[nodiscard]] rank_id rank() const noexcept override;
  [[nodiscard]] std::int32_t size() const noexcept override;

  [[nodiscard]] result<void> send(std::span<const std::byte> data, rank_id peer,
                                  std::uint32_t tag, deadline until) override;
  [[nodiscard]] result<void> recv(std::span<std::byte> data, rank_id peer,
                                  std::uint32_t tag, deadline until) override;
  [[nodiscard]] result<void> broadcast(std::span<std::byte> data, rank_id root,
                                       deadline until) override;
  [[nodiscard]] result<void> all_reduce(std::span<std::byte> data, dtype type,
                                        comm::reduce_op op,
                                        deadline until) override;
  [[nodiscard]] result<void> all_gather(std::span<const std::byte> in,
                                        std::span<std::byte> out,
                                        deadline until) override;
  [[nodiscard]] result<void> reduce_scatter(std::span<const std::byte> in,
                                            std::span<std::byte> out,
                                            dtype type, comm::reduce_op op,
                                            deadline until) override;
  [[nodiscard]] result<void> barrier(deadline until) override;

  void abort() noexcept override;
  [[nodiscard]] bool alive() const noexcept override;
  [[nodiscard]] result<void> health() override;

private:
  comm::communicator* inner_;
  std::chrono::nanoseconds* spent_;
};

} // namespace troupe::model
