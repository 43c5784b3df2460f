// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/collectives.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>

#include "troupe/comm/reduce.hpp"

namespace troupe::comm {

namespace {

using const_bytes = std::span<const std::byte>;
using mutable_bytes = std::span<std::byte>;

/// Segments of one transfer that may be under way at once: enough to keep the
/// wire busy while one is reduced.
constexpr std::size_t window = 4;

void copy(const_bytes from, mutable_bytes to) {
  if (!from.empty() && from.data() != to.data())
    std::memmove(to.data(), from.data(), from.size());
}

} // namespace

/// Cuts `count` elements of `element` bytes into one block a rank, which differ
/// by one element at most.
struct collectives::partition {
  std::size_t count;
  std::size_t element;
  std::size_t ranks;

  std::size_t begin(std::size_t b) const noexcept {
    return count / ranks * b + std::min(b, count % ranks);
  }

  /// Elements of block 0, the longest.
  std::size_t longest() const noexcept { return begin(1); }
};

collectives::collectives(transport& carrier, const collective_options& options)
  : carrier_(carrier),
    segment_bytes_(std::clamp(options.segment_bytes / 8 * 8, std::size_t{8},
                              transport::message_bytes_max)),
    tree_bytes_(std::min(options.tree_bytes,
                         transport::message_bytes_max / sizeof(double))),
    rank_(carrier.rank().value()),
    size_(carrier.size()) {
  // nop
}

// -- operations ---------------------------------------------------------------

result<void> collectives::broadcast(mutable_bytes data, rank_id root,
                                    deadline until) {
  next_channel();
  // In the tree, seen from the root as rank 0, a rank's parent has the lowest
  // set bit cleared and its children have one lower bit set.
  auto seen = wrap(rank_ - root.value());
  auto lowest = seen & -seen;
  std::array<std::int32_t, 32> children{};
  std::size_t fanout = 0;
  auto mask = std::int32_t{1};
  while (mask < size_ && (seen == 0 || mask < lowest))
    mask <<= 1;
  // The largest subtree first: it has the longest way.
  for (mask >>= 1; mask > 0; mask >>= 1)
    if (seen + mask < size_)
      children[fanout++] = wrap(seen + mask + root.value());
  auto parent = rank_id{wrap(seen - lowest + root.value())};
  std::array<operation_ptr, window> receives;
  std::deque<operation_ptr> sends;
  auto count = segments(data.size());
  auto flush = [&](std::size_t left) -> result<void> {
    for (; sends.size() > left; sends.pop_front())
      if (auto done = sends.front()->wait(until); !done)
        return done;
    return {};
  };
  for (std::size_t i = 0, started = 0; i < count; ++i) {
    if (seen != 0) {
      for (; started < count && started - i < window; ++started) {
        auto part = carrier_.start_recv(segment(data, started), parent,
                                        through_);
        if (!part)
          return fail(part.error());
        receives[started % window] = std::move(*part);
      }
      if (auto done = receives[i % window]->wait(until); !done)
        return done;
    }
    for (std::size_t child = 0; child < fanout; ++child) {
      auto part = carrier_.start_send(segment(const_bytes{data}, i),
                                      rank_id{children[child]}, through_);
      if (!part)
        return fail(part.error());
      sends.push_back(std::move(*part));
    }
    if (auto done = flush(window * fanout); !done)
      return done;
  }
  return flush(0);
}

result<void> collectives::all_reduce(mutable_bytes data, dtype type,
                                     reduce_op op, deadline until) {
  next_channel();
  if (size_ == 1)
    return {};
  if (data.size() <= tree_bytes_) {
    if (auto done = tree_reduce(data, type, op, until); !done)
      return done;
    return broadcast(data, rank_id{0}, until);
  }
  auto parts = partition{data.size() / size_of(type), size_of(type),
                         static_cast<std::size_t>(size_)};
  if (auto done = ring_reduce(data, parts, block(data, parts, rank_), type, op,
                              until);
      !done)
    return done;
  return ring_gather(data, parts, until);
}

result<void> collectives::all_gather(const_bytes in, mutable_bytes out,
                                     deadline until) {
  next_channel();
  auto parts = partition{out.size(), 1, static_cast<std::size_t>(size_)};
  copy(in, block(out, parts, rank_));
  return ring_gather(out, parts, until);
}

result<void> collectives::reduce_scatter(const_bytes in, mutable_bytes out,
                                         dtype type, reduce_op op,
                                         deadline until) {
  next_channel();
  auto parts = partition{in.size() / size_of(type), size_of(type),
                         static_cast<std::size_t>(size_)};
  return ring_reduce(in, parts, out, type, op, until);
}

result<void> collectives::barrier(deadline until) {
  next_channel();
  for (auto distance = std::int32_t{1}; distance < size_; distance *= 2) {
    auto arrival = carrier_.start_recv({}, rank_id{wrap(rank_ - distance)},
                                       through_);
    if (!arrival)
      return fail(arrival.error());
    auto notice = carrier_.start_send({}, rank_id{wrap(rank_ + distance)},
                                      through_);
    if (!notice)
      return fail(notice.error());
    if (auto done = (*arrival)->wait(until); !done)
      return done;
    if (auto done = (*notice)->wait(until); !done)
      return done;
  }
  return {};
}

// -- building blocks ----------------------------------------------------------

/// In step s a rank passes on what it reduced in step s-1 and reduces its own
/// share into what arrives: block b starts at rank b+1 and is complete at rank
/// b, after P-1 steps.
result<void> collectives::ring_reduce(const_bytes in, const partition& parts,
                                      mutable_bytes out, dtype type,
                                      reduce_op op, deadline until) {
  if (size_ == 1) {
    copy(in, out);
    return {};
  }
  auto wide = size_of(wide_type(type));
  auto narrow_size = parts.element;
  sending_.resize(parts.longest() * wide);
  arriving_.resize(parts.longest() * wide);
  auto first = block(in, parts, wrap(rank_ - 1));
  widen(first.data(), type, sending_.data(), first.size() / narrow_size);
  auto out_bytes = first.size() / narrow_size * wide;
  for (std::int32_t step = 0; step + 1 < size_; ++step) {
    auto own = block(in, parts, wrap(rank_ - 2 - step));
    auto in_bytes = own.size() / narrow_size * wide;
    auto reduce = [&](std::size_t offset, std::size_t bytes) {
      combine(arriving_.data() + offset,
              own.data() + offset / wide * narrow_size, type, op, bytes / wide);
    };
    auto done = exchange(const_bytes{sending_}.first(out_bytes),
                         wrap(rank_ + 1),
                         mutable_bytes{arriving_}.first(in_bytes),
                         wrap(rank_ - 1), until, reduce);
    if (!done)
      return done;
    std::swap(sending_, arriving_);
    out_bytes = in_bytes;
  }
  narrow(sending_.data(), type, out.data(), out.size() / narrow_size);
  return {};
}

/// Every rank starts with its own block of `data` and passes on in each step
/// the block that arrived in the one before.
result<void> collectives::ring_gather(mutable_bytes data,
                                      const partition& parts, deadline until) {
  for (std::int32_t step = 0; step + 1 < size_; ++step) {
    auto done = exchange(const_bytes{block(data, parts, wrap(rank_ - step))},
                         wrap(rank_ + 1),
                         block(data, parts, wrap(rank_ - step - 1)),
                         wrap(rank_ - 1), until,
                         [](std::size_t, std::size_t) {});
    if (!done)
      return done;
  }
  return {};
}

/// Reduces everybody's `data` into rank 0's, up a binomial tree.
result<void> collectives::tree_reduce(mutable_bytes data, dtype type,
                                      reduce_op op, deadline until) {
  auto count = data.size() / size_of(type);
  auto wide = wide_type(type);
  auto bytes = count * size_of(wide);
  sending_.resize(bytes);
  arriving_.resize(bytes);
  widen(data.data(), type, sending_.data(), count);
  auto ignore = [](std::size_t, std::size_t) {};
  for (auto mask = std::int32_t{1}; mask < size_; mask <<= 1) {
    if ((rank_ & mask) != 0)
      return exchange(const_bytes{sending_}.first(bytes), rank_ - mask, {},
                      rank_, until, ignore);
    if (rank_ + mask >= size_)
      continue;
    if (auto done = exchange({}, rank_, mutable_bytes{arriving_}.first(bytes),
                             rank_ + mask, until, ignore);
        !done)
      return done;
    combine(sending_.data(), arriving_.data(), wide, op, count);
  }
  narrow(sending_.data(), type, data.data(), count);
  return {};
}

template <class F>
result<void> collectives::exchange(const_bytes out, std::int32_t to,
                                   mutable_bytes in, std::int32_t from,
                                   deadline until, F arrived) {
  std::array<operation_ptr, window> sends;
  std::array<operation_ptr, window> receives;
  auto out_count = segments(out.size());
  auto in_count = segments(in.size());
  std::size_t out_started = 0;
  std::size_t out_done = 0;
  std::size_t in_started = 0;
  std::size_t in_done = 0;
  while (in_done < in_count || out_done < out_count) {
    for (; in_started < in_count && in_started - in_done < window;
         ++in_started) {
      auto part = carrier_.start_recv(segment(in, in_started), rank_id{from},
                                      through_);
      if (!part)
        return fail(part.error());
      receives[in_started % window] = std::move(*part);
    }
    for (; out_started < out_count && out_started - out_done < window;
         ++out_started) {
      auto part = carrier_.start_send(segment(out, out_started), rank_id{to},
                                      through_);
      if (!part)
        return fail(part.error());
      sends[out_started % window] = std::move(*part);
    }
    // A segment is received before the send of the same number is waited for:
    // around a ring, everybody's sends depend on everybody's receives.
    if (in_done < in_count) {
      if (auto done = receives[in_done % window]->wait(until); !done)
        return done;
      receives[in_done % window].reset();
      arrived(in_done * segment_bytes_, segment(in, in_done).size());
      ++in_done;
    }
    if (out_done < out_started
        && (out_started - out_done == window || in_done == in_count)) {
      if (auto done = sends[out_done % window]->wait(until); !done)
        return done;
      sends[out_done % window].reset();
      ++out_done;
    }
  }
  return {};
}

template <class Byte>
std::span<Byte> collectives::block(std::span<Byte> data, const partition& parts,
                                   std::int32_t b) const {
  auto index = static_cast<std::size_t>(b);
  auto first = parts.begin(index);
  auto last = parts.begin(index + 1);
  return data.subspan(first * parts.element, (last - first) * parts.element);
}

std::size_t collectives::segments(std::size_t bytes) const noexcept {
  return (bytes + segment_bytes_ - 1) / segment_bytes_;
}

template <class Byte>
std::span<Byte> collectives::segment(std::span<Byte> data,
                                     std::size_t index) const {
  auto offset = index * segment_bytes_;
  return data.subspan(offset, std::min(segment_bytes_, data.size() - offset));
}

std::int32_t collectives::wrap(std::int32_t rank) const noexcept {
  auto rest = rank % size_;
  return rest < 0 ? rest + size_ : rest;
}

// A rank that calls another operation than its peers must not take their
// messages for its own.
void collectives::next_channel() noexcept {
  through_ = channel::collective(sequence_++);
}

} // namespace troupe::comm
