// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/shm/ends.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/core.h>

namespace troupe::comm::shm {

namespace {

/// What is staged at once: small enough to stay in the cache between the two
/// copies.
constexpr std::size_t slot_bytes = std::size_t{512} << 10;

/// Slots under way. A socket queues 10 messages by default.
constexpr std::size_t slots = 4;

/// Bytes copied between two looks at the deadline and the link's life.
constexpr std::size_t stride = std::size_t{4} << 20;

/// Regions a peer may make us map.
constexpr std::size_t regions_max = 1024;

/// Runs `f` unless the link is dead, and lets it die of an error.
template <class F>
result<void> live(wire& line, F f) {
  if (auto cause = line.cause())
    return fail(*cause);
  result<void> done = f();
  if (done)
    return done;
  return fail(line.die(done.error()));
}

} // namespace

// -- sender -------------------------------------------------------------------

sender::sender(socket line, std::vector<std::shared_ptr<arena>> arenas)
  : wire_(std::move(line)),
    arenas_(std::move(arenas)),
    handed_over_(arenas_.size() + 1) {
  // nop
}

std::string_view sender::backend() const noexcept {
  return "shm";
}

result<void> sender::push(std::span<const std::byte> data, deadline until) {
  return live(wire_, [&] { return try_push(data, until); });
}

result<void> sender::pull(std::span<std::byte>, deadline) {
  return live(wire_, []() -> result<void> {
    return fail(errc::invalid, "pull at the sending end of a link");
  });
}

void sender::abort() noexcept {
  wire_.abort();
}

result<void> sender::try_push(std::span<const std::byte> data, deadline until) {
  for (std::size_t i = 0; i < arenas_.size() && !data.empty(); ++i) {
    if (!arenas_[i]->contains(data))
      continue;
    auto offset = data.data() - arenas_[i]->memory().data();
    auto told = announce(static_cast<std::uint32_t>(i + 1),
                         static_cast<std::uint64_t>(offset), data.size(),
                         data.size(), until);
    return told ? collect(until) : told;
  }
  return push_staged(data, until);
}

result<void> sender::push_staged(std::span<const std::byte> data,
                                 deadline until) {
  if (!staging_) {
    auto made = arena::create(slots * slot_bytes);
    if (!made)
      return fail(made.error());
    staging_ = *made;
  }
  std::size_t offset = 0;
  do {
    if (announced_ - received_ == slots)
      if (auto done = collect(until); !done)
        return done;
    auto length = std::min(slot_bytes, data.size() - offset);
    auto slot = static_cast<std::size_t>(announced_ % slots) * slot_bytes;
    if (length > 0)
      std::memcpy(staging_->memory().data() + slot, data.data() + offset,
                  length);
    if (auto told = announce(0, slot, length, data.size(), until); !told)
      return told;
    offset += length;
  } while (offset < data.size());
  while (received_ < announced_)
    if (auto done = collect(until); !done)
      return done;
  return {};
}

result<void> sender::announce(std::uint32_t index, std::uint64_t offset,
                              std::uint64_t length, std::uint64_t total,
                              deadline until) {
  notice what;
  what.region = index;
  what.sequence = announced_;
  what.offset = offset;
  what.length = length;
  what.total = total;
  auto fd = handed_over_[index] ? -1 : region(index).fd();
  auto told = wire_.send(&what, sizeof(what), fd, until);
  if (!told)
    return told;
  handed_over_[index] = true;
  ++announced_;
  return {};
}

result<void> sender::collect(deadline until) {
  receipt got;
  socket none;
  auto heard = wire_.receive(&got, sizeof(got), none, until);
  if (!heard && heard.error().code() == errc::timed_out) {
    // The receiver may be copying this very moment. Either its receipt is in
    // by now, or it will find that it cannot hand one in and not believe what
    // it copied: our caller is about to change the memory.
    wire_.close_ears();
    auto late = wire_.receive(&got, sizeof(got), none, until);
    if (!late)
      return heard;
    heard = late;
  }
  if (!heard)
    return heard;
  if (got.magic != receipt::kind || got.sequence != received_)
    return fail(errc::corrupt, "a receipt for something else");
  ++received_;
  return {};
}

const arena& sender::region(std::uint32_t index) const {
  return index == 0 ? *staging_ : *arenas_[index - 1];
}

// -- receiver -----------------------------------------------------------------

receiver::receiver(socket line) : wire_(std::move(line)) {
  // nop
}

std::string_view receiver::backend() const noexcept {
  return "shm";
}

result<void> receiver::push(std::span<const std::byte>, deadline) {
  return live(wire_, []() -> result<void> {
    return fail(errc::invalid, "push at the receiving end of a link");
  });
}

result<void> receiver::pull(std::span<std::byte> data, deadline until) {
  return live(wire_, [&] { return try_pull(data, until); });
}

void receiver::abort() noexcept {
  wire_.abort();
}

result<void> receiver::try_pull(std::span<std::byte> data, deadline until) {
  std::size_t offset = 0;
  do {
    notice what;
    socket fd;
    if (auto heard = wire_.receive(&what, sizeof(what), fd, until); !heard)
      return heard;
    auto source = find(what, std::move(fd), data.size(), data.size() - offset);
    if (!source)
      return fail(source.error());
    if (auto done = copy(*source, data.data() + offset, until); !done)
      return done;
    receipt done;
    done.sequence = sequence_++;
    if (auto told = wire_.send(&done, sizeof(done), -1, until); !told)
      return told;
    offset += source->size();
  } while (offset < data.size());
  return {};
}

result<std::span<const std::byte>> receiver::find(const notice& what, socket fd,
                                                  std::size_t wanted,
                                                  std::size_t left) {
  if (what.magic != notice::kind || what.sequence != sequence_)
    return fail(errc::corrupt, "the other end does not speak our protocol");
  if (what.total != wanted)
    return fail(errc::invalid, fmt::format("{} bytes were pushed, {} expected",
                                           what.total, wanted));
  // An empty part of a push that is not empty would never end.
  if (what.length > left || (what.length == 0 && wanted != 0))
    return fail(errc::corrupt, "a notice of more than the rest");
  if (fd && regions_.size() < regions_max) {
    auto mapped = foreign_arena::map(fd.fd());
    if (!mapped)
      return fail(mapped.error());
    regions_.insert_or_assign(what.region, std::move(*mapped));
  }
  auto found = regions_.find(what.region);
  if (found == regions_.end())
    return fail(errc::corrupt, "a notice of memory that was not handed over");
  auto memory = found->second.memory();
  if (what.offset > memory.size() || what.length > memory.size() - what.offset)
    return fail(errc::corrupt, "a notice of bytes outside the memory");
  return memory.subspan(what.offset, what.length);
}

result<void> receiver::copy(std::span<const std::byte> from, std::byte* to,
                            deadline until) {
  for (std::size_t offset = 0; offset < from.size(); offset += stride) {
    if (wire_.dead())
      return fail(errc::aborted, "the link was aborted");
    if (offset > 0 && until.passed())
      return fail(errc::timed_out, "the copy took too long");
    std::memcpy(to + offset, from.data() + offset,
                std::min(stride, from.size() - offset));
  }
  return {};
}

} // namespace troupe::comm::shm
