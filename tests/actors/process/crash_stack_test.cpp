// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/crash_stack.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <string>

#include <boost/test/unit_test.hpp>
#include <execinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/process/run_child.hpp"

using namespace troupe::process;
using namespace process_test;

namespace {

/// A child that crashes by `signal`, as `prepare` has left things.
template <class F>
child_end crash(int signal, F prepare) {
  // The library that walks stacks is not loaded by a child of many threads.
  std::array<void*, 1> here{};
  static_cast<void>(::backtrace(here.data(), 1));
  return run_child([&] {
    prepare();
    ::raise(signal);
  });
}

} // namespace

BOOST_AUTO_TEST_SUITE(crash_stack)

BOOST_AUTO_TEST_CASE(who_crashes_says_where_and_ends_as_it_would_have) {
  for (auto signal : {SIGSEGV, SIGABRT}) {
    auto seen = crash(signal, write_stack_on_crash);
    BOOST_TEST_INFO(seen.said);
    BOOST_TEST(WIFSIGNALED(seen.status));
    BOOST_TEST(WTERMSIG(seen.status) == signal);
    auto first = seen.said.substr(0, seen.said.find('\n'));
    BOOST_TEST(first.starts_with(signal == SIGSEGV
                                   ? "crashed by SIGSEGV in /"
                                   : "crashed by SIGABRT in /"));
    BOOST_TEST(first.ends_with("test_process_parts, the stack of the thread:"));
    // At least the handler, `raise`, and who called it.
    BOOST_TEST(std::count(seen.said.begin(), seen.said.end(), '\n') > 3);
    BOOST_TEST(seen.said.find("libc") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(whoever_handles_a_signal_goes_on_doing_so) {
  auto seen = crash(SIGSEGV, [] {
    std::signal(SIGSEGV, [](int) { ::_exit(7); });
    write_stack_on_crash();
  });
  BOOST_TEST(seen.said.empty());
  BOOST_TEST(WIFEXITED(seen.status));
  BOOST_TEST(WEXITSTATUS(seen.status) == 7);
}

BOOST_AUTO_TEST_SUITE_END()
