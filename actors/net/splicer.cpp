// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/splicer.hpp"

#include <array>
#include <utility>
#include <vector>

#include <sys/epoll.h>

namespace troupe::net {

namespace {

// Moves of one pair before the others get their turn.
constexpr int rounds_max = 16;

/// Bytes on their way in one direction.
struct half {
  std::vector<std::byte> buffer = std::vector<std::byte>(splicer::buffer_bytes);
  std::size_t begin = 0;
  std::size_t end = 0;

  /// Whoever feeds it has said its last.
  bool ended = false;

  /// Its end is known, but bytes that nobody takes lie before it.
  bool hung_up = false;

  /// What its source and its sink wait for.
  io_state read_wants = io_state::want_read;
  io_state write_wants = io_state::want_write;

  [[nodiscard]] bool empty() const { return begin == end; }

  [[nodiscard]] bool open() const { return !ended && end < buffer.size(); }
};

enum class moved : std::uint8_t { nothing, something, broken };

moved fill(half& x, stream& from) {
  if (!x.open())
    return moved::nothing;
  auto got = from.read(std::span{x.buffer}.subspan(x.end));
  switch (got.state) {
    case io_state::done: x.end += got.bytes; return moved::something;
    case io_state::closed: x.ended = true; return moved::something;
    case io_state::failed: return moved::broken;
    default: x.read_wants = got.state; return moved::nothing;
  }
}

moved drain(half& x, stream& to) {
  if (x.empty())
    return moved::nothing;
  auto sent = to.write(std::span{x.buffer}.subspan(x.begin, x.end - x.begin));
  switch (sent.state) {
    case io_state::done: break;
    case io_state::want_read:
    case io_state::want_write:
      x.write_wants = sent.state;
      return moved::nothing;
    default: return moved::broken;
  }
  x.begin += sent.bytes;
  if (x.empty())
    x.begin = x.end = 0;
  return moved::something;
}

} // namespace

struct splicer::pair {
  std::unique_ptr<stream> a;
  std::unique_ptr<stream> b;
  half to_b;
  half to_a;
  event_loop::token watch_a = 0;
  event_loop::token watch_b = 0;
  event_loop::token linger_timer = 0;
  std::function<void()> on_end;

  [[nodiscard]] bool ending() const {
    return to_a.ended || to_b.ended || to_a.hung_up || to_b.hung_up;
  }

  /// One side has ended, and all that it said is delivered.
  [[nodiscard]] bool over() const {
    return (to_b.ended && to_b.empty()) || (to_a.ended && to_a.empty());
  }

  /// Moves what can be moved now.
  moved step() {
    auto any = moved::nothing;
    for (auto x :
         {fill(to_b, *a), drain(to_b, *b), fill(to_a, *b), drain(to_a, *a)}) {
      if (x == moved::broken)
        return x;
      if (x == moved::something)
        any = x;
    }
    return any;
  }

  /// What a side is waited for: as `in`'s source and as `out`'s sink.
  static std::uint32_t events(const half& in, const half& out) {
    // A side that is not read because the other does not keep up can still end.
    std::uint32_t x = 0;
    if (!in.ended && !in.hung_up)
      x = EPOLLRDHUP;
    if (in.open())
      x |= stream::events_for(in.read_wants);
    if (!out.empty())
      x |= stream::events_for(out.write_wants);
    return x;
  }
};

splicer::splicer(event_loop& loop)
  : loop_(loop),
    alive_(std::make_shared<bool>(true)) {
  // nop
}

splicer::~splicer() {
  *alive_ = false;
  while (!pairs_.empty())
    remove(pairs_.begin()->first);
}

splicer::id splicer::add(std::unique_ptr<stream> a, std::unique_ptr<stream> b,
                         std::function<void()> on_end) {
  auto name = ++last_;
  auto entry = std::make_unique<pair>();
  entry->a = std::move(a);
  entry->b = std::move(b);
  entry->on_end = std::move(on_end);
  auto* fed_by_a = &entry->to_b;
  auto* fed_by_b = &entry->to_a;
  auto ready = [this, name](half& fed, std::uint32_t events) {
    if ((events & EPOLLRDHUP) != 0 && !fed.open())
      fed.hung_up = true;
    pump(name, (events & (EPOLLERR | EPOLLHUP)) != 0);
  };
  entry->watch_a = loop_.watch(entry->a->fd(), EPOLLIN | EPOLLRDHUP,
                               [ready, fed_by_a](std::uint32_t events) {
                                 ready(*fed_by_a, events);
                               });
  entry->watch_b = loop_.watch(entry->b->fd(), EPOLLIN | EPOLLRDHUP,
                               [ready, fed_by_b](std::uint32_t events) {
                                 ready(*fed_by_b, events);
                               });
  auto broken = entry->watch_a == 0 || entry->watch_b == 0;
  pairs_.emplace(name, std::move(entry));
  // TLS may hold bytes already that no event will tell of.
  loop_.post([this, name, broken, alive = alive_] {
    if (*alive)
      pump(name, broken);
  });
  return name;
}

void splicer::remove(id x) {
  auto i = pairs_.find(x);
  if (i == pairs_.end())
    return;
  loop_.forget(i->second->watch_a);
  loop_.forget(i->second->watch_b);
  loop_.cancel(i->second->linger_timer);
  pairs_.erase(i);
}

void splicer::finish(id x) {
  auto i = pairs_.find(x);
  if (i == pairs_.end())
    return;
  auto on_end = std::move(i->second->on_end);
  remove(x);
  if (on_end)
    on_end();
}

void splicer::pump(id name, bool broken) {
  auto i = pairs_.find(name);
  if (i == pairs_.end())
    return;
  auto& x = *i->second;
  auto state = moved::something;
  for (int round = 0; round < rounds_max && state == moved::something;
       ++round) {
    state = x.step();
    if (x.over())
      state = moved::broken;
  }
  if (state == moved::broken || broken) {
    finish(name);
    return;
  }
  if (state == moved::something)
    // Bytes may lie in TLS, of which no event tells.
    loop_.post([this, name, alive = alive_] {
      if (*alive)
        pump(name, false);
    });
  if (x.ending() && x.linger_timer == 0)
    x.linger_timer = loop_.after(linger, [this, name] { finish(name); });
  loop_.change(x.watch_a, pair::events(x.to_b, x.to_a));
  loop_.change(x.watch_b, pair::events(x.to_a, x.to_b));
}

} // namespace troupe::net
