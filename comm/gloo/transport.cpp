// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/gloo/transport.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/gloo/transfer.hpp"

namespace troupe::comm::gloo {

namespace {

std::uint64_t slot_of(channel through, std::size_t size) {
  static_assert(transport::message_bytes_max < (std::uint64_t{1} << 31));
  return (through.value() << 31) | size;
}

/// Meets no message: those of collectives have a smaller channel.
constexpr auto farewell_slot = ~std::uint64_t{0};

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
      context_->connect(peer,
                        std::move(connections[static_cast<std::size_t>(peer)]));
}

gloo_transport::~gloo_transport() {
  auto leave = false;
  {
    std::unique_lock lock{mutex_};
    leave = !killed_ && !failed_;
  }
  if (leave)
    say_goodbye();
  std::unique_lock lock{mutex_};
  killed_ = true;
}

result<void> gloo_transport::open() {
  farewell_.resize(static_cast<std::size_t>(size_));
  for (std::int32_t peer = 0; peer < size_; ++peer) {
    auto index = static_cast<std::size_t>(peer);
    auto heard = std::make_unique<waitable_buffer>(context_, &farewell_[index],
                                                   1);
    auto started = peer == rank_.value()
                     ? result<void>{}
                     : heard->start(direction::receiving, peer, farewell_slot);
    std::unique_lock lock{mutex_};
    farewells_.push_back(std::move(heard));
    if (!started)
      return started;
  }
  return {};
}

void gloo_transport::say_goodbye() {
  // A byte fits in any socket; only a peer that has not yet opened makes us
  // wait, and one that never does is not waited for.
  auto until = deadline::after(std::chrono::milliseconds{200});
  auto byte = std::byte{1};
  for (std::int32_t peer = 0; peer < size_; ++peer) {
    if (peer == rank_.value())
      continue;
    waitable_buffer said{context_, &byte, 1};
    if (said.start(direction::sending, peer, farewell_slot))
      (void) said.wait(direction::sending, until);
  }
}

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
    gone = killed_ || failed_
           || closed_[static_cast<std::size_t>(message->peer().value())];
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
  if (failed_)
    return {errc::lost, fmt::format("rank {} failed", *failed_)};
  return {errc::lost, fmt::format("rank {} is gone", peer.value())};
}

void gloo_transport::closed(int peer) noexcept {
  std::unique_lock lock{mutex_};
  // Then everything is stopped already, and parts of this may be gone.
  if (killed_)
    return;
  auto index = static_cast<std::size_t>(peer);
  closed_[index] = true;
  auto done = index < farewells_.size() && farewells_[index]->received();
  if (!done && !failed_)
    failed_ = peer;
  for (auto* message : under_way_)
    if (!done || message->peer().value() == peer)
      message->stop();
}

void gloo_transport::forget(const transfer* message) noexcept {
  std::unique_lock lock{mutex_};
  under_way_.erase(std::remove(under_way_.begin(), under_way_.end(), message),
                   under_way_.end());
}

} // namespace troupe::comm::gloo
