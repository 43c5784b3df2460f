// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/guard_client.hpp"

#include <boost/test/unit_test.hpp>

#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "actors/process/harness.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;
using namespace std::chrono_literals;

namespace {

host_command run(std::int32_t slot, std::vector<std::string> arguments) {
  host_command x;
  x.slot = slot;
  x.incarnation = incarnation{1};
  x.argv = std::move(arguments);
  x.argv.insert(x.argv.begin(), "test_process_host");
  return x;
}

void say_how_long(const char* what,
                  std::chrono::steady_clock::time_point began) {
  auto spent = std::chrono::steady_clock::now() - began;
  std::cout << what << ": seen after "
            << std::chrono::round<std::chrono::milliseconds>(spent).count()
            << " ms\n";
}

std::string content_of(const std::string& path) {
  std::ifstream in{path};
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

} // namespace

BOOST_AUTO_TEST_SUITE(guard_client)

BOOST_AUTO_TEST_CASE(the_end_of_a_host_is_reported_with_its_code) {
  node_harness node;
  auto host = node.guard->spawn(run(2, {"exit", "3"}), soon());
  BOOST_REQUIRE(host);
  auto x = node.next_exit(soon());
  BOOST_REQUIRE(x);
  BOOST_TEST(x->slot == 2);
  BOOST_TEST(x->pid == host->pid);
  BOOST_TEST(x->incarnation.value() == 1u);
  BOOST_TEST(x->describe() == "exited with code 3");
}

BOOST_AUTO_TEST_CASE(a_killed_host_is_reported_by_itself) {
  node_harness node;
  auto host = node.start(0);
  BOOST_REQUIRE(host);
  auto began = std::chrono::steady_clock::now();
  ::kill(host->pid, SIGKILL);
  auto x = node.next_exit(soon());
  BOOST_REQUIRE(x);
  say_how_long("killed", began);
  BOOST_TEST(x->describe() == "killed by signal 9 (SIGKILL)");
  // Its slot is free for the next life.
  BOOST_TEST(node.start(0, 2).has_value());
}

BOOST_AUTO_TEST_CASE(a_frozen_host_is_killed_and_called_frozen) {
  node_harness node{fresh_job_id(), 1500ms};
  auto frozen = node.start(0);
  BOOST_REQUIRE(frozen);
  BOOST_REQUIRE(node.start(1));
  // Both have answered: their signs have begun.
  for (auto slot : {0, 1})
    BOOST_TEST(
      !node.call(slot, simple_order(order::count_descriptors)).message.empty());
  BOOST_TEST(!node.next_exit(deadline::after(100ms)));
  BOOST_REQUIRE(freeze(frozen->pid));
  auto began = std::chrono::steady_clock::now();
  auto x = node.next_exit(soon());
  BOOST_REQUIRE(x);
  say_how_long("frozen", began);
  BOOST_TEST(x->slot == 0);
  BOOST_TEST(x->silent_ms >= 1500u);
  BOOST_TEST(x->describe().starts_with("frozen: no sign of life for "));
  // The other one is well.
  BOOST_TEST(
    !node.call(1, simple_order(order::count_descriptors)).message.empty());
  BOOST_TEST(!node.next_exit(deadline::after(2s)));
}

BOOST_AUTO_TEST_CASE(a_core_is_written_for_a_while_and_not_for_ever) {
  node_harness node{fresh_job_id(), 1500ms, false, [](guard_settings& x) {
                      x.core_grace = 600ms;
                      x.dumps_core = [](std::int32_t) noexcept { return true; };
                    }};
  auto host = node.start(0);
  BOOST_REQUIRE(host);
  BOOST_TEST(
    !node.call(0, simple_order(order::count_descriptors)).message.empty());
  BOOST_TEST(!node.next_exit(deadline::after(100ms)));
  BOOST_REQUIRE(freeze(host->pid));
  auto x = node.next_exit(soon());
  BOOST_REQUIRE(x);
  BOOST_TEST(x->silent_ms >= 2100u);
}

BOOST_AUTO_TEST_CASE(the_system_says_who_dumps_core) {
  BOOST_TEST(!is_dumping_core(::getpid()));
  BOOST_TEST(!is_dumping_core(-1));
  BOOST_TEST(says_core_dumping("Name:\thost\nThreads:\t4\nCoreDumping:\t1\n"));
  BOOST_TEST(!says_core_dumping("Name:\thost\nCoreDumping:\t0\nThreads:\t1\n"));
  BOOST_TEST(!says_core_dumping("Name:\tCoreDumping:\t1\nState:\tS\n"));
  BOOST_TEST(!says_core_dumping("Name:\thost\nCoreDumping:"));
  BOOST_TEST(!says_core_dumping(""));
}

// A node's guard is older than the job that says how to watch.
BOOST_AUTO_TEST_CASE(a_guard_that_hears_of_its_job_later_watches_as_it_says) {
  node_harness node{fresh_job_id(), 1500ms, true};
  auto frozen = node.start(0);
  BOOST_REQUIRE(frozen);
  BOOST_TEST(
    !node.call(0, simple_order(order::count_descriptors)).message.empty());
  BOOST_TEST(!node.next_exit(deadline::after(100ms)));
  BOOST_REQUIRE(freeze(frozen->pid));
  auto x = node.next_exit(soon());
  BOOST_REQUIRE(x);
  BOOST_TEST(x->describe().starts_with("frozen: no sign of life for "));
  // A job has begun.
  guard_settings other;
  other.job_id = fresh_job_id();
  auto again = node.guard->begin_job(other);
  BOOST_REQUIRE(!again);
  BOOST_TEST((again.error().code() == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(a_guard_that_hears_of_its_job_later_sweeps_for_it) {
  node_harness node{fresh_job_id(), 0ms, true};
  auto name = "/dev/shm/troupe." + node.job_id() + ".left";
  std::ofstream{name} << "x";
  BOOST_TEST(std::ifstream{name}.good());
  BOOST_TEST(node.guard->close(soon()).has_value());
  BOOST_TEST(!std::ifstream{name}.good());
}

BOOST_AUTO_TEST_CASE(a_job_with_no_name_is_not_begun) {
  guard_settings x;
  x.job_id = fresh_job_id();
  x.executable = host_program();
  auto guard = process::guard_client::start(x);
  BOOST_REQUIRE(guard);
  x.job_id = "../../etc";
  auto begun = (*guard)->begin_job(x);
  BOOST_REQUIRE(!begun);
  BOOST_TEST((begun.error().code() == errc::invalid));
}

BOOST_AUTO_TEST_CASE(who_has_never_given_a_sign_is_not_taken_for_frozen) {
  node_harness node{fresh_job_id(), 500ms};
  auto command = run(0, {"60"});
  command.executable = "/bin/sleep";
  BOOST_REQUIRE(node.guard->spawn(command, soon()));
  BOOST_TEST(!node.next_exit(deadline::after(1500ms)));
}

// It has heard nobody meanwhile, through no fault of theirs.
BOOST_AUTO_TEST_CASE(a_guard_that_was_frozen_itself_kills_nobody) {
  // The node gives it three times as long.
  node_harness node{fresh_job_id(), 1500ms};
  auto host = node.start(0);
  BOOST_REQUIRE(host);
  BOOST_TEST(!node.next_exit(deadline::after(100ms)));
  for (auto i = 0; i < 3; ++i) {
    BOOST_REQUIRE(freeze(node.guard->pid()));
    BOOST_TEST(!node.next_exit(deadline::after(2s)));
    ::kill(node.guard->pid(), SIGCONT);
    BOOST_TEST(!node.next_exit(deadline::after(200ms)));
  }
  BOOST_TEST(
    !node.call(0, simple_order(order::count_descriptors)).message.empty());
}

BOOST_AUTO_TEST_CASE(a_frozen_guard_is_killed_and_its_hosts_with_it) {
  node_harness node{fresh_job_id(), 1s};
  auto host = node.start(0);
  BOOST_REQUIRE(host);
  auto pidfd = open_pidfd(host->pid);
  BOOST_REQUIRE(freeze(node.guard->pid()));
  BOOST_TEST(node.guard_lost(soon()));
  BOOST_TEST(ended(pidfd, soon()));
}

BOOST_AUTO_TEST_CASE(without_pulses_a_frozen_host_is_left_alone) {
  node_harness node;
  auto host = node.start(0);
  BOOST_REQUIRE(host);
  BOOST_REQUIRE(freeze(host->pid));
  BOOST_TEST(!node.next_exit(deadline::after(500ms)));
  ::kill(host->pid, SIGCONT);
  BOOST_TEST(
    !node.call(0, simple_order(order::count_descriptors)).message.empty());
}

BOOST_AUTO_TEST_CASE(kill_sends_the_signal_and_knows_who_lives) {
  node_harness node;
  BOOST_REQUIRE(node.start(0));
  BOOST_TEST(node.guard->kill(0, SIGTERM).has_value());
  auto x = node.next_exit(soon());
  BOOST_REQUIRE(x);
  BOOST_TEST(x->describe() == "killed by signal 15 (SIGTERM)");
  auto gone = node.guard->kill(0, SIGTERM);
  BOOST_REQUIRE(!gone);
  BOOST_TEST((gone.error().code() == errc::lost));
  BOOST_TEST((node.guard->kill(7, SIGTERM).error().code() == errc::lost));
  BOOST_TEST((node.guard->kill(0, 0).error().code() == errc::invalid));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_started_is_said_clearly) {
  node_harness node;
  auto command = run(0, {"serve"});
  command.executable = "/nowhere/at/all";
  auto missing = node.guard->spawn(command, soon());
  BOOST_REQUIRE(!missing);
  BOOST_TEST((missing.error().code() == errc::invalid));
  BOOST_TEST(missing.error().message()
             == "cannot execute '/nowhere/at/all': No such file or directory");

  command.executable = "/dev/null";
  auto no_program = node.guard->spawn(command, soon());
  BOOST_REQUIRE(!no_program);
  BOOST_TEST((no_program.error().code() == errc::refused));

  command.executable.clear();
  command.log_path = "/nowhere/at/all/log";
  auto no_log = node.guard->spawn(command, soon());
  BOOST_REQUIRE(!no_log);
  BOOST_TEST((no_log.error().code() == errc::refused));
  BOOST_TEST(no_log.error().message()
             == "cannot write the log '/nowhere/at/all/log': No such file or "
                "directory");

  BOOST_TEST((node.guard->spawn(run(-1, {"serve"}), soon()).error().code()
              == errc::invalid));
  BOOST_TEST(
    (node.guard->spawn(run(slots_max, {"serve"}), soon()).error().code()
     == errc::invalid));
  BOOST_TEST((node.guard->spawn(host_command{}, soon()).error().code()
              == errc::invalid));
  auto zero = run(0, {std::string("a\0b", 3)});
  BOOST_TEST((node.guard->spawn(zero, soon()).error().code() == errc::invalid));
  auto bad_entry = run(0, {"serve"});
  bad_entry.env = {"NOVALUE"};
  BOOST_TEST(
    (node.guard->spawn(bad_entry, soon()).error().code() == errc::invalid));
  auto huge = run(0, {std::string(200'000, 'x')});
  BOOST_TEST((node.guard->spawn(huge, soon()).error().code() == errc::invalid));

  BOOST_REQUIRE(node.start(0));
  auto taken = node.guard->spawn(run(0, {"serve"}), soon());
  BOOST_REQUIRE(!taken);
  BOOST_TEST((taken.error().code() == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(a_host_writes_to_its_log_and_sees_its_environment) {
  node_harness node;
  auto path = fmt::format("/tmp/{}.log", node.job_id());
  auto command = run(0, {"say", "hello"});
  command.log_path = path;
  command.env = {"TROUPE_TEST_EXTRA=first", "TROUPE_TEST_EXTRA=second"};
  for (int i = 0; i < 2; ++i) {
    BOOST_REQUIRE(node.guard->spawn(command, soon()));
    BOOST_REQUIRE(node.next_exit(soon()));
  }
  // stderr comes unbuffered before stdout; the second run appended.
  BOOST_TEST(content_of(path) == "hellohello\nsecond\nhellohello\nsecond\n");
  ::unlink(path.c_str());
}

BOOST_AUTO_TEST_CASE(close_leaves_nothing_and_no_descriptor) {
  auto before = open_descriptors();
  {
    node_harness node;
    auto guard_pidfd = open_pidfd(node.guard->pid());
    BOOST_REQUIRE(node.start(0));
    BOOST_REQUIRE(node.start(1));
    auto orphan = node.call(1, simple_order(order::make_orphan));
    BOOST_REQUIRE(orphan.files.size() == 1);
    auto closed = node.guard->close(soon());
    BOOST_TEST(closed.has_value());
    BOOST_TEST(ended(orphan.files[0], deadline::after(duration::zero())));
    BOOST_TEST(ended(guard_pidfd, deadline::after(duration::zero())));
    // Nobody is told of an end that was asked for, and nothing starts after.
    BOOST_TEST(!node.next_exit(deadline::after(duration::zero())));
    auto late = node.start(2);
    BOOST_REQUIRE(!late);
    BOOST_TEST((late.error().code() == errc::unavailable));
  }
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(close_ends_hosts_that_are_frozen) {
  node_harness node;
  auto host = node.start(0);
  BOOST_REQUIRE(host);
  auto pidfd = open_pidfd(host->pid);
  BOOST_REQUIRE(node.guard->kill(0, SIGSTOP));
  BOOST_TEST(node.guard->close(soon()).has_value());
  BOOST_TEST(ended(pidfd, deadline::after(duration::zero())));
}

BOOST_AUTO_TEST_CASE(close_ends_a_guard_that_does_not_answer) {
  node_harness node;
  auto host = node.start(0);
  BOOST_REQUIRE(host);
  auto pidfd = open_pidfd(host->pid);
  ::kill(node.guard->pid(), SIGSTOP);
  auto closed = node.guard->close(
    deadline::after(std::chrono::milliseconds{100}));
  BOOST_REQUIRE(!closed);
  BOOST_TEST((closed.error().code() == errc::timed_out));
  BOOST_TEST(ended(pidfd, soon()));
}

BOOST_AUTO_TEST_CASE(the_end_of_the_guard_is_reported_and_fails_what_follows) {
  node_harness node;
  auto host = node.start(0);
  BOOST_REQUIRE(host);
  auto pidfd = open_pidfd(host->pid);
  ::kill(node.guard->pid(), SIGKILL);
  BOOST_TEST(node.guard_lost(soon()));
  BOOST_TEST(ended(pidfd, soon()));
  auto late = node.guard->spawn(run(1, {"serve"}), soon());
  BOOST_REQUIRE(!late);
  BOOST_TEST((late.error().code() == errc::lost));
  BOOST_TEST((node.guard->kill(0, SIGTERM).error().code() == errc::lost));
}

BOOST_AUTO_TEST_CASE(a_host_started_too_late_is_killed_and_frees_its_slot) {
  node_harness node;
  ::kill(node.guard->pid(), SIGSTOP);
  auto late = node.guard->spawn(run(0, {"serve"}),
                                deadline::after(std::chrono::milliseconds{20}));
  BOOST_REQUIRE(!late);
  BOOST_TEST((late.error().code() == errc::timed_out));
  ::kill(node.guard->pid(), SIGCONT);
  // The slot becomes free; nobody hears of the host that was not wanted.
  auto until = soon();
  while (!node.start(0, 2) && !until.passed())
    std::this_thread::yield();
  BOOST_TEST(!until.passed());
  BOOST_TEST(!node.next_exit(deadline::after(duration::zero())));
}

BOOST_AUTO_TEST_CASE(hosts_start_and_die_from_many_threads) {
  node_harness node;
  std::vector<std::thread> threads;
  std::atomic<int> started = 0;
  for (std::int32_t slot = 0; slot < 8; ++slot)
    threads.emplace_back([&node, &started, slot] {
      for (std::uint32_t life = 1; life <= 3; ++life) {
        auto command = run(slot, {"serve"});
        command.incarnation = incarnation{life};
        auto until = soon();
        // The slot is taken until the guard has reaped the last life.
        while (!node.guard->spawn(command, until) && !until.passed())
          std::this_thread::yield();
        if (!until.passed())
          ++started;
        static_cast<void>(node.guard->kill(slot, SIGKILL));
      }
    });
  for (auto& x : threads)
    x.join();
  BOOST_TEST(started == 24);
  for (int i = 0; i < 24; ++i)
    BOOST_TEST(node.next_exit(soon()).has_value());
}

BOOST_AUTO_TEST_CASE(a_malformed_job_id_is_refused) {
  for (auto* x : {"", "a.b", "../x", "a b", "a/b"}) {
    guard_settings config;
    config.job_id = x;
    auto started = troupe::process::guard_client::start(config);
    BOOST_REQUIRE(!started);
    BOOST_TEST((started.error().code() == errc::invalid));
  }
}

BOOST_AUTO_TEST_SUITE_END()
