// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/sweeper.hpp"

#include <cerrno>
#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "troupe/actors/process/message_socket.hpp"
#include "troupe/actors/process/spawn_process.hpp"
#include "troupe/actors/process/unique_fd.hpp"

namespace troupe::process {

namespace fs = std::filesystem;

namespace {

/// What one look may take. There are few files, but some may be large.
constexpr std::chrono::seconds sweep_max{2};

constexpr std::chrono::milliseconds look_interval{100};

constexpr std::chrono::seconds close_max{2};

unique_fd open_process(std::int32_t pid) {
  return unique_fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
}

// -- removing -----------------------------------------------------------------

/// Everything in a folder, past what cannot be removed, then the folder.
void remove_tree(const fs::path& path, deadline until) {
  if (until.passed())
    return;
  std::error_code problem;
  if (fs::is_directory(fs::symlink_status(path, problem))) {
    std::vector<fs::path> inside;
    for (fs::directory_iterator i{path, problem}, end; !problem && i != end;
         i.increment(problem))
      inside.push_back(i->path());
    for (const auto& x : inside)
      remove_tree(x, until);
  }
  fs::remove(path, problem);
}

void remove_matching(const fs::path& pattern, deadline until) {
  auto name = pattern.filename().string();
  std::vector<fs::path> found;
  std::error_code problem;
  for (fs::directory_iterator i{pattern.parent_path(), problem}, end;
       !problem && i != end; i.increment(problem))
    if (::fnmatch(name.c_str(), i->path().filename().c_str(), 0) == 0)
      found.push_back(i->path());
  for (const auto& x : found)
    remove_tree(x, until);
}

// -- the sweeper's process ----------------------------------------------------

/// What is said to the sweeper: a byte.
enum class word : std::uint8_t {
  /// Nobody writes there any more.
  now = 1,
  /// Nobody but this process, which is about to end.
  at_exit = 2,
};

/// Everything that happens there: nothing is given back.
struct sweeping {
  const sweeper_settings& settings;
  unique_fd starter;
  /// None: it is gone.
  unique_fd starter_process;
  /// None: there is nobody to wait for.
  unique_fd guard_process;

  void look() const {
    sweep(settings.folder, settings.leftovers, deadline::after(sweep_max));
  }

  /// Until nobody writes any more who can be seen from here. The last word of
  /// whoever started us.
  [[nodiscard]] std::optional<word> wait_for_starter() const {
    std::optional<word> said;
    if (!starter_process)
      return said;
    pollfd events[] = {{starter.get(), POLLIN, 0},
                       {starter_process.get(), POLLIN, 0}};
    for (;;) {
      if (::poll(events, 2, -1) < 0)
        continue;
      incoming in;
      if (events[0].revents
          && receive_message(starter.get(), 1, in) == io_status::done
          && in.message.size() == 1)
        said = static_cast<word>(in.message.front());
      else if (events[0].revents)
        // Its end of the socket is closed; the process is about to end.
        events[0].fd = -1;
      if (events[1].revents || said == word::now)
        return said;
    }
  }

  void wait_for_guard() const {
    auto until = deadline::after(sweeper::guard_max);
    pollfd event{guard_process.get(), POLLIN, 0};
    while (event.fd >= 0 && !until.passed())
      if (::poll(&event, 1, static_cast<int>(until.left_ms().count())) > 0)
        return;
  }

  void run() const {
    if (wait_for_starter())
      return look();
    // It was killed. What nobody else writes goes at once.
    look();
    wait_for_guard();
    look();
    auto until = deadline::after(settings.linger);
    while (!until.passed()) {
      ::poll(nullptr, 0, static_cast<int>(look_interval.count()));
      look();
    }
  }
};

[[noreturn]] void sweeper_main(int starter, std::int32_t starter_pid,
                               sweeper_settings settings) noexcept {
  ::setsid();
  ::prctl(PR_SET_NAME, "troupe-sweeper");
  auto kept = keep_only({starter, settings.folder});
  block_signals(signal_set::all);
  default_signals();
  auto process = open_process(starter_pid);
  // If it has ended before it could be watched, its id may be another's.
  auto gone = ::getppid() != starter_pid;
  auto ready = kept.size() == 2 && (process || gone);
  if (ready) {
    settings.folder = kept[1].get();
    sweeping{settings, std::move(kept[0]),
             gone ? unique_fd{} : std::move(process),
             settings.guard_pid > 0 ? open_process(settings.guard_pid)
                                    : unique_fd{}}
      .run();
  }
  ::_exit(ready ? 0 : 1);
}

} // namespace

void sweep(int folder, const std::vector<fs::path>& leftovers,
           deadline until) noexcept {
  try {
    // Whatever its name is by now.
    auto here = fs::path{fmt::format("/proc/self/fd/{}", folder)};
    for (const auto& x : leftovers)
      remove_matching(here / x, until);
  } catch (const std::exception&) {
    // No memory: what is removed is removed.
  }
}

struct sweeper::impl {
  sweeper_settings settings;
  std::int32_t pid = 0;
  unique_fd process;
  unique_fd socket;

  void say(word x) const noexcept {
    auto message = static_cast<std::byte>(x);
    send_message(socket.get(), {&message, 1});
  }
};

result<std::unique_ptr<sweeper>>
sweeper::start(const sweeper_settings& settings) {
  auto ends = make_socket_pair();
  if (!ends)
    return fail(ends.error());
  auto state = std::make_unique<impl>();
  state->settings = settings;
  auto starter_pid = ::getpid();
  auto pid = fork_unheard("the sweeper");
  if (!pid)
    return fail(pid.error());
  if (*pid == 0)
    sweeper_main(ends->second.get(), starter_pid, settings);
  state->pid = *pid;
  state->socket = std::move(ends->first);
  state->process = open_process(*pid);
  return std::unique_ptr<sweeper>{new sweeper{std::move(state)}};
}

sweeper::sweeper(std::unique_ptr<impl> x) : impl_(std::move(x)) {
  // nop
}

sweeper::~sweeper() {
  close();
}

void sweeper::close() noexcept {
  auto pid = std::exchange(impl_->pid, 0);
  if (pid == 0)
    return;
  impl_->say(word::now);
  pollfd event{impl_->process.get(), POLLIN, 0};
  auto until = deadline::after(close_max);
  while (event.fd >= 0 && !until.passed())
    if (::poll(&event, 1, static_cast<int>(until.left_ms().count())) > 0)
      break;
  int status = 0;
  auto reaped = ::waitpid(pid, &status, WNOHANG);
  if (reaped == pid && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
    sweep(impl_->settings.folder, impl_->settings.leftovers,
          deadline::after(close_max));
}

void sweeper::close_at_exit() noexcept {
  impl_->say(word::at_exit);
}

std::int32_t sweeper::pid() const noexcept {
  return impl_->pid;
}

} // namespace troupe::process
