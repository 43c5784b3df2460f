// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/devices/bounce_communicator.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/reduce.hpp"
#include "troupe/core/units.hpp"

namespace troupe::comm::devices {

namespace {

/// Longest piece of an operation: long enough for the device's bus. Whole
/// elements of any type; equal on all ranks.
constexpr std::size_t piece_bytes = 4 * mib;

/// Least part of a rank in a piece of many ranks.
constexpr std::size_t block_piece_min = 64 * kib;

/// False of what `communicator` refuses.
bool whole_elements(std::size_t bytes, dtype type, reduce_op op) {
  return is_reducible(type, op) && bytes % size_of(type) == 0;
}

/// Calls `f` with one piece after the other; once if there is nothing.
template <class Bytes, class F>
result<void> in_pieces(Bytes data, F f) {
  do {
    auto now = data.first(std::min(data.size(), piece_bytes));
    data = data.subspan(now.size());
    if (auto done = f(now); !done)
      return done;
  } while (!data.empty());
  return {};
}

} // namespace

bounce_communicator::bounce_communicator(communicator_ptr inner,
                                         cuda::runtime_ptr runtime,
                                         bounce_line line)
  : inner_(std::move(inner)),
    runtime_(std::move(runtime)),
    line_(std::move(line)) {
  // nop
}

result<communicator_ptr> bounce_communicator::make(communicator_ptr inner,
                                                   cuda::runtime_ptr runtime,
                                                   std::int32_t device) {
  auto line = bounce_line::create(runtime, device);
  if (!line)
    return fail(line.error());
  return communicator_ptr{new bounce_communicator{std::move(inner),
                                                  std::move(runtime),
                                                  std::move(*line)}};
}

rank_id bounce_communicator::rank() const noexcept {
  return inner_->rank();
}

std::int32_t bounce_communicator::size() const noexcept {
  return inner_->size();
}

result<bool>
bounce_communicator::on_device(std::span<const std::byte> data) const {
  if (data.empty())
    return false;
  auto found = cuda::facts_of(*runtime_, data.data());
  if (!found)
    return fail(found.error());
  return found->kind == cuda::memory_kind::device;
}

result<void> bounce_communicator::move(void* to, const void* from,
                                       std::size_t bytes, deadline until) {
  return line_.move(to, from, bytes, until, &aborted_);
}

template <class F>
result<void> bounce_communicator::run(F f) {
  if (cause_)
    return fail(*cause_);
  // A dead one says at once what it died of.
  if (!inner_->alive())
    return inner_->barrier(deadline::after(duration::zero()));
  auto done = f();
  if (!done && inner_->alive()) {
    cause_ = done.error();
    inner_->abort();
  }
  return done;
}

template <class F>
result<void> bounce_communicator::with_input(std::span<const std::byte> in,
                                             deadline until, F f) {
  auto moves = on_device(in);
  if (!moves)
    return fail(moves.error());
  if (!*moves)
    return f(in);
  auto here = line_.block(reading, in.size(), until);
  if (!here)
    return fail(here.error());
  if (auto done = move(here->data(), in.data(), in.size(), until); !done)
    return done;
  return f(std::span<const std::byte>{*here});
}

template <class F>
result<void> bounce_communicator::with_output(std::span<std::byte> out,
                                              bool filled, deadline until,
                                              F f) {
  auto moves = on_device(out);
  if (!moves)
    return fail(moves.error());
  if (!*moves)
    return f(out);
  auto here = line_.block(writing, out.size(), until);
  if (!here)
    return fail(here.error());
  if (filled)
    if (auto done = move(here->data(), out.data(), out.size(), until); !done)
      return done;
  if (auto done = f(*here); !done)
    return done;
  return move(out.data(), here->data(), out.size(), until);
}

// -- operations ----------------------------------------------------------------

// A message of several pieces begins with its length, so that one that is not
// what the receiver expects is met before anything of it is taken.

namespace {

/// The length twice, and a byte more: a receiver of elements that expects a
/// short message cannot take it for one.
using length_note = std::array<std::byte, 17>;

length_note note_of(std::uint64_t length) {
  length_note out{std::byte{1}};
  std::memcpy(out.data() + 1, &length, sizeof(length));
  std::memcpy(out.data() + 9, &length, sizeof(length));
  return out;
}

} // namespace

result<void> bounce_communicator::send(std::span<const std::byte> data,
                                       rank_id peer, std::uint32_t tag,
                                       deadline until) {
  return run([&]() -> result<void> {
    if (data.size() > piece_bytes)
      if (auto done = inner_->send(note_of(data.size()), peer, tag, until);
          !done)
        return done;
    return in_pieces(data, [&](std::span<const std::byte> piece) {
      return with_input(piece, until, [&](std::span<const std::byte> x) {
        return inner_->send(x, peer, tag, until);
      });
    });
  });
}

result<void> bounce_communicator::recv(std::span<std::byte> data, rank_id peer,
                                       std::uint32_t tag, deadline until) {
  return run([&]() -> result<void> {
    if (data.size() > piece_bytes) {
      length_note note{};
      if (auto done = inner_->recv(note, peer, tag, until); !done)
        return done;
      if (note != note_of(data.size())) {
        std::uint64_t length = 0;
        std::memcpy(&length, note.data() + 1, sizeof(length));
        return fail(errc::invalid,
                    fmt::format("rank {} sends {} bytes, {} are expected",
                                peer.value(), length, data.size()));
      }
    }
    return in_pieces(data, [&](std::span<std::byte> piece) {
      return with_output(piece, false, until, [&](std::span<std::byte> x) {
        return inner_->recv(x, peer, tag, until);
      });
    });
  });
}

result<void> bounce_communicator::broadcast(std::span<std::byte> data,
                                            rank_id root, deadline until) {
  return run([&] {
    return in_pieces(data, [&](std::span<std::byte> piece) {
      return with_output(piece, root == rank(), until,
                         [&](std::span<std::byte> x) {
                           return inner_->broadcast(x, root, until);
                         });
    });
  });
}

result<void> bounce_communicator::all_reduce(std::span<std::byte> data,
                                             dtype type, reduce_op op,
                                             deadline until) {
  return run([&] {
    // Refused as it is, before any piece is reduced.
    if (!whole_elements(data.size(), type, op))
      return inner_->all_reduce(data, type, op, until);
    return in_pieces(data, [&](std::span<std::byte> piece) {
      return with_output(piece, true, until, [&](std::span<std::byte> x) {
        return inner_->all_reduce(x, type, op, until);
      });
    });
  });
}

result<void> bounce_communicator::all_gather(std::span<const std::byte> in,
                                             std::span<std::byte> out,
                                             deadline until) {
  return run([&]() -> result<void> {
    if (out.size() == in.size() * static_cast<std::size_t>(size())
        && in.size() > block_piece())
      return gather_pieces(in, out, until);
    return with_input(in, until, [&](std::span<const std::byte> x) {
      return with_output(out, false, until, [&](std::span<std::byte> y) {
        return inner_->all_gather(x, y, until);
      });
    });
  });
}

result<void> bounce_communicator::reduce_scatter(std::span<const std::byte> in,
                                                 std::span<std::byte> out,
                                                 dtype type, reduce_op op,
                                                 deadline until) {
  return run([&]() -> result<void> {
    if (in.size() == out.size() * static_cast<std::size_t>(size())
        && whole_elements(out.size(), type, op) && out.size() > block_piece())
      return scatter_pieces(in, out, type, op, until);
    return with_input(in, until, [&](std::span<const std::byte> x) {
      return with_output(out, false, until, [&](std::span<std::byte> y) {
        return inner_->reduce_scatter(x, y, type, op, until);
      });
    });
  });
}

// -- blocks of all ranks -------------------------------------------------------

std::size_t bounce_communicator::block_piece() const noexcept {
  auto each = piece_bytes / static_cast<std::size_t>(size());
  return std::max(each / block_piece_min * block_piece_min, block_piece_min);
}

result<void> bounce_communicator::copy(bool device, void* to, const void* from,
                                       std::size_t bytes, deadline until) {
  if (device)
    return move(to, from, bytes, until);
  std::memcpy(to, from, bytes);
  return {};
}

result<void> bounce_communicator::gather_pieces(std::span<const std::byte> in,
                                                std::span<std::byte> out,
                                                deadline until) {
  auto device = on_device(out);
  if (!device)
    return fail(device.error());
  auto ranks = static_cast<std::size_t>(size());
  for (std::size_t at = 0; at < in.size(); at += block_piece()) {
    auto part = in.subspan(at, std::min(block_piece(), in.size() - at));
    auto bytes = part.size();
    auto all = line_.block(writing, bytes * ranks, until);
    if (!all)
      return fail(all.error());
    auto done = with_input(part, until, [&](std::span<const std::byte> x) {
      return inner_->all_gather(x, *all, until);
    });
    for (std::size_t i = 0; i < ranks && done; ++i)
      done = copy(*device, &out[i * in.size() + at], &(*all)[i * bytes], bytes,
                  until);
    if (!done)
      return done;
  }
  return {};
}

result<void> bounce_communicator::scatter_pieces(std::span<const std::byte> in,
                                                 std::span<std::byte> out,
                                                 dtype type, reduce_op op,
                                                 deadline until) {
  auto device = on_device(in);
  if (!device)
    return fail(device.error());
  auto ranks = static_cast<std::size_t>(size());
  for (std::size_t at = 0; at < out.size(); at += block_piece()) {
    auto part = out.subspan(at, std::min(block_piece(), out.size() - at));
    auto bytes = part.size();
    auto all = line_.block(reading, bytes * ranks, until);
    if (!all)
      return fail(all.error());
    result<void> done;
    for (std::size_t i = 0; i < ranks && done; ++i)
      done = copy(*device, &(*all)[i * bytes], &in[i * out.size() + at], bytes,
                  until);
    if (done)
      done = with_output(part, false, until, [&](std::span<std::byte> x) {
        return inner_->reduce_scatter(*all, x, type, op, until);
      });
    if (!done)
      return done;
  }
  return {};
}

result<void> bounce_communicator::barrier(deadline until) {
  return run([&] { return inner_->barrier(until); });
}

void bounce_communicator::abort() noexcept {
  inner_->abort();
  aborted_.store(true, std::memory_order_release);
}

bool bounce_communicator::alive() const noexcept {
  return inner_->alive();
}

result<void> bounce_communicator::health() {
  return inner_->health();
}

} // namespace troupe::comm::devices
