// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/guard_client.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "troupe/actors/process/guard.hpp"
#include "troupe/actors/process/guard_protocol.hpp"
#include "troupe/actors/process/message_socket.hpp"
#include "troupe/actors/process/peer_mesh.hpp"
#include "troupe/actors/process/process_tree.hpp"
#include "troupe/actors/process/spawn_process.hpp"

namespace troupe::process {

namespace protocol = guard_protocol;

namespace {

/// Silence of the guard that is too long, as a multiple of a host's: it starts
/// processes, and has no thread of high priority to give signs.
constexpr int guard_patience = 3;

bool wait_readable(int fd, deadline until) {
  pollfd event{fd, POLLIN, 0};
  for (;;) {
    auto ready = ::poll(&event, 1, static_cast<int>(until.left_ms().count()));
    if (ready > 0)
      return true;
    if (ready == 0 && until.passed())
      return false;
    if (ready < 0 && errno != EINTR)
      return false;
  }
}

result<void> check(const host_command& x) {
  if (x.slot < 0 || x.slot >= slots_max)
    return fail(errc::invalid,
                fmt::format("slot {} is not in [0, {})", x.slot, slots_max));
  if (x.argv.empty())
    return fail(errc::invalid, "a host needs the name of its program");
  auto has_zero = [](const std::string& text) {
    return text.find('\0') != std::string::npos;
  };
  if (std::any_of(x.argv.begin(), x.argv.end(), has_zero)
      || std::any_of(x.env.begin(), x.env.end(), has_zero)
      || has_zero(x.executable) || has_zero(x.log_path))
    return fail(errc::invalid, "an argument holds a zero byte");
  for (const auto& entry : x.env)
    if (auto at = entry.find('='); at == 0 || at == std::string::npos)
      return fail(errc::invalid,
                  fmt::format("'{}' is no NAME=value entry of an environment",
                              entry));
  return {};
}

error bad_job_id(const std::string& x) {
  return {errc::invalid,
          fmt::format("'{}' is no job id: at most 64 letters, digits, '-' and "
                      "'_'",
                      x)};
}

/// As a message carries it.
std::uint32_t in_ms(duration x) {
  auto count = std::chrono::ceil<std::chrono::milliseconds>(x).count();
  return static_cast<std::uint32_t>(
    std::clamp<std::int64_t>(count, 0, std::numeric_limits<int>::max()));
}

/// As many descriptors as the administrator allows: every stored batch, peer
/// and connection takes one, and the usual default is 1,024. Hosts inherit it.
void raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  auto wanted = std::min<rlim_t>(limit.rlim_max, 65'536);
  if (limit.rlim_cur >= wanted)
    return;
  limit.rlim_cur = wanted;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

} // namespace

struct guard_client::impl {
  /// A call of `spawn` that waits.
  struct pending {
    std::int32_t slot = 0;
    incarnation life;
    std::optional<result<std::int32_t>> answer;
    /// The caller's deadline passed: nobody wants the host any more.
    bool abandoned = false;
  };

  struct live {
    incarnation life;
    std::int32_t pid = 0;
    bool abandoned = false;
  };

  guard_settings config;
  std::int32_t pid = 0;
  unique_fd guard_process;
  unique_fd socket;
  unique_fd waker;
  exit_listener on_exit;
  lost_listener on_guard_lost;
  peer_mesh* mesh = nullptr;
  std::thread reader;
  std::atomic<bool> closing = false;
  // The reader's.
  deadline next_sign = deadline::after(duration::zero());
  time_point last_look = std::chrono::steady_clock::now();
  time_point guard_heard = std::chrono::steady_clock::now();
  /// After the last time that we were held up for longer than the guard waits.
  time_point woke{};
  std::atomic<bool> stopping = false;
  std::atomic<bool> overslept = false;

  // Guards what follows.
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t last_request = 0;
  std::map<std::uint64_t, pending> calls;
  std::map<std::int32_t, live> hosts;
  bool listening = false;
  bool closed = false;
  bool lost = false;

  // -- reading (the reader's thread) ------------------------------------------

  void read_loop() {
    // A node may have waited for its job for hours.
    guard_heard = last_look = std::chrono::steady_clock::now();
    while (!stopping) {
      auto timeout = watches() ? static_cast<int>(next_sign.left_ms().count())
                               : -1;
      pollfd events[] = {{socket.get(), POLLIN, 0}, {waker.get(), POLLIN, 0}};
      if (::poll(events, 2, timeout) < 0)
        continue;
      if ((events[0].revents && !read_all()) || !exchange_signs()) {
        guard_gone();
        return;
      }
    }
  }

  [[nodiscard]] bool watches() const {
    return config.pulse > duration::zero()
           && config.node_grace > duration::zero();
  }

  /// Asked wherever the time is read: the guard's end may be seen later than we
  /// have woken up.
  void note_gap(time_point now) {
    // The next look is due after a pulse.
    if (!watches() || now - last_look <= config.pulse + config.node_grace)
      return;
    overslept = true;
    woke = now;
  }

  /// Once a pulse: gives a sign of life, and looks for the guard's. False if
  /// the guard is frozen; it is killed then, because it would not end the hosts
  /// if we ended now.
  bool exchange_signs() {
    if (!watches() || !next_sign.passed())
      return true;
    auto now = std::chrono::steady_clock::now();
    // What came while we slept was read before the first look that followed. A
    // guard that is heard after that has slept too: the whole machine was
    // suspended.
    if (guard_heard > last_look && last_look > woke)
      overslept = false;
    note_gap(now);
    // Who was held up itself has heard nobody.
    if (now - last_look > config.pulse + config.pulse_timeout / 2)
      guard_heard = now;
    last_look = now;
    next_sign = deadline::after(config.pulse);
    send(protocol::alive{});
    if (closing || now - guard_heard < guard_patience * config.pulse_timeout)
      return true;
    ::kill(pid, SIGKILL);
    return false;
  }

  /// False if the guard is gone.
  bool read_all() {
    incoming in;
    for (;;) {
      switch (receive_message(socket.get(), protocol::message_bytes_max, in)) {
        case io_status::would_block: return true;
        case io_status::done: break;
        default: return false;
      }
      auto message = protocol::decode(in.message);
      if (!message || !handle(*message, std::move(in.files)))
        return false;
    }
  }

  /// False for a message a guard does not send.
  bool handle(const protocol::message& x, std::vector<unique_fd> files) {
    if (auto* peer = std::get_if<protocol::peer>(&x)) {
      if (files.size() != 1)
        return false;
      if (mesh)
        mesh->add_peer(peer->slot, peer->incarnation, std::move(files[0]));
      return true;
    }
    if (!files.empty())
      return false;
    if (std::holds_alternative<protocol::alive>(x))
      guard_heard = std::chrono::steady_clock::now();
    else if (auto* y = std::get_if<protocol::spawned>(&x))
      answer(y->request, y->pid);
    else if (auto* y = std::get_if<protocol::spawn_failed>(&x))
      answer(y->request, fail(y->reason));
    else if (auto* y = std::get_if<protocol::exited>(&x))
      host_ended(y->exit);
    else
      return false;
    return true;
  }

  void answer(std::uint64_t request, result<std::int32_t> what) {
    std::lock_guard guard{mutex};
    auto i = calls.find(request);
    if (i == calls.end())
      return;
    auto& call = i->second;
    if (what)
      hosts[call.slot] = live{call.life, *what, call.abandoned};
    if (!call.abandoned) {
      call.answer = std::move(what);
      changed.notify_all();
      return;
    }
    if (what)
      send(protocol::kill{call.slot, call.life, SIGKILL});
    calls.erase(i);
  }

  void host_ended(const host_exit& x) {
    auto wanted = true;
    {
      std::lock_guard guard{mutex};
      auto i = hosts.find(x.slot);
      if (i != hosts.end() && i->second.life == x.incarnation) {
        wanted = !i->second.abandoned;
        hosts.erase(i);
      }
    }
    if (mesh)
      mesh->drop_peer(x.slot, x.incarnation);
    if (wanted && !closing && on_exit)
      on_exit(x);
  }

  void guard_gone() {
    note_gap(std::chrono::steady_clock::now());
    {
      std::lock_guard guard{mutex};
      lost = true;
      changed.notify_all();
    }
    if (closing)
      return;
    clean_up_after_guard();
    if (on_guard_lost)
      on_guard_lost();
  }

  // -- writing ----------------------------------------------------------------

  io_status send(const protocol::message& x) {
    return send_message(socket.get(), protocol::encode(x));
  }

  error lost_error() const {
    return error{errc::lost,
                 fmt::format("the guard (process {}) is gone", pid)};
  }

  result<void> begin_job(const guard_settings& x) {
    if (!is_job_id(x.job_id))
      return fail(bad_job_id(x.job_id));
    std::lock_guard guard{mutex};
    if (listening || closed)
      return fail(errc::unavailable, "the guard serves a job already");
    config.job_id = x.job_id;
    config.pulse = x.pulse;
    config.pulse_timeout = x.pulse_timeout;
    config.node_grace = x.node_grace;
    config.core_grace = x.core_grace;
    auto status = send(
      protocol::begin_job{x.job_id, in_ms(x.pulse), in_ms(x.pulse_timeout),
                          in_ms(x.node_grace), in_ms(x.core_grace)});
    if (status != io_status::done)
      return fail(lost_error());
    return {};
  }

  result<host_process> spawn(const host_command& command, deadline until) {
    if (auto ok = check(command); !ok)
      return fail(ok.error());
    std::unique_lock lock{mutex};
    if (!listening || closed)
      return fail(errc::unavailable,
                  closed ? "the guard has been closed" : "listen before spawn");
    auto request = ++last_request;
    auto message = protocol::encode(protocol::spawn{request, command});
    if (message.size() > protocol::message_bytes_max)
      return fail(errc::invalid,
                  fmt::format("arguments and environment of a host take {} "
                              "bytes; {} are possible",
                              message.size(), protocol::message_bytes_max));
    for (;;) {
      if (lost)
        return fail(lost_error());
      auto status = send_message(socket.get(), message);
      if (status == io_status::done)
        break;
      if (status == io_status::closed || status == io_status::malformed)
        return fail(lost_error());
      if (until.passed())
        return fail(errc::timed_out, "the guard does not read its requests");
      // The guard reads at once, unless somebody stopped it.
      changed.wait_for(lock, std::min<duration>(until.left(),
                                                std::chrono::milliseconds{5}));
    }
    auto& call = calls[request];
    call.slot = command.slot;
    call.life = command.incarnation;
    while (!call.answer && !lost && !until.passed())
      changed.wait_for(lock, until.left());
    if (!call.answer && !lost) {
      call.abandoned = true;
      return fail(errc::timed_out,
                  fmt::format("the guard did not start slot {} in time",
                              command.slot));
    }
    auto answer = std::move(call.answer);
    calls.erase(request);
    if (!answer)
      return fail(lost_error());
    if (!*answer)
      return fail(answer->error());
    return host_process{**answer, command.incarnation};
  }

  result<void> kill(std::int32_t slot, int signal) {
    if (signal <= 0 || signal > SIGRTMAX)
      return fail(errc::invalid, fmt::format("{} is no signal", signal));
    std::lock_guard guard{mutex};
    if (lost)
      return fail(lost_error());
    auto i = hosts.find(slot);
    if (i == hosts.end())
      return fail(errc::lost, fmt::format("no host in slot {}", slot));
    switch (send(protocol::kill{slot, i->second.life, signal})) {
      case io_status::done: return {};
      case io_status::would_block:
        return fail(errc::unavailable, "the guard does not read its requests");
      default: return fail(lost_error());
    }
  }

  // -- the end ----------------------------------------------------------------

  /// What the guard would have done: its hosts die with it, but the processes
  /// of their sessions do not.
  void clean_up_after_guard() {
    {
      std::lock_guard guard{mutex};
      for (const auto& [slot, x] : hosts)
        ::kill(-x.pid, SIGKILL);
      hosts.clear();
    }
    sweep_shared_memory(config.job_id);
  }

  result<void> close(deadline until) {
    {
      std::lock_guard guard{mutex};
      if (closed)
        return {};
      closed = true;
    }
    closing = true;
    auto grace = std::min(config.term_grace, until.left() / 2);
    grace = std::min<duration>(grace, std::chrono::milliseconds{
                                        protocol::grace_ms_max});
    auto grace_ms = std::chrono::ceil<std::chrono::milliseconds>(grace);
    // If the guard cannot hear us it is dead or stopped; the wait will tell.
    send(protocol::shutdown{static_cast<std::uint32_t>(grace_ms.count())});
    auto in_time = wait_readable(guard_process.get(), until);
    if (!in_time)
      ::kill(pid, SIGKILL);
    int status = 0;
    pid_t reaped = 0;
    do
      reaped = ::waitpid(pid, &status, 0);
    while (reaped < 0 && errno == EINTR);
    stopping = true;
    wake(waker.get());
    if (reader.joinable())
      reader.join();
    auto clean = reaped == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!clean)
      clean_up_after_guard();
    if (!in_time)
      return fail(errc::timed_out, "the guard did not end in time");
    if (!clean && reaped == pid)
      return fail(errc::lost,
                  fmt::format("the guard was {}",
                              host_exit{0, {}, pid, status, 0}.describe()));
    return {};
  }
};

result<std::unique_ptr<guard_client>>
guard_client::start(guard_settings config) {
  if (!is_job_id(config.job_id))
    return fail(bad_job_id(config.job_id));
  auto ends = make_socket_pair();
  if (!ends)
    return fail(ends.error());
  auto waker = make_wake_fd();
  if (!waker)
    return fail(waker.error());
  raise_descriptor_limit();
  auto state = std::make_unique<impl>();
  auto node_pid = ::getpid();
  auto pid = fork_unheard("the guard");
  if (!pid)
    return fail(pid.error());
  if (*pid == 0)
    guard_main(std::move(ends->second), node_pid, config);
  state->config = std::move(config);
  state->pid = *pid;
  state->socket = std::move(ends->first);
  state->waker = std::move(*waker);
  state->guard_process.reset(
    static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  if (!state->guard_process) {
    auto reason = system_error(errc::exhausted, "cannot watch the guard",
                               errno);
    ::kill(*pid, SIGKILL);
    ::waitpid(*pid, nullptr, 0);
    return fail(std::move(reason));
  }
  return std::unique_ptr<guard_client>{new guard_client(std::move(state))};
}

guard_client::guard_client(std::unique_ptr<impl> x) : impl_(std::move(x)) {
  // nop
}

guard_client::~guard_client() {
  static_cast<void>(close(deadline::after(std::chrono::seconds{2})));
}

result<void> guard_client::begin_job(const guard_settings& x) {
  return impl_->begin_job(x);
}

bool guard_client::overslept() const noexcept {
  return impl_->overslept;
}

void guard_client::listen(exit_listener on_exit, lost_listener on_guard_lost,
                          peer_mesh* mesh) {
  impl_->on_exit = std::move(on_exit);
  impl_->on_guard_lost = std::move(on_guard_lost);
  impl_->mesh = mesh;
  impl_->reader = std::thread{[state = impl_.get()] { state->read_loop(); }};
  std::lock_guard guard{impl_->mutex};
  impl_->listening = true;
}

result<host_process> guard_client::spawn(const host_command& command,
                                         deadline until) {
  return impl_->spawn(command, until);
}

result<void> guard_client::kill(std::int32_t slot, int signal) {
  return impl_->kill(slot, signal);
}

result<void> guard_client::close(deadline until) {
  return impl_->close(until);
}

std::int32_t guard_client::pid() const noexcept {
  return impl_->pid;
}

} // namespace troupe::process
