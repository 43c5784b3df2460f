// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/peer_mesh.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include "troupe/actors/process/message_socket.hpp"
#include "troupe/actors/process/peer_protocol.hpp"

namespace troupe::process {

namespace protocol = peer_protocol;

namespace {

// Messages a peer has not read yet; one more and the peer is dropped.
constexpr std::size_t queue_max = 1024;

/// A message on its way to a peer.
struct outgoing {
  bytes message;
  std::shared_ptr<const unique_fd> file;
};

struct peer {
  std::int32_t slot = 0;
  incarnation life;
  unique_fd socket;
  std::deque<outgoing> queue;
  std::map<std::string, std::deque<unique_fd>, std::less<>> mailbox;
  std::size_t mailbox_size = 0;
};

using peer_ptr = std::shared_ptr<peer>;

/// A fetch that waits.
struct pending {
  const peer* target = nullptr;
  std::optional<result<fetched_file>> answer;
};

std::string name_of(std::int32_t slot) {
  return slot == node_slot ? std::string{"the node"}
                           : fmt::format("host {}", slot);
}

bool is_set(const std::atomic<bool>* x) noexcept {
  return x != nullptr && x->load(std::memory_order_acquire);
}

error gone_error(std::int32_t slot, incarnation life) {
  return error{errc::lost, fmt::format("{} (incarnation {}) is gone",
                                       name_of(slot), life.value())};
}

} // namespace

struct peer_mesh::impl {
  std::int32_t self = 0;
  unique_fd waker;
  std::thread poller;

  // Held while a handler runs, so that `serve` can wait for it. Never taken
  // with `mutex` held.
  std::mutex handler_mutex;
  handler answer;

  // Guards what follows.
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::int32_t, peer_ptr> peers;
  std::map<std::int32_t, incarnation> gone;
  std::map<std::uint64_t, pending> calls;
  /// Tags whose descriptors are closed as they come; the oldest goes first.
  std::set<std::string, std::less<>> discarded;
  std::deque<std::string> discarded_in_order;
  std::uint64_t last_request = 0;
  bool stopping = false;

  // -- membership (mutex held) ------------------------------------------------

  void drop(const peer_ptr& x) {
    auto i = peers.find(x->slot);
    if (i == peers.end() || i->second != x)
      return;
    // The poller may be about to use the socket: it is shut here and closed
    // with the last reference.
    ::shutdown(x->socket.get(), SHUT_RDWR);
    x->mailbox.clear();
    mark_gone(x->slot, x->life);
    peers.erase(i);
    for (auto& [request, call] : calls)
      if (call.target == x.get() && !call.answer)
        call.answer = fail(gone_error(x->slot, x->life));
    changed.notify_all();
    wake(waker.get());
  }

  void mark_gone(std::int32_t slot, incarnation life) {
    auto [i, fresh] = gone.emplace(slot, life);
    if (!fresh && i->second < life)
      i->second = life;
  }

  [[nodiscard]] bool is_gone(std::int32_t slot, incarnation life) const {
    auto i = gone.find(slot);
    return i != gone.end() && i->second >= life;
  }

  /// The peer, or null if it has not been introduced yet.
  result<peer_ptr> find(std::int32_t slot, incarnation life) {
    if (stopping)
      return fail(errc::aborted, "the peers are being closed");
    auto i = peers.find(slot);
    if (i != peers.end() && i->second->life == life)
      return i->second;
    if (is_gone(slot, life) || (i != peers.end() && i->second->life > life))
      return fail(gone_error(slot, life));
    return peer_ptr{};
  }

  /// Waits for a peer's introduction, which may be on its way still.
  result<peer_ptr> await(std::unique_lock<std::mutex>& lock, std::int32_t slot,
                         incarnation life, deadline until,
                         const std::atomic<bool>* given_up = nullptr) {
    if (slot == self)
      return fail(errc::invalid, "a process is no peer of its own");
    for (;;) {
      auto x = find(slot, life);
      if (!x || *x)
        return x;
      if (is_set(given_up))
        return fail(errc::aborted,
                    fmt::format("waiting for {} was given up", name_of(slot)));
      if (until.passed())
        return fail(errc::timed_out,
                    fmt::format("{} (incarnation {}) has not been introduced "
                                "in time",
                                name_of(slot), life.value()));
      changed.wait_for(lock, until.left());
    }
  }

  // -- sending (mutex held) ---------------------------------------------------

  /// False if the peer was dropped instead.
  bool post(const peer_ptr& to, outgoing x) {
    if (to->queue.empty()) {
      auto file = x.file ? x.file->get() : -1;
      switch (send_message(to->socket.get(), x.message, file)) {
        case io_status::done: return true;
        case io_status::would_block: break;
        default: drop(to); return false;
      }
    }
    if (to->queue.size() >= queue_max) {
      drop(to);
      return false;
    }
    to->queue.push_back(std::move(x));
    wake(waker.get());
    return true;
  }

  void flush(const peer_ptr& to) {
    while (!to->queue.empty()) {
      const auto& x = to->queue.front();
      auto file = x.file ? x.file->get() : -1;
      auto status = send_message(to->socket.get(), x.message, file);
      if (status == io_status::would_block)
        return;
      if (status != io_status::done) {
        drop(to);
        return;
      }
      to->queue.pop_front();
    }
  }

  // -- receiving (the poller's thread) ----------------------------------------

  void poll_loop() {
    std::vector<peer_ptr> polled;
    std::vector<pollfd> events;
    for (;;) {
      polled.clear();
      events.assign(1, pollfd{waker.get(), POLLIN, 0});
      {
        std::lock_guard guard{mutex};
        if (stopping)
          return;
        for (const auto& [slot, x] : peers) {
          polled.push_back(x);
          short wanted = POLLIN;
          if (!x->queue.empty())
            wanted |= POLLOUT;
          events.push_back(pollfd{x->socket.get(), wanted, 0});
        }
      }
      if (::poll(events.data(), events.size(), -1) < 0)
        continue;
      if (events[0].revents)
        unwake(waker.get());
      for (std::size_t i = 0; i < polled.size(); ++i)
        attend(polled[i], events[i + 1].revents);
    }
  }

  void attend(const peer_ptr& x, short events) {
    if (events & (POLLIN | POLLHUP | POLLERR) && !read_all(x)) {
      std::lock_guard guard{mutex};
      drop(x);
    }
    if (events & POLLOUT) {
      std::lock_guard guard{mutex};
      flush(x);
    }
  }

  /// False if the peer has ended or sent something malformed.
  bool read_all(const peer_ptr& from) {
    incoming in;
    // A peer that never pauses must not keep the others waiting.
    for (int i = 0; i < 64; ++i) {
      switch (
        receive_message(from->socket.get(), protocol::message_bytes_max, in)) {
        case io_status::would_block: return true;
        case io_status::done: break;
        default: return false;
      }
      auto message = protocol::decode(in.message, in.files.size());
      if (!message)
        return false;
      if (auto* x = std::get_if<protocol::ask>(&*message))
        serve_one(from, *x);
      else if (auto* x = std::get_if<protocol::found>(&*message))
        finish(from, x->request, fetched_file{std::move(in.files[0]), x->size});
      else if (auto* x = std::get_if<protocol::refused>(&*message))
        finish(from, x->request, fail(std::move(x->reason)));
      else if (!keep(from, std::get<protocol::give>(*message),
                     std::move(in.files[0])))
        return false;
    }
    return true;
  }

  void serve_one(const peer_ptr& from, const protocol::ask& x) {
    result<exported_file> found = fail(errc::unavailable,
                                       fmt::format("{} serves no buffers",
                                                   name_of(self)));
    {
      std::lock_guard guard{handler_mutex};
      if (answer)
        found = answer(x.buffer);
    }
    std::lock_guard guard{mutex};
    if (found)
      post(from, {protocol::encode(protocol::found{x.request, found->size}),
                  std::move(found->file)});
    else
      post(from, {protocol::encode(protocol::refused{x.request, found.error()}),
                  nullptr});
  }

  void finish(const peer_ptr& from, std::uint64_t request,
              result<fetched_file> what) {
    std::lock_guard guard{mutex};
    auto i = calls.find(request);
    // The caller may have given up; and nobody answers for another.
    if (i == calls.end() || i->second.target != from.get())
      return;
    i->second.answer = std::move(what);
    changed.notify_all();
  }

  bool keep(const peer_ptr& from, const protocol::give& x, unique_fd file) {
    std::lock_guard guard{mutex};
    // Late: closed here.
    if (discarded.count(x.tag) > 0)
      return true;
    if (from->mailbox_size >= mailbox_max)
      return false;
    ++from->mailbox_size;
    from->mailbox[x.tag].push_back(std::move(file));
    changed.notify_all();
    return true;
  }

  // -- calls ------------------------------------------------------------------

  result<fetched_file> fetch(std::int32_t slot, incarnation life, buffer_id id,
                             deadline until) {
    std::unique_lock lock{mutex};
    auto target = await(lock, slot, life, until);
    if (!target)
      return fail(target.error());
    auto request = ++last_request;
    auto& call = calls[request];
    call.target = target->get();
    if (!post(*target,
              {protocol::encode(protocol::ask{request, id}), nullptr})) {
      calls.erase(request);
      return fail(gone_error(slot, life));
    }
    while (!call.answer && !stopping && !until.passed())
      changed.wait_for(lock, until.left());
    auto answer = std::move(call.answer);
    calls.erase(request);
    if (answer)
      return std::move(*answer);
    if (stopping)
      return fail(errc::aborted, "the peers are being closed");
    return fail(errc::timed_out,
                fmt::format("{} did not hand over buffer {} in time",
                            name_of(slot), id.value()));
  }

  result<void> send_fd(std::int32_t slot, incarnation life,
                       std::string_view tag, int fd, deadline until) {
    if (tag.size() > tag_bytes_max)
      return fail(errc::invalid,
                  fmt::format("a tag has at most {} bytes", tag_bytes_max));
    auto copy = std::make_shared<unique_fd>(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!*copy)
      return fail(system_error(errno == EBADF ? errc::invalid : errc::exhausted,
                               "cannot hand over a descriptor", errno));
    std::unique_lock lock{mutex};
    auto target = await(lock, slot, life, until);
    if (!target)
      return fail(target.error());
    if (!post(*target, {protocol::encode(protocol::give{std::string{tag}}),
                        std::move(copy)}))
      return fail(gone_error(slot, life));
    return {};
  }

  result<unique_fd> receive_fd(std::int32_t slot, incarnation life,
                               std::string_view tag, deadline until,
                               const std::atomic<bool>* given_up) {
    std::unique_lock lock{mutex};
    auto from = await(lock, slot, life, until, given_up);
    if (!from)
      return fail(from.error());
    for (;;) {
      auto now = find(slot, life);
      if (!now)
        return fail(now.error());
      auto& mailbox = (*from)->mailbox;
      if (auto i = mailbox.find(tag); i != mailbox.end()) {
        auto file = std::move(i->second.front());
        i->second.pop_front();
        if (i->second.empty())
          mailbox.erase(i);
        --(*from)->mailbox_size;
        return file;
      }
      if (is_set(given_up))
        return fail(errc::aborted, fmt::format("waiting for '{}' of {} was "
                                               "given up",
                                               tag, name_of(slot)));
      if (until.passed())
        return fail(errc::timed_out,
                    fmt::format("{} did not hand over '{}' in time",
                                name_of(slot), tag));
      changed.wait_for(lock, until.left());
    }
  }

  void discard(std::string_view tag) {
    std::lock_guard guard{mutex};
    for (auto& [slot, x] : peers)
      if (auto i = x->mailbox.find(tag); i != x->mailbox.end()) {
        x->mailbox_size -= i->second.size();
        x->mailbox.erase(i);
      }
    if (!discarded.emplace(tag).second)
      return;
    discarded_in_order.emplace_back(tag);
    if (discarded_in_order.size() > discarded_max) {
      discarded.erase(discarded_in_order.front());
      discarded_in_order.pop_front();
    }
  }

  void expect(std::string_view tag) {
    std::lock_guard guard{mutex};
    auto i = discarded.find(tag);
    if (i == discarded.end())
      return;
    discarded.erase(i);
    discarded_in_order.erase(
      std::find(discarded_in_order.begin(), discarded_in_order.end(), tag));
  }
};

peer_mesh::peer_mesh(std::int32_t self) : impl_(std::make_unique<impl>()) {
  impl_->self = self;
  // Without the descriptor no peer can be polled: as bad as no memory.
  auto waker = make_wake_fd();
  if (!waker)
    throw std::bad_alloc{};
  impl_->waker = std::move(*waker);
  impl_->poller = std::thread{[state = impl_.get()] { state->poll_loop(); }};
}

peer_mesh::~peer_mesh() {
  {
    std::lock_guard guard{impl_->mutex};
    impl_->stopping = true;
    impl_->changed.notify_all();
  }
  wake(impl_->waker.get());
  impl_->poller.join();
}

std::int32_t peer_mesh::self() const noexcept {
  return impl_->self;
}

void peer_mesh::add_peer(std::int32_t slot, incarnation life,
                         unique_fd socket) {
  // Whoever made the socket, reading it must never wait.
  ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
  std::lock_guard guard{impl_->mutex};
  auto i = impl_->peers.find(slot);
  if (slot == impl_->self || impl_->is_gone(slot, life)
      || (i != impl_->peers.end() && i->second->life >= life))
    return;
  if (i != impl_->peers.end())
    impl_->drop(peer_ptr{i->second});
  auto fresh = std::make_shared<peer>();
  fresh->slot = slot;
  fresh->life = life;
  fresh->socket = std::move(socket);
  impl_->peers.emplace(slot, std::move(fresh));
  impl_->changed.notify_all();
  wake(impl_->waker.get());
}

void peer_mesh::drop_peer(std::int32_t slot, incarnation life) {
  std::lock_guard guard{impl_->mutex};
  auto i = impl_->peers.find(slot);
  if (i != impl_->peers.end() && i->second->life <= life)
    impl_->drop(peer_ptr{i->second});
  impl_->mark_gone(slot, life);
  impl_->changed.notify_all();
}

result<void> peer_mesh::await_peer(std::int32_t slot, incarnation life,
                                   deadline until,
                                   const std::atomic<bool>* given_up) {
  std::unique_lock lock{impl_->mutex};
  auto x = impl_->await(lock, slot, life, until, given_up);
  if (!x)
    return fail(x.error());
  return {};
}

void peer_mesh::wake_waiters() {
  // Nobody is between looking and waiting while we have this.
  std::lock_guard guard{impl_->mutex};
  impl_->changed.notify_all();
}

void peer_mesh::serve(handler answer) {
  std::lock_guard guard{impl_->handler_mutex};
  impl_->answer = std::move(answer);
}

result<fetched_file> peer_mesh::fetch(std::int32_t slot, incarnation life,
                                      buffer_id id, deadline until) {
  return impl_->fetch(slot, life, id, until);
}

result<void> peer_mesh::send_fd(std::int32_t slot, incarnation life,
                                std::string_view tag, int fd, deadline until) {
  return impl_->send_fd(slot, life, tag, fd, until);
}

result<unique_fd> peer_mesh::receive_fd(std::int32_t slot, incarnation life,
                                        std::string_view tag, deadline until,
                                        const std::atomic<bool>* given_up) {
  return impl_->receive_fd(slot, life, tag, until, given_up);
}

void peer_mesh::discard(std::string_view tag) {
  impl_->discard(tag);
}

void peer_mesh::expect(std::string_view tag) {
  impl_->expect(tag);
}

} // namespace troupe::process
