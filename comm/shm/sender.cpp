// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/ends.hpp"

namespace troupe::comm::shm {

namespace {

/// What is staged at once: small enough to stay in the cache between the two
/// copies.
constexpr std::size_t slot_bytes = std::size_t{512} << 10;

/// Slots under way: fewer than the messages that any socket queues.
constexpr std::size_t slots = 4;

} // namespace

sender::sender(std::string_view backend, socket line,
               std::vector<std::shared_ptr<shared_memory>> memories)
  : backend_(backend),
    wire_(std::move(line)),
    memories_(std::move(memories)),
    handed_over_(memories_.size() + 1) {
  // nop
}

std::string_view sender::backend() const noexcept {
  return backend_;
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
  for (std::size_t i = 0; i < memories_.size() && !data.empty(); ++i) {
    if (!memories_[i]->contains(data))
      continue;
    if (!memories_[i]->name().empty())
      return fail(errc::invalid, "memory that is shared by name is read in "
                                 "windows; push ordinary memory");
    auto offset = data.data() - memories_[i]->memory().data();
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
  if (auto done = hand_over(until); !done)
    return done;
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

result<void> sender::hand_over(deadline until) {
  for (std::uint32_t index = 1; index < handed_over_.size(); ++index) {
    if (handed_over_[index])
      continue;
    if (auto done = hand_over(index, until); !done)
      return done;
    handed_over_[index] = true;
  }
  return {};
}

result<void> sender::hand_over(std::uint32_t index, deadline until) {
  const auto& memory = region(index);
  const auto& name = memory.name();
  if (index >= regions_max)
    return fail(errc::exhausted,
                fmt::format("a link shares at most {} pieces of memory; keep "
                            "tensors together",
                            regions_max - 1));
  if (name.size() > shared_name_bytes_max || (name.empty() && memory.fd() < 0))
    return fail(errc::invalid,
                fmt::format("memory that other processes cannot find: no "
                            "descriptor and a name of {} bytes",
                            name.size()));
  notice what;
  what.magic = notice::handover;
  what.region = index;
  what.length = name.size();
  auto told = wire_.send(&what, sizeof(what), memory.fd(), until);
  if (!told || name.empty())
    return told;
  return wire_.send(name.data(), name.size(), -1, until);
}

result<void> sender::collect(deadline until) {
  auto before = received_;
  while (received_ == before)
    if (auto done = hear(until); !done)
      return done;
  return {};
}

result<void> sender::hear(deadline until) {
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
  if (got.magic == receipt::kind && got.sequence == received_
      && received_ < announced_)
    ++received_;
  else if (got.magic == receipt::returned && got.sequence > returned_
           && got.sequence <= lent_)
    returned_ = got.sequence;
  else
    return fail(errc::corrupt, "a receipt for something else");
  return {};
}

// -- the sender's windows ------------------------------------------------------

result<void> sender::share(std::shared_ptr<shared_memory> memory) {
  if (std::ranges::find(memories_, memory) != memories_.end())
    return {};
  memories_.push_back(std::move(memory));
  handed_over_.push_back(false);
  return {};
}

std::optional<window>
sender::locate(std::span<const std::byte> data) const noexcept {
  for (std::size_t i = 0; i < memories_.size(); ++i)
    if (memories_[i]->contains(data))
      return window{static_cast<std::uint32_t>(i + 1),
                    static_cast<std::uint64_t>(
                      data.data() - memories_[i]->memory().data())};
  return std::nullopt;
}

result<void> sender::lend(std::uint64_t count, deadline until) {
  return live(wire_, [&]() -> result<void> {
    if (auto done = hand_over(until); !done)
      return done;
    notice what;
    what.magic = notice::loan;
    what.sequence = lent_ + count;
    if (auto told = wire_.send(&what, sizeof(what), -1, until); !told)
      return told;
    lent_ += count;
    return {};
  });
}

result<std::uint64_t> sender::reclaim(std::uint64_t known, deadline until) {
  auto done = live(wire_, [&]() -> result<void> {
    while (returned_ <= known)
      if (auto heard = hear(until); !heard)
        return heard;
    return {};
  });
  if (!done)
    return fail(done.error());
  return returned_;
}

void sender::withdraw() noexcept {
  // The receiver finds that it cannot hand in its receipt.
  if (returned_ != lent_)
    wire_.abort();
}

const shared_memory& sender::region(std::uint32_t index) const {
  return index == 0 ? *staging_ : *memories_[index - 1];
}

} // namespace troupe::comm::shm
