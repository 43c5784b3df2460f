// SPDX-License-Identifier: Apache-2.0
#include "support/program.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::test {

namespace {

int open_pidfd(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

std::vector<char*> pointers(std::vector<std::string>& x) {
  std::vector<char*> out;
  for (auto& text : x)
    out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> split_zeros(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    auto end = std::min(text.find('\0', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

/// The whole of a file in /proc; empty if it cannot be read.
std::string slurp(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/// Its parent's id; 0 for one that is gone.
pid_t parent_of(const std::filesystem::path& process) {
  // After the name, which may hold anything: ") S 4711".
  auto text = slurp(process / "stat");
  auto at = text.rfind(')');
  if (at == std::string::npos || at + 4 >= text.size())
    return 0;
  return static_cast<pid_t>(std::atol(text.c_str() + at + 4));
}

bool mount_small_disk(const std::filesystem::path& at, std::size_t size,
                      bool read_only = false) {
  if (::unshare(CLONE_NEWNS) != 0
      || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return false;
  auto how = "size=" + std::to_string(size);
  return ::mount("none", at.c_str(), "tmpfs", read_only ? MS_RDONLY : 0,
                 how.c_str())
         == 0;
}

} // namespace

bool wait_readable(int fd, deadline until) {
  pollfd watched{fd, POLLIN, 0};
  for (;;) {
    auto left = std::min<std::int64_t>(until.left_ms().count(), INT_MAX);
    auto rc = ::poll(&watched, 1, static_cast<int>(left));
    if (rc > 0)
      return true;
    if (rc == 0 || errno != EINTR)
      return false;
  }
}

// -- program ------------------------------------------------------------------

program::program(const std::vector<std::string>& argv,
                 const program_options& options) {
  auto arguments = argv;
  std::vector<std::string> env = options.env;
  for (auto** x = environ; *x != nullptr; ++x)
    env.emplace_back(*x);
  auto argument_pointers = pointers(arguments);
  auto env_pointers = pointers(env);
  auto to = options.output;
  if (to < 0) {
    output_ = ::memfd_create("output", MFD_CLOEXEC);
    to = output_;
  }
  pid_ = ::fork();
  if (pid_ < 0)
    throw std::runtime_error{"fork failed"};
  if (pid_ == 0) {
    // A test that is killed takes the program with it.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (auto number = 1; number <= SIGRTMAX; ++number)
      ::signal(number, SIG_DFL);
    if (options.small_disk > 0
        && !mount_small_disk(options.folder, options.small_disk,
                             options.read_only_disk))
      ::_exit(126);
    if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0)
      ::_exit(126);
    // One description for both, so that their order is kept.
    ::dup2(to, 1);
    ::dup2(to, 2);
    if (options.closed_output)
      ::close_range(0, 2, 0);
    ::execve(argument_pointers[0], argument_pointers.data(),
             env_pointers.data());
    ::_exit(127);
  }
  pidfd_ = open_pidfd(pid_);
}

program::~program() {
  if (!status_) {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR)
      continue;
  }
  ::close(pidfd_);
  if (output_ >= 0)
    ::close(output_);
}

void program::signal(int number) const {
  if (!status_)
    ::kill(pid_, number);
}

std::optional<int> program::wait(deadline until) {
  int status = 0;
  if (!status_ && wait_readable(pidfd_, until)
      && ::waitpid(pid_, &status, 0) == pid_)
    status_ = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  return status_;
}

std::string program::output() const {
  if (output_ < 0)
    return {};
  // The offset belongs to the program.
  struct stat info {};
  ::fstat(output_, &info);
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  auto got = ::pread(output_, text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

bool can_mount() {
  auto pid = ::fork();
  if (pid == 0)
    ::_exit(mount_small_disk("/tmp", 65'536) ? 0 : 1);
  int status = 1;
  return pid > 0 && ::waitpid(pid, &status, 0) == pid && status == 0;
}

// -- processes ----------------------------------------------------------------

std::vector<process_entry> processes_with(const std::string& entry) {
  std::vector<process_entry> out;
  std::error_code none;
  for (const auto& folder :
       std::filesystem::directory_iterator{"/proc", none}) {
    auto text = folder.path().filename().string();
    if (!std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }))
      continue;
    auto env = split_zeros(slurp(folder.path() / "environ"));
    if (std::ranges::find(env, entry) == env.end())
      continue;
    process_entry x;
    x.pid = static_cast<pid_t>(std::stol(text));
    x.parent = parent_of(folder.path());
    x.name = slurp(folder.path() / "comm");
    if (!x.name.empty())
      x.name.pop_back();
    x.argv = split_zeros(slurp(folder.path() / "cmdline"));
    out.push_back(std::move(x));
  }
  return out;
}

std::vector<process_entry> wait_gone(const std::string& entry, deadline until) {
  for (;;) {
    auto left = processes_with(entry);
    if (left.empty() || until.passed())
      return left;
    // The end of one may be the start of another's.
    if (auto fd = open_pidfd(left.front().pid); fd >= 0) {
      static_cast<void>(wait_readable(fd, until));
      ::close(fd);
    }
  }
}

} // namespace troupe::test
