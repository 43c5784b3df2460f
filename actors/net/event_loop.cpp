// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/net/event_loop.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "troupe/actors/process/message_socket.hpp"
#include "troupe/actors/process/unique_fd.hpp"

namespace troupe::net {

namespace {

constexpr std::size_t events_per_round = 64;

constexpr int high_priority = -15;

// What the waker's events are marked with; tokens begin above.
constexpr event_loop::token waker_token = 0;

} // namespace

struct event_loop::impl {
  struct watched {
    int fd = -1;
    std::uint32_t events = 0;
    handler ready;
  };

  process::unique_fd poller;
  process::unique_fd waker;
  std::atomic<bool> stopping = false;

  // The loop's thread alone.
  token last_token = waker_token;
  std::map<token, std::shared_ptr<watched>> watches;
  std::map<std::pair<time_point, token>, task> timers;
  std::map<token, time_point> times;

  std::mutex mutex;
  std::vector<task> tasks;

  std::thread thread;

  void loop(priority level) {
    // Without the right to it the thread stays what it is.
    if (level == priority::high)
      ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), high_priority);
    std::array<epoll_event, events_per_round> events;
    while (!stopping) {
      auto count = ::epoll_wait(poller.get(), events.data(), events.size(),
                                wait_ms());
      for (int i = 0; i < count && !stopping; ++i)
        dispatch(events[static_cast<std::size_t>(i)]);
      if (!stopping)
        run_timers();
      if (!stopping)
        run_tasks();
    }
  }

  /// Until the first timer, rounded up so that the loop does not spin.
  [[nodiscard]] int wait_ms() const {
    if (timers.empty())
      return -1;
    auto left = timers.begin()->first.first - steady_clock().now();
    auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(std::clamp<std::int64_t>(ms, 0, 60'000));
  }

  void dispatch(const epoll_event& event) {
    if (event.data.u64 == waker_token) {
      process::unwake(waker.get());
      return;
    }
    // A handler may forget others, whose events lie here still, and itself.
    auto i = watches.find(event.data.u64);
    if (i == watches.end())
      return;
    auto entry = i->second;
    entry->ready(event.events);
  }

  void run_timers() {
    // Those that are made meanwhile wait for the next round.
    auto now = steady_clock().now();
    auto limit = last_token;
    while (!timers.empty() && timers.begin()->first.first <= now
           && timers.begin()->first.second <= limit) {
      auto entry = timers.extract(timers.begin());
      times.erase(entry.key().second);
      entry.mapped()();
    }
  }

  void run_tasks() {
    std::vector<task> now;
    {
      std::lock_guard guard{mutex};
      now.swap(tasks);
    }
    for (auto& x : now)
      x();
  }
};

result<std::unique_ptr<event_loop>> event_loop::start(priority level) {
  auto state = std::make_unique<impl>();
  auto waker = process::make_wake_fd();
  if (!waker)
    return fail(waker.error());
  state->waker = std::move(*waker);
  state->poller = process::unique_fd{::epoll_create1(EPOLL_CLOEXEC)};
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = waker_token;
  if (!state->poller
      || ::epoll_ctl(state->poller.get(), EPOLL_CTL_ADD, state->waker.get(),
                     &event)
           != 0)
    return fail(process::system_error(errc::exhausted,
                                      "no descriptor to wait with", errno));
  try {
    state->thread = std::thread{[x = state.get(), level] { x->loop(level); }};
  } catch (const std::system_error&) {
    return fail(errc::exhausted, "no thread to wait with");
  }
  return std::unique_ptr<event_loop>{new event_loop(std::move(state))};
}

event_loop::event_loop(std::unique_ptr<impl> x) : impl_(std::move(x)) {
  // nop
}

event_loop::~event_loop() {
  impl_->stopping = true;
  process::wake(impl_->waker.get());
  impl_->thread.join();
}

bool event_loop::on_thread() const noexcept {
  return std::this_thread::get_id() == impl_->thread.get_id();
}

void event_loop::post(task x) {
  {
    std::lock_guard guard{impl_->mutex};
    impl_->tasks.push_back(std::move(x));
  }
  process::wake(impl_->waker.get());
}

void event_loop::run(const task& x) {
  if (on_thread()) {
    x();
    return;
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool ran = false;
  post([&mutex, &changed, &ran, &x] {
    x();
    std::lock_guard guard{mutex};
    ran = true;
    changed.notify_all();
  });
  std::unique_lock lock{mutex};
  // Ends because callbacks never wait and the loop outlives its users.
  changed.wait(lock, [&ran] { return ran; });
}

event_loop::token event_loop::watch(int fd, std::uint32_t events,
                                    handler ready) {
  auto name = ++impl_->last_token;
  epoll_event event{};
  event.events = events;
  event.data.u64 = name;
  if (::epoll_ctl(impl_->poller.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return 0;
  auto entry = std::make_shared<impl::watched>();
  entry->fd = fd;
  entry->events = events;
  entry->ready = std::move(ready);
  impl_->watches.emplace(name, std::move(entry));
  return name;
}

void event_loop::change(token x, std::uint32_t events) {
  auto i = impl_->watches.find(x);
  if (i == impl_->watches.end() || i->second->events == events)
    return;
  i->second->events = events;
  epoll_event event{};
  event.events = events;
  event.data.u64 = x;
  ::epoll_ctl(impl_->poller.get(), EPOLL_CTL_MOD, i->second->fd, &event);
}

void event_loop::forget(token x) {
  auto i = impl_->watches.find(x);
  if (i == impl_->watches.end())
    return;
  ::epoll_ctl(impl_->poller.get(), EPOLL_CTL_DEL, i->second->fd, nullptr);
  impl_->watches.erase(i);
}

event_loop::token event_loop::after(duration wait, task x) {
  auto name = ++impl_->last_token;
  auto when = steady_clock().now() + wait;
  impl_->timers.emplace(std::pair{when, name}, std::move(x));
  impl_->times.emplace(name, when);
  return name;
}

void event_loop::cancel(token x) {
  auto i = impl_->times.find(x);
  if (i == impl_->times.end())
    return;
  impl_->timers.erase(std::pair{i->second, x});
  impl_->times.erase(i);
}

} // namespace troupe::net
