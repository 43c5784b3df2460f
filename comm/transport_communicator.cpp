// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transport_communicator.hpp"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/reduce.hpp"

namespace troupe::comm {

namespace {

/// Calls `start(offset, bytes)` for every message of at most the transport's
/// longest and waits for each; one empty message for no bytes.
template <class F>
result<void> in_messages(std::size_t bytes, deadline until, F start) {
  std::size_t offset = 0;
  do {
    auto length = std::min(bytes - offset, transport::message_bytes_max);
    result<operation_ptr> part = start(offset, length);
    if (!part)
      return fail(part.error());
    if (auto done = (*part)->wait(until); !done)
      return done;
    offset += length;
  } while (offset < bytes);
  return {};
}

} // namespace

transport_communicator::transport_communicator(
  std::unique_ptr<transport> carrier, const collective_options& options)
  : carrier_(std::move(carrier)),
    collectives_(*carrier_, options) {
  // nop
}

transport_communicator::~transport_communicator() = default;

rank_id transport_communicator::rank() const noexcept {
  return carrier_->rank();
}

std::int32_t transport_communicator::size() const noexcept {
  return carrier_->size();
}

result<void> transport_communicator::send(std::span<const std::byte> data,
                                          rank_id peer, std::uint32_t tag,
                                          deadline until) {
  return run("send", [&]() -> result<void> {
    if (auto good = check_peer(peer); !good)
      return good;
    return in_messages(data.size(), until,
                       [&](std::size_t offset, std::size_t bytes) {
                         return carrier_->start_send(data.subspan(offset,
                                                                  bytes),
                                                     peer, channel::user(tag));
                       });
  });
}

result<void> transport_communicator::recv(std::span<std::byte> data,
                                          rank_id peer, std::uint32_t tag,
                                          deadline until) {
  return run("recv", [&]() -> result<void> {
    if (auto good = check_peer(peer); !good)
      return good;
    return in_messages(data.size(), until,
                       [&](std::size_t offset, std::size_t bytes) {
                         return carrier_->start_recv(data.subspan(offset,
                                                                  bytes),
                                                     peer, channel::user(tag));
                       });
  });
}

result<void> transport_communicator::broadcast(std::span<std::byte> data,
                                               rank_id root, deadline until) {
  return run("broadcast", [&]() -> result<void> {
    if (root.value() < 0 || root.value() >= size())
      return fail(errc::invalid, fmt::format("rank {} is not in a group of {}",
                                             root.value(), size()));
    return collectives_.broadcast(data, root, until);
  });
}

result<void> transport_communicator::all_reduce(std::span<std::byte> data,
                                                dtype type, reduce_op op,
                                                deadline until) {
  return run("all_reduce", [&]() -> result<void> {
    if (auto good = check_reducible(data.size(), type, op); !good)
      return good;
    return collectives_.all_reduce(data, type, op, until);
  });
}

result<void> transport_communicator::all_gather(std::span<const std::byte> in,
                                                std::span<std::byte> out,
                                                deadline until) {
  return run("all_gather", [&]() -> result<void> {
    auto ranks = static_cast<std::size_t>(size());
    if (out.size() % ranks != 0 || out.size() / ranks != in.size())
      return fail(errc::invalid,
                  fmt::format("{} bytes in and {} out do not fit {} ranks",
                              in.size(), out.size(), size()));
    return collectives_.all_gather(in, out, until);
  });
}

result<void>
transport_communicator::reduce_scatter(std::span<const std::byte> in,
                                       std::span<std::byte> out, dtype type,
                                       reduce_op op, deadline until) {
  return run("reduce_scatter", [&]() -> result<void> {
    if (auto good = check_reducible(out.size(), type, op); !good)
      return good;
    auto ranks = static_cast<std::size_t>(size());
    if (in.size() % ranks != 0 || in.size() / ranks != out.size())
      return fail(errc::invalid,
                  fmt::format("{} bytes in and {} out do not fit {} ranks",
                              in.size(), out.size(), size()));
    return collectives_.reduce_scatter(in, out, type, op, until);
  });
}

result<void> transport_communicator::barrier(deadline until) {
  return run("barrier", [&] { return collectives_.barrier(until); });
}

void transport_communicator::abort() noexcept {
  try {
    die(error{errc::aborted, "the communicator was aborted"});
  } catch (...) {
    // Out of memory for the text; waking the waiters needs none.
    alive_ = false;
    carrier_->kill();
  }
}

bool transport_communicator::alive() const noexcept {
  return alive_;
}

template <class F>
result<void> transport_communicator::run(const char* name, F f) {
  {
    std::unique_lock lock{mutex_};
    if (cause_)
      return fail(*cause_);
    if (!alive_)
      return fail(errc::aborted, "the communicator was aborted");
  }
  result<void> done = f();
  if (done)
    return done;
  return fail(die(done.error().within(name)));
}

error transport_communicator::die(error what) {
  {
    std::unique_lock lock{mutex_};
    if (cause_)
      what = *cause_;
    else
      cause_ = what;
    alive_ = false;
  }
  carrier_->kill();
  return what;
}

result<void> transport_communicator::check_peer(rank_id peer) const {
  if (peer.value() < 0 || peer.value() >= size())
    return fail(errc::invalid, fmt::format("rank {} is not in a group of {}",
                                           peer.value(), size()));
  if (peer == rank())
    return fail(errc::invalid,
                fmt::format("rank {} is the caller itself", peer.value()));
  return {};
}

result<void> transport_communicator::check_reducible(std::size_t bytes,
                                                     dtype type, reduce_op op) {
  if (!is_reducible(type, op))
    return fail(errc::invalid,
                fmt::format("no such reduction of {}", to_string(type)));
  if (bytes % size_of(type) != 0)
    return fail(errc::invalid, fmt::format("{} bytes are no whole number of {}",
                                           bytes, to_string(type)));
  return {};
}

} // namespace troupe::comm
