// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/spawn_process.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "troupe/actors/process/message_socket.hpp"
#include "troupe/core/deadline.hpp"

extern char** environ;

namespace troupe::process {

namespace {

// Where the host finds its control socket: the first after the three.
constexpr int control_fd = 3;
// Closed by a successful exec, which is how the parent hears of it.
constexpr int report_fd = 4;

enum class stage : int { log = 1, prepare = 2, execute = 3 };

/// What the child says if it cannot become the host.
struct report {
  stage where;
  int number;
};

/// What exec needs, made before the fork.
struct exec_image {
  std::vector<std::string> env;
  std::vector<char*> argv_pointers;
  std::vector<char*> env_pointers;

  exec_image(const host_command& command, const std::string& job_id) {
    for (auto** x = environ; x && *x; ++x)
      env.emplace_back(*x);
    for (const auto& x : command.env)
      set(x);
    set(fmt::format("{}={}", guard_fd_variable, control_fd));
    set(fmt::format("{}={}", job_variable, job_id));
    set(fmt::format("{}={}", slot_variable, command.slot));
    set(
      fmt::format("{}={}", incarnation_variable, command.incarnation.value()));
    for (const auto& x : command.argv)
      argv_pointers.push_back(const_cast<char*>(x.c_str()));
    argv_pointers.push_back(nullptr);
    for (auto& x : env)
      env_pointers.push_back(x.data());
    env_pointers.push_back(nullptr);
  }

  void set(std::string_view entry) {
    auto name = entry.substr(0, entry.find('=') + 1);
    if (name.empty())
      return;
    std::erase_if(env,
                  [name](const std::string& x) { return x.starts_with(name); });
    env.emplace_back(entry);
  }
};

[[noreturn]] void give_up(int to, stage where) noexcept {
  report x{where, errno};
  [[maybe_unused]] auto written = ::write(to, &x, sizeof(x));
  ::_exit(127);
}

[[noreturn]] void become_host(const host_command& command,
                              const std::string& executable, exec_image& image,
                              pid_t guard, int control, int reports) noexcept {
  // Out of the way of the numbers they must not have yet.
  reports = ::fcntl(reports, F_DUPFD_CLOEXEC, 10);
  control = ::fcntl(control, F_DUPFD_CLOEXEC, 10);
  if (reports < 0 || control < 0)
    ::_exit(127);
  ::setsid();
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    give_up(reports, stage::prepare);
  // The guard may have died before the kernel was asked to tell us.
  if (::getppid() != guard)
    ::_exit(127);
  detach_standard_streams();
  if (!command.log_path.empty()) {
    auto log = ::open(command.log_path.c_str(),
                      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (log < 0 || ::dup2(log, 1) < 0 || ::dup2(log, 2) < 0)
      give_up(reports, stage::log);
  }
  if (::dup2(control, control_fd) < 0
      || ::dup3(reports, report_fd, O_CLOEXEC) < 0
      || ::close_range(report_fd + 1, ~0U, 0) != 0)
    give_up(reports, stage::prepare);
  default_signals();
  block_signals(signal_set::none);
  ::execve(executable.c_str(), image.argv_pointers.data(),
           image.env_pointers.data());
  give_up(report_fd, stage::execute);
}

error to_error(const report& x, const host_command& command,
               const std::string& executable) {
  switch (x.where) {
    case stage::log:
      return system_error(errc::refused,
                          fmt::format("cannot write the log '{}'",
                                      command.log_path),
                          x.number);
    case stage::execute: {
      auto code = errc::refused;
      if (x.number == ENOENT || x.number == ENOEXEC || x.number == E2BIG)
        code = errc::invalid;
      return system_error(code, fmt::format("cannot execute '{}'", executable),
                          x.number);
    }
    default:
      return system_error(errc::exhausted, "cannot prepare a process",
                          x.number);
  }
}

} // namespace

void default_signals() noexcept {
  for (int x = 1; x <= SIGRTMAX; ++x)
    ::signal(x, SIG_DFL);
}

void block_signals(signal_set which) noexcept {
  sigset_t mask;
  if (which == signal_set::none)
    ::sigemptyset(&mask);
  else
    ::sigfillset(&mask);
  // Faults of our own must still end us.
  for (auto x : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS})
    ::sigdelset(&mask, x);
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

void open_standard_streams() noexcept {
  for (auto x : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    // The lowest free number is given, which is this one. Kept over exec.
    if (::fcntl(x, F_GETFD) < 0 && errno == EBADF
        && ::open("/dev/null", O_RDWR) < 0)
      return;
}

void detach_standard_streams() noexcept {
  auto null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int x = 0; x <= 2; ++x)
    ::dup2(null, x);
  if (null > 2)
    ::close(null);
}

result<std::int32_t> fork_unheard(std::string_view what) {
  sigset_t before;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  block_signals(signal_set::all);
  auto pid = ::fork();
  auto number = errno;
  if (pid == 0)
    return 0;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0)
    return fail(system_error(errc::exhausted,
                             fmt::format("no process for {}", what), number));
  return pid;
}

std::vector<unique_fd> keep_only(const std::vector<int>& files) {
  std::vector<unique_fd> out;
  // One may lie where a standard stream belongs.
  auto lowest = 10;
  for (auto file : files)
    if (auto copy = ::fcntl(file, F_DUPFD_CLOEXEC, lowest); copy >= 0) {
      out.emplace_back(copy);
      lowest = copy + 1;
    }
  detach_standard_streams();
  auto next = 3U;
  for (const auto& x : out) {
    auto kept = static_cast<unsigned>(x.get());
    if (kept > next)
      ::close_range(next, kept - 1, 0);
    next = kept + 1;
  }
  ::close_range(next, ~0U, 0);
  return out;
}

result<std::int32_t> spawn_process(const host_command& command,
                                   const std::string& executable,
                                   const std::string& job_id,
                                   const unique_fd& control) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return fail(system_error(errc::exhausted, "no pipe", errno));
  unique_fd reader{ends[0]};
  unique_fd writer{ends[1]};
  exec_image image{command, job_id};
  auto guard = ::getpid();
  auto pid = ::fork();
  if (pid < 0)
    return fail(system_error(errc::exhausted, "no process", errno));
  if (pid == 0)
    become_host(command, executable, image, guard, control.get(), writer.get());
  writer.reset();
  // An exec takes milliseconds; longer means a file system that hangs.
  auto until = deadline::after(std::chrono::seconds{5});
  pollfd event{reader.get(), POLLIN, 0};
  int ready = 0;
  do
    ready = ::poll(&event, 1, static_cast<int>(until.left_ms().count()));
  while (ready < 0 && errno == EINTR);
  report said{};
  auto size = ready > 0 ? ::read(reader.get(), &said, sizeof(said)) : -1;
  if (size == 0)
    return pid;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  if (size == static_cast<ssize_t>(sizeof(said)))
    return fail(to_error(said, command, executable));
  return fail(errc::timed_out,
              fmt::format("'{}' did not start within 5 s", executable));
}

} // namespace troupe::process
