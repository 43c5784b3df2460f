// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "troupe/comm/device.hpp"

namespace troupe::test {

/// Stands in for a GPU where nobody moves weights: its memory is ours, and its
/// figures are what the test says. Makes no links, and of groups what it is given.
class stub_device final : public comm::device {
public:
  explicit stub_device(std::int32_t number) : number_(number) {
    // nop
  }

  [[nodiscard]] dlpack::device where() const noexcept override {
    return {dlpack::device_type::cuda, number_};
  }

  [[nodiscard]] const std::string& uuid() const noexcept override {
    return uuids[asked_++ % uuids.size()];
  }

  [[nodiscard]] result<void> enter() override {
    ++entered;
    if (entering)
      return fail(*entering);
    return {};
  }

  [[nodiscard]] result<comm::device_memory_figures> memory() const override {
    if (measuring)
      return fail(*measuring);
    return figures;
  }

  [[nodiscard]] result<comm::memory_reach>
  reach(const std::byte*) const override {
    return reachable;
  }

  [[nodiscard]] result<std::shared_ptr<comm::shared_memory>>
  allocate(std::uint64_t bytes) override {
    if (figures.used_bytes + bytes > figures.total_bytes)
      return fail(errc::exhausted, "the stub is full");
    return std::make_shared<block>(*this, bytes);
  }

  [[nodiscard]] result<std::shared_ptr<comm::shared_memory>>
  share(std::span<std::byte>) override {
    return fail(sharing);
  }

  [[nodiscard]] std::shared_ptr<const comm::transfer::copy_engine_maker>
  engines() override {
    return maker;
  }

  [[nodiscard]] result<void> put(std::byte* to, std::span<const std::byte> from,
                                 deadline until) override {
    copy_time = until.left();
    std::ranges::copy(from, to);
    ++copies;
    return {};
  }

  [[nodiscard]] result<void> get(std::span<std::byte> to, const std::byte* from,
                                 deadline until) override {
    copy_time = until.left();
    std::copy_n(from, to.size(), to.data());
    ++copies;
    return {};
  }

  [[nodiscard]] result<comm::endpoint_ptr>
  make_endpoint(rank_id, std::int32_t, const std::string&) override {
    if (endpoint)
      return endpoint;
    return fail(errc::unavailable, "a stub joins nobody");
  }

  [[nodiscard]] result<comm::communicator_ptr>
  widen(comm::communicator_ptr inner) override {
    return inner;
  }

  [[nodiscard]] result<comm::link_ptr>
  make_sender(int, std::vector<std::shared_ptr<comm::shared_memory>>) override {
    return fail(errc::unavailable, "a stub has no links");
  }

  [[nodiscard]] result<comm::link_ptr> make_receiver(int) override {
    return fail(errc::unavailable, "a stub has no links");
  }

  /// Said in turns: the hosts of a test share the stub.
  std::vector<std::string> uuids = {"GPU-stub"};
  /// Of every group.
  comm::endpoint_ptr endpoint;
  /// Without one the host's copy.
  std::shared_ptr<const comm::transfer::copy_engine_maker> maker;
  int entered = 0;
  int copies = 0;
  /// What the last copy was given.
  duration copy_time{};
  error sharing{errc::invalid, "a stub shares nothing"};
  std::optional<error> entering;
  std::optional<error> measuring;
  comm::device_memory_figures figures;
  /// Of all memory: ours is the process's, too.
  comm::memory_reach reachable{true, true};

private:
  class block final : public comm::shared_memory {
  public:
    block(stub_device& owner, std::uint64_t bytes)
      : owner_(owner),
        bytes_(bytes) {
      owner_.figures.used_bytes += bytes;
    }

    ~block() override { owner_.figures.used_bytes -= bytes_.size(); }

    [[nodiscard]] std::span<std::byte> memory() const noexcept override {
      return {const_cast<std::byte*>(bytes_.data()), bytes_.size()};
    }

    [[nodiscard]] int fd() const noexcept override { return -1; }

    [[nodiscard]] const bytes& name() const noexcept override { return name_; }

  private:
    stub_device& owner_;
    std::vector<std::byte> bytes_;
    bytes name_;
  };

  std::int32_t number_;
  mutable std::atomic<std::size_t> asked_ = 0;
};

} // namespace troupe::test
