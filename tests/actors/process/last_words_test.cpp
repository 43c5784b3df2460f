// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/last_words.hpp"

#include <cerrno>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include <boost/test/unit_test.hpp>
#include <sys/wait.h>

#include "actors/process/run_child.hpp"

using namespace troupe::process;
using namespace process_test;

namespace {

/// In a child nobody catches what `f` throws.
template <class F>
child_end uncaught(last_act then, F f) {
  return run_child([&]() noexcept {
    say_what_ran_out(then);
    f();
  });
}

[[noreturn]] void no_thread() {
  throw std::system_error{EAGAIN, std::generic_category()};
}

} // namespace

BOOST_AUTO_TEST_SUITE(last_words)

BOOST_AUTO_TEST_CASE(a_limit_of_threads_is_named_with_what_to_raise) {
  auto seen = uncaught(last_act::exit, no_thread);
  BOOST_TEST_INFO(seen.said);
  BOOST_TEST(WIFEXITED(seen.status));
  BOOST_TEST(WEXITSTATUS(seen.status) == 1);
  BOOST_TEST(seen.said.find("no thread can be started") != std::string::npos);
  BOOST_TEST(seen.said.find("ulimit -u") != std::string::npos);
  BOOST_TEST(seen.said.find("terminate called") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(so_is_memory) {
  auto seen = uncaught(last_act::exit, [] { throw std::bad_alloc{}; });
  BOOST_TEST_INFO(seen.said);
  BOOST_TEST(WIFEXITED(seen.status));
  BOOST_TEST(seen.said.find("out of memory (std::bad_alloc)")
             != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_host_says_so_too_and_crashes_as_it_would_have) {
  auto seen = uncaught(last_act::as_before, no_thread);
  BOOST_TEST_INFO(seen.said);
  BOOST_TEST(WIFSIGNALED(seen.status));
  BOOST_TEST(WTERMSIG(seen.status) == SIGABRT);
  BOOST_TEST(seen.said.find("no thread can be started") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_is_no_limit_ends_as_before) {
  auto seen = uncaught(last_act::exit,
                       [] { throw std::runtime_error{"out of tea"}; });
  BOOST_TEST_INFO(seen.said);
  BOOST_TEST(WIFSIGNALED(seen.status));
  BOOST_TEST(WTERMSIG(seen.status) == SIGABRT);
  BOOST_TEST(seen.said.find("ulimit") == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
