// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/guard.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "troupe/actors/process/guard_protocol.hpp"
#include "troupe/actors/process/message_socket.hpp"
#include "troupe/actors/process/process_tree.hpp"
#include "troupe/actors/process/spawn_process.hpp"

namespace troupe::process {

namespace {

namespace protocol = guard_protocol;

// How many hosts live at once: each gets a socket to every other.
constexpr std::size_t hosts_max = 256;

// Reports a node has not read yet. A node so far behind is as good as gone.
constexpr std::size_t reports_max = 16 * 1024;

/// Signs of life that are read at a time.
constexpr int signs_max = 256;

/// How long the end may take where a process is stuck in the kernel.
constexpr auto end_max = std::chrono::seconds{10};

struct host {
  incarnation life;
  pid_t pid = 0;
  unique_fd control;
  /// Of its last sign of life; nothing before the first.
  std::optional<time_point> heard = std::nullopt;
  /// See `host_exit`.
  std::uint32_t silent_ms = 0;
};

/// A report on its way to the node.
struct report {
  bytes message;
  unique_fd file;
};

class guard_loop {
public:
  guard_loop(unique_fd node, unique_fd node_process, unique_fd child_signals,
             const guard_settings& config)
    : node_(std::move(node)),
      node_process_(std::move(node_process)),
      child_signals_(std::move(child_signals)),
      config_(config) {
    // nop
  }

  /// The job whose shared memory is to be swept.
  [[nodiscard]] const std::string& job_id() const noexcept {
    return config_.job_id;
  }

  /// Returns when every host is to be killed.
  void run() {
    while (!over()) {
      short node_events = POLLIN;
      if (!reports_.empty())
        node_events |= POLLOUT;
      pollfd events[] = {{node_.get(), node_events, 0},
                         {node_process_.get(), POLLIN, 0},
                         {child_signals_.get(), POLLIN, 0}};
      if (::poll(events, 3, timeout_ms()) < 0)
        continue;
      listen_to_hosts();
      if (events[1].revents)
        return;
      if (events[2].revents)
        reap();
      if (events[0].revents & (POLLIN | POLLHUP | POLLERR))
        read_node();
      flush();
    }
  }

private:
  [[nodiscard]] bool over() const {
    return node_lost_ || (end_at_ && (hosts_.empty() || end_at_->passed()));
  }

  [[nodiscard]] bool watches() const {
    return config_.pulse > duration::zero();
  }

  /// Until the next thing to do without being told to.
  [[nodiscard]] int timeout_ms() const {
    std::optional<std::chrono::milliseconds> left;
    if (end_at_)
      left = end_at_->left_ms();
    if (watches() && (!hosts_.empty() || watches_node())) {
      auto look = next_look_.left_ms();
      left = left ? std::min(*left, look) : look;
    }
    return left ? static_cast<int>(left->count()) : -1;
  }

  [[nodiscard]] bool watches_node() const {
    return watches() && config_.node_grace > duration::zero();
  }

  // -- signs of life ----------------------------------------------------------

  /// Looks at all hosts once a pulse: one wake-up, however many there are.
  void listen_to_hosts() {
    if (!watches() || !next_look_.passed())
      return;
    auto now = std::chrono::steady_clock::now();
    // Who was held up itself has heard nobody.
    auto late = now - next_look_.when();
    auto held_up = late > config_.pulse_timeout / 2;
    next_look_ = deadline::after(config_.pulse);
    if (watches_node()) {
      // The node's grace may be the shorter of the two.
      if (node_heard_ && (held_up || late > config_.node_grace / 2))
        node_heard_ = now;
      // A node gives no signs before it listens: one that waits for a job.
      if (node_heard_ && now - *node_heard_ > config_.node_grace)
        node_lost_ = true;
      // One that does not read has heard enough.
      if (reports_.empty())
        send_message(node_.get(), protocol::encode(protocol::alive{}));
    }
    for (auto& [slot, x] : hosts_) {
      if (hear(x) || (held_up && x.heard))
        x.heard = now;
      if (!x.heard || x.silent_ms > 0 || now - *x.heard < config_.pulse_timeout)
        continue;
      // Its core would be cut.
      auto silence_max = config_.pulse_timeout + config_.core_grace;
      if (now - *x.heard < silence_max && config_.dumps_core(x.pid))
        continue;
      x.silent_ms = static_cast<std::uint32_t>(
        std::chrono::ceil<std::chrono::milliseconds>(now - *x.heard).count());
      ::kill(x.pid, SIGKILL);
    }
  }

  /// True if a sign of life has come. Reads a bounded number of them: a host
  /// that sends without end keeps us from nothing.
  static bool hear(const host& x) {
    std::byte sign[8];
    auto heard = false;
    for (auto i = 0; i < signs_max; ++i) {
      if (::recv(x.control.get(), sign, sizeof(sign), MSG_DONTWAIT) <= 0)
        break;
      heard = true;
    }
    return heard;
  }

  // -- the node ---------------------------------------------------------------

  void read_node() {
    incoming in;
    for (;;) {
      switch (receive_message(node_.get(), protocol::message_bytes_max, in)) {
        case io_status::would_block: return;
        case io_status::done: break;
        // A node that speaks another language cannot be obeyed any more.
        default: node_lost_ = true; return;
      }
      auto message = protocol::decode(in.message);
      if (!message || !in.files.empty()) {
        node_lost_ = true;
        return;
      }
      node_heard_ = std::chrono::steady_clock::now();
      if (auto* x = std::get_if<protocol::spawn>(&*message))
        spawn(*x);
      else if (auto* x = std::get_if<protocol::kill>(&*message))
        kill(*x);
      else if (auto* x = std::get_if<protocol::begin_job>(&*message))
        begin_job(*x);
      else if (auto* x = std::get_if<protocol::shutdown>(&*message))
        begin_end(std::chrono::milliseconds{x->grace_ms});
      else if (!std::holds_alternative<protocol::alive>(*message))
        node_lost_ = true;
    }
  }

  void begin_job(const protocol::begin_job& x) {
    // Hosts know from the start whether they are watched.
    if (!hosts_.empty()) {
      node_lost_ = true;
      return;
    }
    config_.job_id = x.job_id;
    config_.pulse = std::chrono::milliseconds{x.pulse_ms};
    config_.pulse_timeout = std::chrono::milliseconds{x.pulse_timeout_ms};
    config_.node_grace = std::chrono::milliseconds{x.node_grace_ms};
    config_.core_grace = std::chrono::milliseconds{x.core_grace_ms};
    // The node's signs begin when it listens.
    node_heard_.reset();
  }

  void tell_node(const protocol::message& x, unique_fd file = {}) {
    if (reports_.size() >= reports_max)
      node_lost_ = true;
    else
      reports_.push_back(report{protocol::encode(x), std::move(file)});
  }

  void flush() {
    while (!reports_.empty()) {
      const auto& next = reports_.front();
      auto status = send_message(node_.get(), next.message, next.file.get());
      if (status == io_status::would_block)
        return;
      if (status == io_status::closed)
        node_lost_ = true;
      reports_.pop_front();
    }
  }

  // -- hosts ------------------------------------------------------------------

  void spawn(const protocol::spawn& x) {
    if (auto pid = start(x.command))
      tell_node(protocol::spawned{x.request, *pid});
    else
      tell_node(protocol::spawn_failed{x.request, pid.error()});
  }

  result<std::int32_t> start(const host_command& command) {
    // Whoever has just ended has left its slot.
    reap();
    if (end_at_)
      return fail(errc::unavailable, "the guard is about to end");
    if (hosts_.count(command.slot) > 0)
      return fail(errc::unavailable,
                  fmt::format("slot {} is taken", command.slot));
    if (hosts_.size() >= hosts_max)
      return fail(errc::exhausted,
                  fmt::format("{} hosts run already", hosts_max));
    // All sockets first: a host either knows everybody or does not start.
    auto control = make_socket_pair();
    if (!control)
      return fail(control.error());
    std::map<std::int32_t, std::pair<unique_fd, unique_fd>> links;
    auto to_node = make_socket_pair();
    if (!to_node)
      return fail(to_node.error());
    for (const auto& [slot, other] : hosts_) {
      auto link = make_socket_pair();
      if (!link)
        return fail(link.error());
      links.emplace(slot, std::move(*link));
    }
    auto told = command;
    if (watches())
      told.env.push_back(
        fmt::format("{}={}", pulse_variable,
                    std::chrono::ceil<std::chrono::milliseconds>(config_.pulse)
                      .count()));
    auto pid = spawn_process(told,
                             command.executable.empty() ? config_.executable
                                                        : command.executable,
                             config_.job_id, control->second);
    if (!pid)
      return pid;
    // A host has nothing to say here; what it sends fails on its side.
    if (!watches())
      ::shutdown(control->first.get(), SHUT_RD);
    host entry{command.incarnation, *pid, std::move(control->first)};
    introduce(entry, node_slot, node_incarnation, to_node->first);
    tell_node(protocol::peer{command.slot, command.incarnation},
              std::move(to_node->second));
    for (auto& [slot, link] : links) {
      auto& other = hosts_.at(slot);
      introduce(entry, slot, other.life, link.first);
      introduce(other, command.slot, command.incarnation, link.second);
    }
    hosts_.emplace(command.slot, std::move(entry));
    return pid;
  }

  void introduce(const host& to, std::int32_t slot, incarnation life,
                 const unique_fd& link) {
    tell_host(to, protocol::peer{slot, life}, link.get());
  }

  void tell_host(const host& to, const protocol::message& x, int file = -1) {
    // Hundreds of unread introductions: it has been frozen for a long time,
    // and what it has missed it can never learn.
    if (send_message(to.control.get(), protocol::encode(x), file)
        == io_status::would_block)
      ::kill(to.pid, SIGKILL);
  }

  void kill(const protocol::kill& x) {
    auto i = hosts_.find(x.slot);
    if (i != hosts_.end() && i->second.life == x.incarnation)
      ::kill(i->second.pid, x.signal);
  }

  void reap() {
    signalfd_siginfo signal;
    while (::read(child_signals_.get(), &signal, sizeof(signal)) > 0)
      ; // one signal may stand for many children
    for (;;) {
      // Looked at before it is reaped: until then nobody else can have its id.
      siginfo_t info{};
      if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0
          || info.si_pid == 0)
        return;
      auto pid = info.si_pid;
      auto i = std::find_if(hosts_.begin(), hosts_.end(),
                            [pid](auto& x) { return x.second.pid == pid; });
      // Its session's processes, unless they left it, have nobody left to
      // work for. What is no host of ours is an orphan that came to us.
      if (i != hosts_.end())
        ::kill(-pid, SIGKILL);
      int status = 0;
      if (::waitpid(pid, &status, WNOHANG) == pid && i != hosts_.end())
        report_exit(i, status);
    }
  }

  void report_exit(std::map<std::int32_t, host>::iterator i, int status) {
    auto slot = i->first;
    auto life = i->second.life;
    tell_node(protocol::exited{
      {slot, life, i->second.pid, status, i->second.silent_ms}});
    hosts_.erase(i);
    for (const auto& [other_slot, other] : hosts_)
      tell_host(other, protocol::peer_gone{slot, life});
  }

  void begin_end(duration grace) {
    if (end_at_)
      return;
    end_at_ = deadline::after(grace);
    for (const auto& [slot, x] : hosts_)
      ::kill(x.pid, SIGTERM);
  }

  unique_fd node_;
  unique_fd node_process_;
  unique_fd child_signals_;
  guard_settings config_;
  std::map<std::int32_t, host> hosts_;
  std::deque<report> reports_;
  std::optional<deadline> end_at_;
  deadline next_look_ = deadline::after(duration::zero());
  /// The node's last sign of life; nothing before the first.
  std::optional<time_point> node_heard_;
  bool node_lost_ = false;
};

/// Ends of children come as readable events; the terminal's and the system's
/// requests to end do not reach us: the node decides.
unique_fd take_signals() {
  // Blocked before anything else: one that came early must stay pending.
  block_signals(signal_set::all);
  default_signals();
  sigset_t children;
  ::sigemptyset(&children);
  ::sigaddset(&children, SIGCHLD);
  return unique_fd{::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK)};
}

} // namespace

void guard_main(unique_fd node, std::int32_t node_pid,
                const guard_settings& config) noexcept {
  ::setsid();
  ::prctl(PR_SET_NAME, "troupe-guard");
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  auto kept = keep_only({node.release()});
  node = kept.empty() ? unique_fd{} : std::move(kept.front());
  auto children = take_signals();
  unique_fd node_process{
    static_cast<int>(::syscall(SYS_pidfd_open, node_pid, 0))};
  // The node may have ended before we could watch it.
  auto ready = node && children && node_process && ::getppid() == node_pid;
  auto job = config.job_id;
  if (ready) {
    guard_loop loop{std::move(node), std::move(node_process),
                    std::move(children), config};
    loop.run();
    job = loop.job_id();
  }
  auto clean = kill_descendants(deadline::after(end_max));
  sweep_shared_memory(job);
  ::_exit(ready && clean ? 0 : 1);
}

} // namespace troupe::process
