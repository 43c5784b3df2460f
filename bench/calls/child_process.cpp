// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/calls/child_process.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace troupe::bench {

namespace {

constexpr std::size_t line_bytes_max = 64;

/// Waits until `fd` can be read; false at the deadline.
bool await_input(int fd, deadline until) {
  pollfd x{fd, POLLIN, 0};
  for (;;) {
    auto ready = ::poll(&x, 1, static_cast<int>(until.left_ms().count()));
    if (ready > 0)
      return true;
    if (ready == 0 && until.passed())
      return false;
    if (ready < 0 && errno != EINTR)
      return false;
  }
}

/// What a spawned process starts with: the socket as its standard streams and
/// no signal blocked, because we block those that end us.
class spawn_setup {
public:
  explicit spawn_setup(int socket) {
    ::posix_spawn_file_actions_init(&files_);
    ::posix_spawn_file_actions_adddup2(&files_, socket, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&files_, socket, STDOUT_FILENO);
    ::posix_spawnattr_init(&attributes_);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK);
  }

  spawn_setup(const spawn_setup&) = delete;
  spawn_setup& operator=(const spawn_setup&) = delete;

  ~spawn_setup() {
    ::posix_spawn_file_actions_destroy(&files_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  int run(pid_t& pid, char* const* argv) const {
    return ::posix_spawn(&pid, "/proc/self/exe", &files_, &attributes_, argv,
                         environ);
  }

private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

} // namespace

result<child_process>
child_process::start(const std::vector<std::string>& args) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(errc::exhausted, "no descriptor left for a socket pair");
  process::unique_fd mine{ends[0]};
  process::unique_fd theirs{ends[1]};
  auto copies = args;
  copies.insert(copies.begin(), "bench-peer");
  std::vector<char*> argv;
  for (auto& x : copies)
    argv.push_back(x.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  spawn_setup setup{theirs.get()};
  if (auto code = setup.run(pid, argv.data()); code != 0)
    return fail(errc::exhausted,
                fmt::format("cannot start a process: {}", strerror(code)));
  return child_process{pid, std::move(mine)};
}

child_process::child_process(child_process&& other) noexcept
  : pid_(std::exchange(other.pid_, 0)),
    socket_(std::move(other.socket_)) {
  // nop
}

child_process::~child_process() {
  if (pid_ == 0)
    return;
  // The end of its input ends it, the end of its output says that it has.
  ::shutdown(socket_.get(), SHUT_WR);
  auto until = deadline::after(std::chrono::seconds{1});
  char ignored[64];
  auto more = true;
  while (more && await_input(socket_.get(), until))
    more = ::read(socket_.get(), ignored, sizeof(ignored)) > 0;
  if (more)
    ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    // again
  }
}

result<std::string> child_process::read(std::size_t size,
                                        deadline until) const {
  std::string out(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    if (!await_input(socket_.get(), until))
      return fail(errc::timed_out, "a peer process says nothing");
    auto got = ::read(socket_.get(), out.data() + have, size - have);
    if (got <= 0)
      return fail(errc::lost, "a peer process ended early");
    have += static_cast<std::size_t>(got);
  }
  return out;
}

result<std::string> child_process::read_line(deadline until) const {
  std::string line;
  while (line.size() < line_bytes_max) {
    auto next = read(1, until);
    if (!next)
      return next;
    if (*next == "\n")
      return line;
    line += *next;
  }
  return fail(errc::corrupt, "a peer process sent no line");
}

} // namespace troupe::bench
