// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/process_tree.hpp"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <string>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "troupe/actors/process/host_types.hpp"
#include "troupe/actors/process/unique_fd.hpp"

namespace troupe::process {

namespace {

struct dir_closer {
  void operator()(DIR* x) const noexcept { ::closedir(x); }
};

using dir_ptr = std::unique_ptr<DIR, dir_closer>;

/// The parent of a process; 0 if it is gone or a zombie.
std::int32_t parent_of(std::int32_t pid) {
  unique_fd file{
    ::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file)
    return 0;
  char text[512];
  auto size = ::read(file.get(), text, sizeof(text));
  if (size <= 0)
    return 0;
  std::string_view line{text, static_cast<std::size_t>(size)};
  // "pid (name) state parent ...": the name may hold anything, also ')'.
  auto at = line.rfind(") ");
  if (at == std::string_view::npos || at + 5 > line.size())
    return 0;
  auto state = line[at + 2];
  if (state == 'Z' || state == 'X')
    return 0;
  std::int32_t parent = 0;
  std::from_chars(line.data() + at + 4, line.data() + line.size(), parent);
  return parent;
}

} // namespace

std::vector<std::int32_t> descendants() {
  std::multimap<std::int32_t, std::int32_t> children;
  dir_ptr proc{::opendir("/proc")};
  if (!proc)
    return {};
  while (auto* entry = ::readdir(proc.get())) {
    std::int32_t pid = 0;
    auto* end = entry->d_name + std::strlen(entry->d_name);
    if (auto [at, bad] = std::from_chars(entry->d_name, end, pid);
        bad != std::errc{} || at != end)
      continue;
    if (auto parent = parent_of(pid); parent > 0)
      children.emplace(parent, pid);
  }
  std::vector<std::int32_t> out;
  auto add_children_of = [&](std::int32_t parent) {
    auto [first, last] = children.equal_range(parent);
    for (auto i = first; i != last; ++i)
      out.push_back(i->second);
    // Each process once, whatever a changing /proc claims.
    children.erase(first, last);
  };
  add_children_of(::getpid());
  for (std::size_t i = 0; i < out.size(); ++i)
    add_children_of(out[i]);
  return out;
}

bool says_core_dumping(std::string_view status) noexcept {
  // At the begin of a line: the first one holds a name of the process's choice.
  constexpr std::string_view key = "\nCoreDumping:";
  auto at = status.find(key);
  if (at == std::string_view::npos)
    return false;
  at = status.find_first_not_of(" \t", at + key.size());
  return at != std::string_view::npos && status[at] == '1';
}

bool is_dumping_core(std::int32_t pid) noexcept {
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/%d/status", pid);
  unique_fd file{::open(path, O_RDONLY | O_CLOEXEC)};
  // Some 1.5 KiB; the line is in the middle.
  char text[4096];
  auto size = file ? ::read(file.get(), text, sizeof(text)) : -1;
  return size > 0 && says_core_dumping({text, static_cast<std::size_t>(size)});
}

bool kill_descendants(deadline until) noexcept {
  sigset_t ended;
  ::sigemptyset(&ended);
  ::sigaddset(&ended, SIGCHLD);
  for (;;) {
    for (auto pid : descendants())
      ::kill(pid, SIGKILL);
    pid_t reaped = 0;
    do
      reaped = ::waitpid(-1, nullptr, WNOHANG);
    while (reaped > 0 || (reaped < 0 && errno == EINTR));
    if (reaped < 0)
      return true;
    if (until.passed())
      return false;
    // Until the next child ends. It may have ended since: hence not for long.
    timespec pause{0, 5'000'000};
    ::sigtimedwait(&ended, nullptr, &pause);
  }
}

std::size_t sweep_shared_memory(std::string_view job_id) noexcept {
  if (!is_job_id(job_id))
    return 0;
  dir_ptr dir{::opendir("/dev/shm")};
  if (!dir)
    return 0;
  auto prefix = fmt::format("troupe.{}.", job_id);
  std::size_t count = 0;
  while (auto* entry = ::readdir(dir.get()))
    if (std::strncmp(entry->d_name, prefix.c_str(), prefix.size()) == 0
        && ::unlinkat(::dirfd(dir.get()), entry->d_name, 0) == 0)
      ++count;
  return count;
}

} // namespace troupe::process
