// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/inproc/window_link.hpp"

#include <limits>

#include "troupe/comm/shared_memory.hpp"

namespace troupe::comm::inproc {

std::pair<link_ptr, link_ptr>
window_link::wrap(std::pair<link_ptr, link_ptr> ends) {
  auto shared = std::make_shared<book>();
  return {link_ptr{
            new window_link{std::move(ends.first), shared, side::sender}},
          link_ptr{
            new window_link{std::move(ends.second), shared, side::receiver}}};
}

window_link::window_link(link_ptr stream, std::shared_ptr<book> shared,
                         side which)
  : stream_(std::move(stream)),
    book_(std::move(shared)),
    side_(which) {
  // nop
}

window_link::~window_link() {
  if (side_ == side::sender)
    withdraw();
  std::unique_lock lock{book_->mutex};
  quit({errc::lost, "the other end of the link is gone"});
}

std::string_view window_link::backend() const noexcept {
  return stream_->backend();
}

result<void> window_link::push(std::span<const std::byte> data,
                               deadline until) {
  auto done = stream_->push(data, until);
  return done ? done : result<void>{fail(die(done.error()))};
}

result<void> window_link::pull(std::span<std::byte> data, deadline until) {
  auto done = stream_->pull(data, until);
  return done ? done : result<void>{fail(die(done.error()))};
}

void window_link::abort() noexcept {
  try {
    die({errc::aborted, "the link was aborted"});
  } catch (...) {
    // No memory for the text; waking needs none.
    stream_->abort();
  }
}

window_source* window_link::source_windows() noexcept {
  return side_ == side::sender ? this : nullptr;
}

window_sink* window_link::sink_windows() noexcept {
  return side_ == side::receiver ? this : nullptr;
}

// -- sender --------------------------------------------------------------------

result<void> window_link::share(std::shared_ptr<shared_memory>) {
  return {};
}

std::optional<window>
window_link::locate(std::span<const std::byte> data) const noexcept {
  return window{0, reinterpret_cast<std::uintptr_t>(data.data())};
}

result<void> window_link::lend(std::uint64_t count, deadline) {
  std::unique_lock lock{book_->mutex};
  if (auto why = obstacle())
    return fail(*why);
  book_->lent += count;
  book_->changed.notify_all();
  return {};
}

result<std::uint64_t> window_link::reclaim(std::uint64_t known,
                                           deadline until) {
  std::unique_lock lock{book_->mutex};
  auto done = wait(lock, until, [&] { return book_->returned > known; });
  if (!done)
    return fail(done.error());
  return book_->returned;
}

void window_link::withdraw() noexcept {
  std::unique_lock lock{book_->mutex};
  if (book_->returned == book_->lent)
    return;
  quit({errc::lost, "the other end of the link gave up"});
  // No longer than one unit takes: the reader looks at `intact`.
  book_->changed.wait(lock, [&] { return !book_->reading; });
}

// -- receiver ------------------------------------------------------------------

result<std::span<const std::byte>> window_link::view(window where,
                                                     std::uint64_t bytes) {
  static_assert(sizeof(std::uintptr_t) == sizeof(where.offset));
  if (where.region != 0)
    return fail(errc::corrupt, "a window of memory that was not shared");
  // The sender is a part of this program.
  return std::span{reinterpret_cast<const std::byte*>( // NOLINT
                     static_cast<std::uintptr_t>(where.offset)),
                   static_cast<std::size_t>(bytes)};
}

result<void> window_link::borrow(std::uint64_t total, deadline until) {
  std::unique_lock lock{book_->mutex};
  auto done = wait(lock, until, [&] { return book_->lent >= total; });
  if (done)
    book_->reading = true;
  return done;
}

bool window_link::intact() const noexcept {
  std::unique_lock lock{book_->mutex};
  return !book_->quitter;
}

result<void> window_link::give_back(std::uint64_t total, deadline) {
  std::unique_lock lock{book_->mutex};
  book_->reading = false;
  book_->changed.notify_all();
  if (auto why = obstacle())
    return fail(*why);
  book_->returned = total;
  return {};
}

void window_link::let_go() noexcept {
  std::unique_lock lock{book_->mutex};
  if (!book_->reading)
    return;
  book_->reading = false;
  quit({errc::lost, "the other end of the link gave up"});
  book_->changed.notify_all();
}

// -- life ----------------------------------------------------------------------

std::optional<error> window_link::obstacle() const {
  if (!book_->quitter)
    return std::nullopt;
  if (*book_->quitter == side_)
    return book_->cause;
  return error{errc::lost, "the other end of the link is gone"};
}

template <class F>
result<void> window_link::wait(std::unique_lock<std::mutex>& lock,
                               deadline until, F ready) {
  book_->changed.wait_for(lock, until.left(),
                          [&] { return book_->quitter || ready(); });
  if (auto why = obstacle())
    return fail(*why);
  if (ready())
    return {};
  quit({errc::timed_out, "the other end of the link did not answer"});
  lock.unlock();
  auto late = die(
    {errc::timed_out, "the other end of the link did not answer"});
  lock.lock();
  return fail(std::move(late));
}

void window_link::quit(const error& why) {
  if (!book_->quitter) {
    book_->quitter = side_;
    book_->cause = why;
  }
  book_->changed.notify_all();
}

error window_link::die(error why) {
  {
    std::unique_lock lock{book_->mutex};
    quit(why);
  }
  stream_->abort();
  return why;
}

} // namespace troupe::comm::inproc
