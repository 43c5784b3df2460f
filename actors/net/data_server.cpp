// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/data_server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "troupe/actors/net/data_protocol.hpp"
#include "troupe/actors/net/dial.hpp"
#include "troupe/actors/net/stream.hpp"
#include "troupe/core/units.hpp"

namespace troupe::net {

namespace protocol = data_protocol;

namespace {

// What one call of the kernel's may copy before the deadline is looked at.
constexpr std::uint64_t piece_bytes = 1024 * 1024;

struct connection {
  std::unique_ptr<stream> channel;
  std::array<std::byte, protocol::request::bytes_size> in;
  std::size_t have = 0;
  event_loop::token watch = 0;
  event_loop::token timer = 0;
  std::function<void()> on_end;
};

using connection_ptr = std::shared_ptr<connection>;

struct job {
  connection_ptr from;
  protocol::request request;
};

/// A handler and how many run it.
struct served {
  data_server::handler answer;
  int running = 0;
};

bool send_file(const connection& to, const process::exported_file& x,
               deadline until) {
  off_t at = 0;
  while (static_cast<std::uint64_t>(at) < x.size) {
    auto left = x.size - static_cast<std::uint64_t>(at);
    auto sent = ::sendfile(to.channel->fd(), x.file->get(), &at,
                           std::min(left, piece_bytes));
    // A file that is shorter than said: nothing the other side could mend.
    if (sent == 0 || until.passed())
      return false;
    if (sent > 0 || errno == EINTR)
      continue;
    if (errno != EAGAIN || !await_ready(to.channel->fd(), POLLOUT, until))
      return false;
  }
  return true;
}

} // namespace

struct data_server::impl {
  impl(event_loop& where, data_settings settings)
    : loop(where),
      config(settings),
      alive(std::make_shared<bool>(true)) {
    // nop
  }

  event_loop& loop;
  data_settings config;

  // The loop's thread alone.
  std::set<connection_ptr> idle;
  std::shared_ptr<bool> alive;

  // Guards what follows.
  std::mutex mutex;
  std::condition_variable changed;
  std::shared_ptr<served> handler = std::make_shared<served>();
  std::deque<job> queue;
  std::set<connection_ptr> busy;
  std::vector<std::thread> threads;
  int waiting = 0;
  bool stopping = false;

  // -- the loop's thread ------------------------------------------------------

  void await_request(const connection_ptr& x) {
    x->have = 0;
    idle.insert(x);
    x->watch = loop.watch(x->channel->fd(), EPOLLIN, [this, x](std::uint32_t) {
      // A copy of its own: `x` goes with the watch.
      auto from = x;
      read(from);
    });
    x->timer = loop.after(config.idle_max, [this, x] {
      auto from = x;
      close(from);
    });
    if (x->watch == 0)
      close(x);
  }

  void leave_idle(const connection_ptr& x) {
    loop.forget(x->watch);
    loop.cancel(x->timer);
    x->watch = x->timer = 0;
    idle.erase(x);
  }

  void close(const connection_ptr& x) {
    leave_idle(x);
    x->channel.reset();
    if (x->on_end)
      x->on_end();
  }

  void read(const connection_ptr& x) {
    auto got = x->channel->read(std::span{x->in}.subspan(x->have));
    if (got.state == io_state::want_read)
      return;
    x->have += got.bytes;
    if (got.state != io_state::done) {
      close(x);
      return;
    }
    if (x->have < x->in.size())
      return;
    auto request = protocol::decode_request(x->in);
    if (!request) {
      close(x);
      return;
    }
    leave_idle(x);
    queue_up({x, *request});
  }

  void queue_up(job x) {
    std::lock_guard guard{mutex};
    if (stopping)
      return;
    queue.push_back(std::move(x));
    // Those that wait may have been woken already, for jobs that came before.
    if (waiting < static_cast<int>(queue.size())
        && static_cast<int>(threads.size()) < config.threads_max) {
      try {
        threads.emplace_back([this] { work(); });
      } catch (const std::system_error&) {
        // Those there are will come to it; if there are none, the asker's
        // deadline does.
      }
    }
    changed.notify_one();
  }

  // -- the server's threads ---------------------------------------------------

  void work() {
    // sendfile knows no MSG_NOSIGNAL.
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    std::unique_lock lock{mutex};
    while (!stopping) {
      if (queue.empty()) {
        ++waiting;
        // Ends with the server's destructor.
        changed.wait(lock, [this] { return stopping || !queue.empty(); });
        --waiting;
        continue;
      }
      auto now = std::move(queue.front());
      queue.pop_front();
      busy.insert(now.from);
      auto who = handler;
      ++who->running;
      lock.unlock();
      auto good = serve_one(now, *who);
      lock.lock();
      --who->running;
      busy.erase(now.from);
      changed.notify_all();
      loop.post([this, from = std::move(now.from), good, still = alive] {
        if (!*still)
          return;
        if (good)
          await_request(from);
        else
          close(from);
      });
    }
  }

  /// False if the connection is of no more use.
  bool serve_one(const job& x, const served& who) const {
    auto budget = std::chrono::milliseconds{x.request.budget_ms};
    auto until = deadline::after(std::min<duration>(budget, config.answer_max));
    auto found = find(x.request, who, until);
    if (!found)
      return static_cast<bool>(
        send_all(*x.from->channel, protocol::encode(found.error()),
                 // Late, but the asker gets to know what was late.
                 deadline::after(std::chrono::seconds{1})));
    protocol::answer head{true, errc::internal, found->size};
    return send_all(*x.from->channel, protocol::encode(head), until)
           && send_file(*x.from, *found, until);
  }

  static result<process::exported_file>
  find(const protocol::request& x, const served& who, deadline until) {
    if (!who.answer)
      return fail(errc::unavailable, "this node serves no buffers");
    auto found = who.answer(x.slot, x.life, x.buffer, until);
    if (!found)
      return found;
    if (!found->file || found->size == 0)
      return fail(errc::unavailable, "the buffer is empty");
    if (found->size > x.bytes_max)
      return fail(errc::corrupt,
                  fmt::format("buffer {} has {}, and at most {} were expected",
                              x.buffer.value(), format_bytes(found->size),
                              format_bytes(x.bytes_max)));
    return found;
  }
};

data_server::data_server(event_loop& loop, data_settings config)
  : impl_(std::make_unique<impl>(loop, config)) {
  // nop
}

data_server::~data_server() {
  {
    std::lock_guard guard{impl_->mutex};
    impl_->stopping = true;
    // Who sends stops at once.
    for (const auto& x : impl_->busy)
      ::shutdown(x->channel->fd(), SHUT_RDWR);
    impl_->changed.notify_all();
  }
  for (auto& x : impl_->threads)
    x.join();
  impl_->loop.run([this] {
    *impl_->alive = false;
    while (!impl_->idle.empty()) {
      auto x = *impl_->idle.begin();
      x->on_end = nullptr;
      impl_->close(x);
    }
  });
}

void data_server::serve(handler answer) {
  auto fresh = std::make_shared<served>();
  fresh->answer = std::move(answer);
  std::unique_lock lock{impl_->mutex};
  auto old = std::exchange(impl_->handler, fresh);
  // Bounded by the deadlines of the requests that are being answered.
  impl_->changed.wait(lock, [&old] { return old->running == 0; });
}

void data_server::add(process::unique_fd socket, std::function<void()> on_end) {
  auto x = std::make_shared<connection>();
  x->channel = make_plain_stream(std::move(socket));
  x->on_end = std::move(on_end);
  impl_->await_request(x);
}

} // namespace troupe::net
