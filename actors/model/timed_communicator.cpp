// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/timed_communicator.hpp"

namespace troupe::model {

namespace {

/// Adds the length of a block to a sum.
class stop_watch {
public:
  explicit stop_watch(std::chrono::nanoseconds& sum) : sum_(sum) {
    // nop
  }

  ~stop_watch() { sum_ += std::chrono::steady_clock::now() - begin_; }

  stop_watch(const stop_watch&) = delete;
  stop_watch& operator=(const stop_watch&) = delete;

private:
  std::chrono::nanoseconds& sum_;
  std::chrono::steady_clock::time_point
    begin_ = std::chrono::steady_clock::now();
};

} // namespace

rank_id timed_communicator::rank() const noexcept {
  return inner_->rank();
}

std::int32_t timed_communicator::size() const noexcept {
  return inner_->size();
}

result<void> timed_communicator::send(std::span<const std::byte> data,
                                      rank_id peer, std::uint32_t tag,
                                      deadline until) {
  stop_watch watch{*spent_};
  return inner_->send(data, peer, tag, until);
}

result<void> timed_communicator::recv(std::span<std::byte> data, rank_id peer,
                                      std::uint32_t tag, deadline until) {
  stop_watch watch{*spent_};
  return inner_->recv(data, peer, tag, until);
}

result<void> timed_communicator::broadcast(std::span<std::byte> data,
                                           rank_id root, deadline until) {
  stop_watch watch{*spent_};
  return inner_->broadcast(data, root, until);
}

result<void> timed_communicator::all_reduce(std::span<std::byte> data,
                                            dtype type, comm::reduce_op op,
                                            deadline until) {
  stop_watch watch{*spent_};
  return inner_->all_reduce(data, type, op, until);
}

result<void> timed_communicator::all_gather(std::span<const std::byte> in,
                                            std::span<std::byte> out,
                                            deadline until) {
  stop_watch watch{*spent_};
  return inner_->all_gather(in, out, until);
}

result<void> timed_communicator::reduce_scatter(std::span<const std::byte> in,
                                                std::span<std::byte> out,
                                                dtype type, comm::reduce_op op,
                                                deadline until) {
  stop_watch watch{*spent_};
  return inner_->reduce_scatter(in, out, type, op, until);
}

result<void> timed_communicator::barrier(deadline until) {
  stop_watch watch{*spent_};
  return inner_->barrier(until);
}

void timed_communicator::abort() noexcept {
  inner_->abort();
}

bool timed_communicator::alive() const noexcept {
  return inner_->alive();
}

result<void> timed_communicator::health() {
  return inner_->health();
}

} // namespace troupe::model
