// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/core.h>

#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/ends.hpp"

namespace troupe::comm::shm {

namespace {

/// Bytes copied between two looks at the deadline and the link's life.
constexpr std::size_t stride = std::size_t{4} << 20;

} // namespace

receiver::receiver(std::string_view backend, socket line,
                   std::shared_ptr<memory_opener> opener)
  : backend_(backend),
    opener_(std::move(opener)),
    wire_(std::move(line)) {
  // nop
}

std::string_view receiver::backend() const noexcept {
  return backend_;
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
    if (auto heard = listen(what, fd, until); !heard)
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
  if (fd)
    if (auto mapped = map(what.region, fd); !mapped)
      return fail(mapped.error());
  auto found = regions_.find(what.region);
  if (found != regions_.end() && !found->second.ordinary)
    return fail(errc::corrupt, "a notice of bytes that cannot be pulled");
  return view({what.region, what.offset}, what.length);
}

result<void> receiver::listen(notice& what, socket& fd, deadline until) {
  for (;;) {
    socket handed;
    auto heard = wire_.receive(&what, sizeof(what), handed, until);
    if (!heard)
      return heard;
    if (what.magic != notice::handover) {
      fd = std::move(handed);
      return {};
    }
    if (auto done = accept(what, std::move(handed), until); !done)
      return done;
  }
}

result<void> receiver::accept(const notice& what, socket fd, deadline until) {
  if (what.length == 0)
    return map(what.region, fd);
  return open(what.region, what.length, std::move(fd), until);
}

result<void> receiver::map(std::uint32_t index, const socket& fd) {
  if (auto fresh = check_new(index); !fresh)
    return fresh;
  auto mapped = foreign_arena::map(fd.fd());
  if (!mapped)
    return fail(mapped.error());
  regions_.emplace(index,
                   region{{},
                          std::make_shared<foreign_arena>(std::move(*mapped)),
                          true});
  return {};
}

result<void> receiver::open(std::uint32_t index, std::uint64_t name_bytes,
                            socket held, deadline until) {
  if (auto fresh = check_new(index); !fresh)
    return fresh;
  if (name_bytes > shared_name_bytes_max)
    return fail(errc::corrupt,
                fmt::format("memory with a name of {} bytes", name_bytes));
  std::array<std::byte, shared_name_bytes_max> name{};
  socket none;
  if (auto heard = wire_.receive(name.data(), name_bytes, none, until); !heard)
    return heard;
  if (!opener_)
    return fail(errc::corrupt, "memory that this end of the link cannot open");
  auto opened = opener_->open(std::span{name}.first(name_bytes));
  if (!opened)
    return fail(opened.error());
  regions_.emplace(index, region{std::move(held), std::move(*opened), false});
  return {};
}

result<void> receiver::check_new(std::uint32_t index) const {
  // A region is named once: what was given out as a view stays mapped.
  if (regions_.size() >= regions_max || regions_.contains(index))
    return fail(errc::corrupt, "memory was handed over twice");
  return {};
}

// -- the receiver's windows ----------------------------------------------------

result<std::span<const std::byte>> receiver::view(window where,
                                                  std::uint64_t size) {
  auto found = regions_.find(where.region);
  if (found == regions_.end())
    return fail(errc::corrupt, "a notice of memory that was not handed over");
  auto memory = found->second.memory->memory();
  if (where.offset > memory.size() || size > memory.size() - where.offset)
    return fail(errc::corrupt, "a notice of bytes outside the memory");
  return memory.subspan(where.offset, size);
}

result<void> receiver::borrow(std::uint64_t total, deadline until) {
  return live(wire_, [&]() -> result<void> {
    while (lent_ < total) {
      notice what;
      socket none;
      if (auto heard = listen(what, none, until); !heard)
        return heard;
      if (what.magic != notice::loan || what.sequence <= lent_)
        return fail(errc::corrupt, "the other end does not speak our protocol");
      lent_ = what.sequence;
    }
    return {};
  });
}

bool receiver::intact() const noexcept {
  return !wire_.dead();
}

result<void> receiver::give_back(std::uint64_t total, deadline until) {
  return live(wire_, [&]() -> result<void> {
    receipt done;
    done.magic = receipt::returned;
    done.sequence = total;
    if (auto told = wire_.send(&done, sizeof(done), -1, until); !told)
      return told;
    returned_ = total;
    return {};
  });
}

void receiver::let_go() noexcept {
  if (returned_ != lent_)
    wire_.abort();
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
