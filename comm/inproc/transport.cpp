// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/inproc/transport.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/core.h>

namespace troupe::comm::inproc {

namespace {

/// Bytes copied between two looks at the deadline and at who has left.
constexpr std::size_t stride = std::size_t{4} << 20;

error late(std::int32_t peer) {
  return {errc::timed_out, fmt::format("waited in vain for rank {}", peer)};
}

} // namespace

group::group(std::int32_t size)
  : size_(size),
    seats_(static_cast<std::size_t>(size)) {
  // nop
}

void group::leave(std::int32_t rank) noexcept {
  std::unique_lock lock{mutex_};
  at(rank).left = true;
  wake_all();
}

void group::fail(std::int32_t rank) noexcept {
  std::unique_lock lock{mutex_};
  at(rank).left = true;
  if (!failed_)
    failed_ = rank;
  wake_all();
}

std::optional<error> group::obstacle(std::int32_t self, std::int32_t peer) {
  if (at(self).left)
    return error{errc::aborted, "this rank left the group"};
  if (failed_)
    return error{errc::lost, fmt::format("rank {} failed", *failed_)};
  if (at(peer).left)
    return error{errc::lost, fmt::format("rank {} left the group", peer)};
  return std::nullopt;
}

void group::wake_all() noexcept {
  for (auto& x : seats_)
    x.wake.notify_all();
}

// -- send ---------------------------------------------------------------------

class send_operation final : public operation {
public:
  send_operation(std::shared_ptr<group> shared, std::span<const std::byte> data,
                 group::route path)
    : shared_(std::move(shared)),
      path_(path) {
    parcel_.data = data;
    std::unique_lock lock{shared_->mutex_};
    shared_->waiting_[path_].push_back(&parcel_);
    shared_->at(to()).wake.notify_all();
  }

  ~send_operation() override {
    std::unique_lock lock{shared_->mutex_};
    withdraw(lock);
  }

  result<void> wait(deadline until) override {
    using state = group::parcel::state;
    std::unique_lock lock{shared_->mutex_};
    shared_->at(from()).wake.wait_for(lock, until.left(), [&] {
      return done() || shared_->obstacle(from(), to());
    });
    if (!done())
      withdraw(lock);
    switch (parcel_.now) {
      case state::copied: return {};
      case state::refused:
        return fail(errc::invalid,
                    fmt::format("rank {} expects another size", to()));
      default: break;
    }
    auto obstacle = shared_->obstacle(from(), to());
    return fail(obstacle ? *obstacle : late(to()));
  }

private:
  std::int32_t from() const { return std::get<0>(path_); }

  std::int32_t to() const { return std::get<1>(path_); }

  bool done() const {
    return parcel_.now == group::parcel::state::copied
           || parcel_.now == group::parcel::state::refused;
  }

  /// Takes the parcel back, or waits for the copier that holds it: it looks at
  /// who has left after every stride, so this takes no longer than one.
  void withdraw(std::unique_lock<std::mutex>& lock) {
    if (done())
      return;
    auto found = shared_->waiting_.find(path_);
    if (found != shared_->waiting_.end()) {
      auto& queue = found->second;
      queue.erase(std::remove(queue.begin(), queue.end(), &parcel_),
                  queue.end());
      if (queue.empty())
        shared_->waiting_.erase(found);
    }
    shared_->at(from()).wake.wait(lock, [&] {
      return parcel_.now != group::parcel::state::copying;
    });
  }

  std::shared_ptr<group> shared_;
  group::route path_;
  group::parcel parcel_;
};

// -- receive ------------------------------------------------------------------

class receive_operation final : public operation {
public:
  receive_operation(std::shared_ptr<group> shared, std::span<std::byte> data,
                    group::route path)
    : shared_(std::move(shared)),
      data_(data),
      path_(path) {
    // nop
  }

  result<void> wait(deadline until) override {
    using state = group::parcel::state;
    std::unique_lock lock{shared_->mutex_};
    auto& peer = shared_->at(from());
    auto& waiting = shared_->waiting_;
    shared_->at(to()).wake.wait_for(lock, until.left(), [&] {
      return waiting.count(path_) > 0 || shared_->obstacle(to(), from());
    });
    if (auto obstacle = shared_->obstacle(to(), from()))
      return fail(*obstacle);
    auto found = waiting.find(path_);
    if (found == waiting.end())
      return fail(late(from()));
    auto* parcel = found->second.front();
    found->second.pop_front();
    if (found->second.empty())
      waiting.erase(found);
    if (parcel->data.size() != data_.size()) {
      auto sent = parcel->data.size();
      parcel->now = state::refused;
      peer.wake.notify_all();
      return fail(errc::invalid,
                  fmt::format("rank {} sent {} bytes, {} were expected", from(),
                              sent, data_.size()));
    }
    parcel->now = state::copying;
    auto done = copy(*parcel, until, lock);
    parcel->now = done ? state::copied : state::waiting;
    peer.wake.notify_all();
    return done;
  }

private:
  std::int32_t from() const { return std::get<0>(path_); }

  std::int32_t to() const { return std::get<1>(path_); }

  result<void> copy(const group::parcel& parcel, deadline until,
                    std::unique_lock<std::mutex>& lock) {
    auto source = parcel.data;
    for (std::size_t offset = 0; offset < source.size(); offset += stride) {
      if (offset > 0) {
        if (auto obstacle = shared_->obstacle(to(), from()))
          return fail(*obstacle);
        if (until.passed())
          return fail(late(from()));
      }
      auto length = std::min(stride, source.size() - offset);
      lock.unlock();
      std::memcpy(data_.data() + offset, source.data() + offset, length);
      lock.lock();
    }
    return {};
  }

  std::shared_ptr<group> shared_;
  std::span<std::byte> data_;
  group::route path_;
};

// -- transport ----------------------------------------------------------------

group_transport::group_transport(std::shared_ptr<group> shared, rank_id rank)
  : shared_(std::move(shared)),
    rank_(rank) {
  // nop
}

group_transport::~group_transport() {
  shared_->leave(rank_.value());
}

rank_id group_transport::rank() const noexcept {
  return rank_;
}

std::int32_t group_transport::size() const noexcept {
  return shared_->size();
}

result<operation_ptr>
group_transport::start_send(std::span<const std::byte> data, rank_id to,
                            channel through) {
  return std::make_unique<send_operation>(shared_, data,
                                          std::make_tuple(rank_.value(),
                                                          to.value(),
                                                          through.value()));
}

result<operation_ptr> group_transport::start_recv(std::span<std::byte> data,
                                                  rank_id from,
                                                  channel through) {
  return std::make_unique<receive_operation>(shared_, data,
                                             std::make_tuple(from.value(),
                                                             rank_.value(),
                                                             through.value()));
}

void group_transport::kill() noexcept {
  shared_->fail(rank_.value());
}

} // namespace troupe::comm::inproc
