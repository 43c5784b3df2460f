// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/gloo/transport.hpp"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/gloo/transfer.hpp"

namespace troupe::comm::gloo {

namespace {

std::uint64_t slot_of(channel through, std::size_t size) {
  static_assert(transport::message_bytes_max < (std::uint64_t{1} << 31));
  return (through.value() << 31) | size;
}

} // namespace

gloo_transport::gloo_transport(std::shared_ptr<vendor::Device> device,
                               rank_id rank, std::vector<socket> connections)
  : rank_(rank),
    size_(static_cast<std::int32_t>(connections.size())),
    closed_(connections.size()),
    context_(std::make_shared<context>(std::move(device), rank.value(), size_,
                                       static_cast<pair_observer&>(*this))) {
  for (std::int32_t peer = 0; peer < size_; ++peer)
    if (peer != rank.value())
      context_->connect(peer, std::move(connections[static_cast<std::size_t>(
                                peer)]));
}

gloo_transport::~gloo_transport() = default;

rank_id gloo_transport::rank() const noexcept {
  return rank_;
}

std::int32_t gloo_transport::size() const noexcept {
  return size_;
}

result<operation_ptr>
gloo_transport::start_send(std::span<const std::byte> data, rank_id to,
                           channel through) {
  // Gloo has one type of buffer for both ways and only reads this one.
  auto* memory = const_cast<std::byte*>(data.data());
  return start(std::make_unique<transfer>(*this, context_, direction::sending,
                                          memory, data.size(), to),
               slot_of(through, data.size()));
}

result<operation_ptr> gloo_transport::start_recv(std::span<std::byte> data,
                                                 rank_id from,
                                                 channel through) {
  return start(std::make_unique<transfer>(*this, context_, direction::receiving,
                                          data.data(), data.size(), from),
               slot_of(through, data.size()));
}

result<operation_ptr> gloo_transport::start(std::unique_ptr<transfer> message,
                                            std::uint64_t slot) {
  auto gone = false;
  {
    std::unique_lock lock{mutex_};
    gone = killed_ || closed_[static_cast<std::size_t>(message->peer().value())];
    if (!gone)
      under_way_.push_back(message.get());
  }
  if (gone)
    return fail(why_stopped(message->peer()));
  if (auto started = message->start(slot); !started)
    return fail(started.error());
  return message;
}

void gloo_transport::kill() noexcept {
  {
    std::unique_lock lock{mutex_};
    killed_ = true;
    for (auto* message : under_way_)
      message->stop();
  }
  context_->sever();
}

error gloo_transport::why_stopped(rank_id peer) {
  std::unique_lock lock{mutex_};
  if (killed_)
    return {errc::aborted, "this rank left the group"};
  return {errc::lost, fmt::format("rank {} is gone", peer.value())};
}

void gloo_transport::closed(int peer) noexcept {
  std::unique_lock lock{mutex_};
  closed_[static_cast<std::size_t>(peer)] = true;
  for (auto* message : under_way_)
    if (message->peer().value() == peer)
      message->stop();
}

void gloo_transport::forget(const transfer* message) noexcept {
  std::unique_lock lock{mutex_};
  under_way_.erase(std::remove(under_way_.begin(), under_way_.end(), message),
                   under_way_.end());
}

} // namespace troupe::comm::gloo
