// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "troupe/comm/communicator.hpp"
#include "troupe/comm/endpoint.hpp"

namespace troupe::test {

/// A group that nothing is done with, and that breaks when it is told to.
class idle_group : public comm::communicator {
public:
  rank_id rank() const noexcept override { return rank_id{0}; }
  std::int32_t size() const noexcept override { return 1; }

  result<void> send(std::span<const std::byte>, rank_id, std::uint32_t,
                    deadline) override {
    return unused();
  }

  result<void> recv(std::span<std::byte>, rank_id, std::uint32_t,
                    deadline) override {
    return unused();
  }

  result<void> broadcast(std::span<std::byte>, rank_id, deadline) override {
    return unused();
  }

  result<void> all_reduce(std::span<std::byte>, dtype, comm::reduce_op,
                          deadline) override {
    return unused();
  }

  result<void> all_gather(std::span<const std::byte>, std::span<std::byte>,
                          deadline) override {
    return unused();
  }

  result<void> reduce_scatter(std::span<const std::byte>, std::span<std::byte>,
                              dtype, comm::reduce_op, deadline) override {
    return unused();
  }

  result<void> barrier(deadline) override { return unused(); }

  void abort() noexcept override { lives = false; }

  bool alive() const noexcept override { return lives; }

  result<void> health() override {
    ++looks;
    if (!broken)
      return {};
    lives = false;
    return fail(errc::lost, "rank 1 is gone");
  }

  bool lives = true;
  bool broken = false;
  int looks = 0;

private:
  static result<void> unused() { return fail(errc::internal, "not here"); }
};

/// Of that group.
class idle_endpoint final : public comm::endpoint {
public:
  explicit idle_endpoint(std::shared_ptr<idle_group> group)
    : group_(std::move(group)) {
    // nop
  }

  const bytes& address() const noexcept override { return address_; }

  result<comm::communicator_ptr> connect(const std::vector<bytes>&,
                                         deadline) override {
    return group_;
  }

  void abort() noexcept override {
    // nop
  }

private:
  std::shared_ptr<idle_group> group_;
  bytes address_;
};

} // namespace troupe::test
