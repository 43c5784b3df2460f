// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "comm/devices/device_subject.hpp"
#include "troupe/comm/endpoint.hpp"

namespace troupe::test {

/// Carries out every operation in memory of a device: what tests say of a
/// communicator in terms of their own memory is so said of that of devices.
/// What an operation leaves in memory is brought back also if it fails.
class on_device final : public comm::communicator {
public:
  on_device(comm::communicator_ptr inner, device_subject place)
    : place_(std::move(place)),
      inner_(std::move(inner)) {
    // nop
  }

  rank_id rank() const noexcept override { return inner_->rank(); }

  std::int32_t size() const noexcept override { return inner_->size(); }

  result<void> send(std::span<const std::byte> data, rank_id peer,
                    std::uint32_t tag, deadline until) override {
    return lent(data, [&](std::span<const std::byte> x) {
      return inner_->send(x, peer, tag, until);
    });
  }

  result<void> recv(std::span<std::byte> data, rank_id peer, std::uint32_t tag,
                    deadline until) override {
    return moved(data, [&](std::span<std::byte> x) {
      return inner_->recv(x, peer, tag, until);
    });
  }

  result<void> broadcast(std::span<std::byte> data, rank_id root,
                         deadline until) override {
    return moved(data, [&](std::span<std::byte> x) {
      return inner_->broadcast(x, root, until);
    });
  }

  result<void> all_reduce(std::span<std::byte> data, dtype type,
                          comm::reduce_op op, deadline until) override {
    return moved(data, [&](std::span<std::byte> x) {
      return inner_->all_reduce(x, type, op, until);
    });
  }

  result<void> all_gather(std::span<const std::byte> in,
                          std::span<std::byte> out, deadline until) override {
    return moved(out, [&](std::span<std::byte> x) {
      return lent(in, [&](std::span<const std::byte> y) {
        return inner_->all_gather(y, x, until);
      });
    });
  }

  result<void> reduce_scatter(std::span<const std::byte> in,
                              std::span<std::byte> out, dtype type,
                              comm::reduce_op op, deadline until) override {
    return moved(out, [&](std::span<std::byte> x) {
      return lent(in, [&](std::span<const std::byte> y) {
        return inner_->reduce_scatter(y, x, type, op, until);
      });
    });
  }

  result<void> barrier(deadline until) override {
    return inner_->barrier(until);
  }

  void abort() noexcept override { inner_->abort(); }

  bool alive() const noexcept override { return inner_->alive(); }

private:
  buffer copy_of(std::span<const std::byte> data) const {
    if (data.empty())
      return {};
    auto out = place_.allocate(data.size());
    place_.put(out.data(), data);
    return out;
  }

  template <class F>
  result<void> lent(std::span<const std::byte> data, F f) {
    auto there = copy_of(data);
    auto done = f(std::span<const std::byte>{there.bytes()});
    if (!done)
      borrowed_.push_back(std::move(there));
    return done;
  }

  template <class F>
  result<void> moved(std::span<std::byte> data, F f) {
    auto there = copy_of(data);
    auto done = f(there.bytes());
    if (!data.empty())
      place_.get(data, there.data());
    if (!done)
      borrowed_.push_back(std::move(there));
    return done;
  }

  device_subject place_;
  /// Of operations that failed: the device may still be at work on it, as long
  /// as the communicator is there.
  std::vector<buffer> borrowed_;
  comm::communicator_ptr inner_;
};

/// Makes something else of what an endpoint connects.
class changed_endpoint final : public comm::endpoint {
public:
  using change = std::function<result<comm::communicator_ptr>(
    comm::communicator_ptr)>;

  changed_endpoint(comm::endpoint_ptr inner, change with)
    : inner_(std::move(inner)),
      with_(std::move(with)) {
    // nop
  }

  const bytes& address() const noexcept override { return inner_->address(); }

  result<comm::communicator_ptr> connect(const std::vector<bytes>& addresses,
                                         deadline until) override {
    auto made = inner_->connect(addresses, until);
    return made ? with_(std::move(*made)) : made;
  }

  void abort() noexcept override { inner_->abort(); }

private:
  comm::endpoint_ptr inner_;
  change with_;
};

} // namespace troupe::test
