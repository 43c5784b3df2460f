// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and output that nobody reads.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "apps/run/job.hpp"

using namespace run_test;
using namespace std::chrono_literals;

namespace {

const wanted_fault moments[] = {
  {"policy", 1, 0, "setup", "hold"},
  {"policy", 1, 0, "generation", "hold"},
  {"trainer", 0, 1, "training", "hold"},
  {"policy", 0, 0, "on_sync", "hold"},
};

auto milliseconds_since(std::chrono::steady_clock::time_point x) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
           std::chrono::steady_clock::now() - x)
    .count();
}

bool has_pending(int pid, int signal) {
  auto status = read_file(fmt::format("/proc/{}/status", pid));
  constexpr std::string_view key = "ShdPnd:";
  auto at = status.find(key);
  if (at == std::string::npos)
    return false;
  auto all = std::stoull(status.substr(at + key.size()), nullptr, 16);
  return (all >> (signal - 1)) % 2 == 1;
}

} // namespace

namespace run_test {

// Where Boost looks for it.
std::ostream& operator<<(std::ostream& out, const wanted_fault& x) {
  return out << x.phase;
}

} // namespace run_test

BOOST_AUTO_TEST_SUITE(interrupt)

BOOST_DATA_TEST_CASE_F(job_fixture, the_first_interrupt_ends_in_good_order,
                       boost::unit_test::data::make(moments), fault) {
  auto driver = start_with(fault);
  static_cast<void>(wait_held());
  auto begin = std::chrono::steady_clock::now();
  driver->signal(SIGINT);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 130);
  auto spent = milliseconds_since(begin);
  BOOST_TEST_MESSAGE("interrupted in " << fault.phase << " -> " << spent
                                       << " ms");
  BOOST_TEST(spent < 5000);
  auto output = driver->output();
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(contains(output, ": interrupted after 0 episodes"));
  }
  BOOST_TEST(
    contains(read_file(only_run() / "summary.json"), "\"interrupted\""));
}

BOOST_FIXTURE_TEST_CASE(the_request_to_terminate_is_an_interrupt_too,
                        job_fixture) {
  auto driver = start_with(moments[1]);
  static_cast<void>(wait_held());
  driver->signal(SIGTERM);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 130);
}

// The terminal is closed, the connection to the machine breaks: both the system
// and the shell may say so.
BOOST_FIXTURE_TEST_CASE(a_hang_up_is_an_interrupt_and_never_the_second,
                        job_fixture) {
  auto driver = start_with(moments[1]);
  static_cast<void>(wait_held());
  driver->signal(SIGHUP);
  // Two that are pending are one.
  auto until = soon();
  while (has_pending(driver->pid(), SIGHUP) && !until.passed())
    std::this_thread::yield();
  driver->signal(SIGHUP);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 130);
  BOOST_TEST(
    contains(read_file(only_run() / "summary.json"), "\"interrupted\""));
}

BOOST_DATA_TEST_CASE_F(job_fixture, the_second_interrupt_ends_at_once,
                       boost::unit_test::data::make(moments), fault) {
  auto driver = start_with(fault);
  static_cast<void>(wait_held());
  auto begin = std::chrono::steady_clock::now();
  // Two pending signals of one kind are one: the first must have been read.
  driver->signal(SIGINT);
  driver->signal(SIGTERM);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 130);
  auto left = left_after(within(10s));
  auto spent = milliseconds_since(begin);
  BOOST_TEST_MESSAGE("interrupted twice in " << fault.phase << " -> " << spent
                                             << " ms");
  BOOST_TEST(left == "");
  BOOST_TEST(spent < 2000);
}

BOOST_FIXTURE_TEST_CASE(before_anything_has_begun_an_interrupt_ends_at_once,
                        job_fixture) {
  program_options options;
  options.env.push_back(
    fmt::format("FAULTY_DRIVER=data hold 0 {}", fifo().string()));
  auto driver = start(run_command(), options);
  static_cast<void>(wait_held());
  driver->signal(SIGINT);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 130);
  BOOST_TEST(!std::filesystem::exists(runs()));
}

BOOST_FIXTURE_TEST_CASE(a_reader_that_goes_away_does_not_stop_the_run,
                        job_fixture) {
  int ends[2];
  // Nobody who is started holds the other end.
  BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  program_options options;
  options.output = ends[1];
  auto driver = start(run_command(), options);
  ::close(ends[1]);
  char first = 0;
  BOOST_REQUIRE(troupe::test::wait_readable(ends[0], soon()));
  BOOST_TEST(::read(ends[0], &first, 1) == 1);
  ::close(ends[0]);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
  BOOST_TEST(contains(read_file(only_run() / "summary.json"), "\"finished\""));
}

BOOST_FIXTURE_TEST_CASE(a_run_without_standard_output_leaves_its_files,
                        job_fixture) {
  program_options options;
  options.closed_output = true;
  auto driver = start(run_command(), options);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
  auto run = only_run();
  BOOST_TEST(lines_of(read_file(run / "metrics.jsonl")).size() == 3u);
  // Nothing that was meant for people went to a file that took the number.
  for (const auto* file : {"config.yaml", "metrics.jsonl", "summary.json"})
    BOOST_TEST(!contains(read_file(run / file), "set-up 0/3"), file);
}

BOOST_AUTO_TEST_SUITE_END()
