// SPDX-License-Identifier: Apache-2.0
// Processes of a job are killed while a worker stands still in a known place.
#include <chrono>
#include <csignal>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "apps/run/job.hpp"

using namespace run_test;
using namespace std::chrono_literals;

namespace {

using role = job_process::role;

/// From the kill of any process of a job to the driver's end.
constexpr auto report_bound = 5s;

struct moment {
  const char* name;
  wanted_fault fault;
};

/// A worker that stands still in each phase of a run.
const moment moments[] = {
  {"set-up", {"policy", 1, 0, "setup", "hold"}},
  {"generation", {"policy", 1, 0, "generation", "hold"}},
  {"training", {"trainer", 0, 1, "training", "hold"}},
  {"sync", {"policy", 0, 0, "on_sync", "hold"}},
};

std::ostream& operator<<(std::ostream& out, const moment& x) {
  return out << x.name;
}

auto milliseconds_since(std::chrono::steady_clock::time_point x) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
    std::chrono::steady_clock::now() - x);
}

void measured(const char* what, const moment& when,
              std::chrono::milliseconds time) {
  BOOST_TEST_MESSAGE(fmt::format("killed: {:14} during {:10} -> {:5} ms", what,
                                 when.name, time.count()));
}

/// Holds a run at `when`, sends one of its processes a signal and looks at how the
/// driver ends. Gives back what was printed.
std::string hit_one(job_fixture& job, const moment& when, const char* what,
                    int signal, role part, int slot = -1) {
  auto words = job.fault_options(when.fault);
  // Who is frozen is known in time for the report.
  if (signal == SIGSTOP)
    words.insert(words.end(), {"--set", "runtime.pulse_timeout_ms=2000"});
  auto driver = job.start_run(words);
  auto held = job.wait_held();
  BOOST_TEST(held.phase == when.fault.phase);
  auto victim = job.find(*driver, part, slot);
  auto begin = std::chrono::steady_clock::now();
  ::kill(victim.pid, signal);
  auto status = driver->wait(soon());
  auto spent = milliseconds_since(begin);
  measured(what, when, spent);
  BOOST_TEST(status.value_or(-999) == 1);
  BOOST_TEST(spent.count() < std::chrono::milliseconds{report_bound}.count());
  BOOST_TEST(job.left_after(within(0ms)) == "");
  return driver->output();
}

std::string kill_one(job_fixture& job, const moment& when, const char* what,
                     role part, int slot = -1) {
  return hit_one(job, when, what, SIGKILL, part, slot);
}

/// What a person finds at the end: how the process ended and which workers
/// went with it.
void check_last_words(const std::string& output,
                      const std::vector<std::string>& workers) {
  auto end = flat(last_lines(output, 6));
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(contains(end, "killed by signal 9"));
    for (const auto& worker : workers)
      BOOST_TEST(contains(end, worker));
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(killed)

BOOST_DATA_TEST_CASE_F(
  job_fixture, a_killed_device_host_ends_the_run_and_its_workers_are_named,
  boost::unit_test::data::make(moments) * boost::unit_test::data::xrange(2),
  when, slot) {
  auto name = fmt::format("device host {}", slot);
  auto output = kill_one(*this, when, name.c_str(), role::device_host, slot);
  // Each device holds one rank of the trainer and one replica of the policy.
  check_last_words(output, {fmt::format("trainer/0/{}", slot),
                            fmt::format("policy/{}/0", slot)});
}

// Nothing tells the others: only its signs of life are missing.
BOOST_DATA_TEST_CASE_F(
  job_fixture, a_frozen_device_host_ends_the_run_and_its_workers_are_named,
  boost::unit_test::data::make(moments), when) {
  auto output = hit_one(*this, when, "frozen host", SIGSTOP, role::device_host,
                        1);
  auto end = flat(last_lines(output, 6));
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(contains(end, "frozen: no sign of life for"));
    BOOST_TEST(contains(end, "trainer/0/1"));
    BOOST_TEST(contains(end, "policy/1/0"));
  }
}

BOOST_DATA_TEST_CASE_F(job_fixture,
                       a_killed_cpu_host_ends_the_run_and_its_worker_is_named,
                       boost::unit_test::data::make(moments), when) {
  auto output = kill_one(*this, when, "CPU host", role::cpu_host);
  check_last_words(output, {"reward/0/0"});
}

BOOST_DATA_TEST_CASE_F(job_fixture, a_killed_guard_ends_the_run_and_every_host,
                       boost::unit_test::data::make(moments), when) {
  auto output = kill_one(*this, when, "guard", role::guard);
  BOOST_TEST_CONTEXT("output:\n" << output)
  BOOST_TEST(
    contains(flat(last_lines(output, 4)), "the guard process is gone"));
}

// The guard has done as it should: it is not to blame.
BOOST_FIXTURE_TEST_CASE(a_driver_that_stood_still_for_too_long_says_so,
                        job_fixture) {
  auto words = fault_options({"policy", 1, 0, "generation", "hold"});
  words.insert(words.end(), {"--set", "runtime.driver_grace_ms=3000", "--set",
                             "runtime.pulse_timeout_ms=2000"});
  auto driver = start_run(words);
  static_cast<void>(wait_held());
  auto guard = find(*driver, role::guard).pid;
  driver->signal(SIGSTOP);
  auto until = soon();
  // Nobody reaps it while its parent stands still.
  while (!contains(read_file(fmt::format("/proc/{}/stat", guard)), ") Z ")) {
    BOOST_REQUIRE(!until.passed());
    static_cast<void>(driver->wait(within(std::chrono::milliseconds{20})));
  }
  driver->signal(SIGCONT);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 1);
  auto said = flat(driver->output());
  BOOST_TEST(contains(said, "stood still for longer than "
                            "runtime.driver_grace_ms"),
             said);
}

BOOST_DATA_TEST_CASE_F(job_fixture, a_killed_driver_leaves_nothing_behind,
                       boost::unit_test::data::make(moments), when) {
  auto driver = start_with(when.fault);
  static_cast<void>(wait_held());
  // One that has just been executed has no environment for a moment.
  auto until = soon();
  while (processes(*driver).size() != 6u && !until.passed())
    static_cast<void>(driver->wait(within(20ms)));
  BOOST_TEST(processes(*driver).size() == 6u);
  auto begin = std::chrono::steady_clock::now();
  driver->signal(SIGKILL);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == -SIGKILL);
  auto left = left_after(within(10s));
  auto spent = milliseconds_since(begin);
  measured("driver", when, spent);
  BOOST_TEST(left == "");
  BOOST_TEST(spent.count() < std::chrono::milliseconds{sweep_bound}.count());
}

BOOST_FIXTURE_TEST_CASE(a_host_killed_before_it_reports_ends_the_run,
                        job_fixture) {
  program_options options;
  options.env = {"FAULTY_HOLD_START=" + fifo().string()};
  auto driver = start(run_command(), options);
  auto held = wait_held();
  BOOST_TEST(held.phase == "start");
  auto begin = std::chrono::steady_clock::now();
  ::kill(held.pid, SIGKILL);
  auto status = driver->wait(soon());
  auto spent = milliseconds_since(begin);
  measured("a host", {"start", {}}, spent);
  BOOST_TEST(status.value_or(-999) == 1);
  BOOST_TEST(spent.count() < std::chrono::milliseconds{report_bound}.count());
  check_last_words(driver->output(), {});
}

BOOST_FIXTURE_TEST_CASE(a_driver_killed_before_hosts_report_leaves_nothing,
                        job_fixture) {
  program_options options;
  options.env = {"FAULTY_HOLD_START=" + fifo().string()};
  auto driver = start(run_command(), options);
  static_cast<void>(wait_held());
  auto begin = std::chrono::steady_clock::now();
  driver->signal(SIGKILL);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == -SIGKILL);
  auto left = left_after(within(10s));
  auto spent = milliseconds_since(begin);
  measured("driver", {"start", {}}, spent);
  BOOST_TEST(left == "");
  BOOST_TEST(spent.count() < std::chrono::milliseconds{sweep_bound}.count());
}

// There the driver is alone: its files would be all that is left.
BOOST_FIXTURE_TEST_CASE(a_killed_driver_without_hosts_leaves_nothing_behind,
                        job_fixture) {
  auto words = std::vector<std::string>{"run",
                                        config().string(),
                                        "--devices",
                                        "inproc:2",
                                        "--set",
                                        "runtime.save_episode_interval=1"};
  auto more = fault_options({"trainer", 0, 1, "saving", "hold"});
  words.insert(words.end(), more.begin(), more.end());
  auto driver = start(words);
  static_cast<void>(wait_held());
  BOOST_TEST(!troupe::test::leftovers(runs()).empty());
  driver->signal(SIGKILL);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == -SIGKILL);
  BOOST_TEST(left_after(within(0ms), sweep_bound) == "");
}

// Its work is the driver's then.
BOOST_DATA_TEST_CASE_F(job_fixture, a_killed_sweeper_changes_nothing,
                       boost::unit_test::data::make({moments[1]}), when) {
  auto driver = start_with(when.fault);
  static_cast<void>(wait_held());
  ::kill(find(*driver, role::sweeper).pid, SIGKILL);
  driver->signal(SIGINT);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 130);
  BOOST_TEST(left_after(within(0ms)) == "");
}

BOOST_AUTO_TEST_SUITE_END()
