// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <csignal>
#include <string>

#include <boost/test/unit_test.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/process/support.hpp"

namespace process_test {

/// How a child has ended, and what it wrote to stderr.
struct child_end {
  std::string said;
  /// As waitpid has it.
  int status = 0;
};

/// Of a fork of this process that does `f` and leaves no core; 3 if `f` comes
/// back. Signals of crashes have their usual meaning: Boost has handlers of its
/// own.
template <class F>
child_end run_child(F f) {
  std::array<int, 2> line{};
  BOOST_REQUIRE(::pipe(line.data()) == 0);
  auto child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) {
    rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::dup2(line[1], STDERR_FILENO);
    ::close(line[0]);
    ::close(line[1]);
    for (auto x : {SIGSEGV, SIGABRT})
      std::signal(x, SIG_DFL);
    f();
    ::_exit(3);
  }
  troupe::process::unique_fd from{line[0]};
  ::close(line[1]);
  child_end out;
  std::array<char, 4096> part{};
  auto until = soon();
  while (readable(from.get(), until)) {
    auto count = ::read(from.get(), part.data(), part.size());
    if (count <= 0)
      break;
    out.said.append(part.data(), static_cast<std::size_t>(count));
  }
  if (until.passed())
    ::kill(child, SIGKILL);
  ::waitpid(child, &out.status, 0);
  return out;
}

} // namespace process_test
