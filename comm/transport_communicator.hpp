// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "troupe/comm/collectives.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/comm/options.hpp"
#include "troupe/comm/transport.hpp"

namespace troupe::comm {

/// A communicator over any transport: checks arguments, keeps the first error
/// and kills the transport with it.
///
/// A call with wrong arguments kills it too: the peers have no way to know and
/// must not wait.
class transport_communicator final : public communicator {
public:
  transport_communicator(std::unique_ptr<transport> carrier,
                         const collective_options& options);

  ~transport_communicator() override;

  [[nodiscard]] rank_id rank() const noexcept override;

  [[nodiscard]] std::int32_t size() const noexcept override;

  [[nodiscard]] result<void> send(std::span<const std::byte> data, rank_id peer,
                                  std::uint32_t tag, deadline until) override;

  [[nodiscard]] result<void> recv(std::span<std::byte> data, rank_id peer,
                                  std::uint32_t tag, deadline until) override;

  [[nodiscard]] result<void> broadcast(std::span<std::byte> data, rank_id root,
                                       deadline until) override;

  [[nodiscard]] result<void> all_reduce(std::span<std::byte> data, dtype type,
                                        reduce_op op, deadline until) override;

  [[nodiscard]] result<void> all_gather(std::span<const std::byte> in,
                                        std::span<std::byte> out,
                                        deadline until) override;

  [[nodiscard]] result<void> reduce_scatter(std::span<const std::byte> in,
                                            std::span<std::byte> out,
                                            dtype type, reduce_op op,
                                            deadline until) override;

  [[nodiscard]] result<void> barrier(deadline until) override;

  void abort() noexcept override;

  [[nodiscard]] bool alive() const noexcept override;

private:
  /// Runs `f` unless the communicator is dead, and lets it die of an error.
  template <class F>
  result<void> run(const char* name, F f);

  /// The error the communicator died of, which is `what` if it lived.
  error die(error what);

  [[nodiscard]] result<void> check_peer(rank_id peer) const;

  [[nodiscard]] static result<void> check_reducible(std::size_t bytes,
                                                    dtype type, reduce_op op);

  std::unique_ptr<transport> carrier_;
  collectives collectives_;
  std::atomic<bool> alive_{true};
  std::mutex mutex_;
  std::optional<error> cause_;
};

} // namespace troupe::comm
