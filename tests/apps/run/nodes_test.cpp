// SPDX-License-Identifier: Apache-2.0
// Runs over several nodes, each a program of its own on this machine.
#include "apps/run/nodes_fixture.hpp"
#include "support/random_seed.hpp"
#include "support/slow_relay.hpp"

using namespace run_test;
using namespace std::chrono_literals;

BOOST_FIXTURE_TEST_SUITE(nodes, nodes_fixture)

BOOST_AUTO_TEST_CASE(two_machines_compute_what_one_computes) {
  start_nodes(2);
  auto driver = start(
    words({"--name", "two", "--set", "runtime.num_episode=10"}));
  ends_with(*driver, 0);
  BOOST_TEST(contains(flat(driver->output()),
                      "every replica equals its source bit for bit"));
  no_hosts_left(within(clean_up_bound));
  check_same("two", one_machine("one", 10));
}

BOOST_AUTO_TEST_CASE(machines_of_several_devices_compute_and_recover_alike) {
  // Replicas that share a machine are asked through its node, and so are two
  // ranks of the trainer.
  devices = "cpu:2";
  start_nodes(2);
  std::vector<std::string> four{"--set", "models.trainer.num_gpu=all",
                                "--set", "models.policy.num_gpu=all",
                                "--set", "models.reward.num_cpu=2"};
  auto options = parked(persistent(20, "shared"), 3);
  options.insert(options.end(), four.begin(), four.end());
  auto driver = start(words(options));
  auto victim = wait_parked("shared");
  BOOST_TEST(hosts(1).size() >= 2u);
  ::kill(victim, SIGKILL);
  auto output = ends_with(*driver, 0);
  BOOST_TEST(contains(output, "Goes on after episode"));
  // What the machines had is what the run has, also if it goes on elsewhere.
  std::ifstream config_of_run{runs() / "shared" / "config.yaml"};
  std::string settled{std::istreambuf_iterator<char>{config_of_run}, {}};
  BOOST_TEST(contains(settled, "num_gpu: 4"), settled);
  BOOST_TEST(!contains(settled, "num_gpu: all"));
  auto whole = start({"run", config().string(), "--devices", "cpu:4", "--name",
                      "whole", "--set", "runtime.num_episode=20", four[0],
                      four[1], four[2], four[3], four[4], four[5]});
  ends_with(*whole, 0);
  check_same("shared", "whole");
}

BOOST_AUTO_TEST_CASE(latency_and_loss_change_nothing_but_the_time) {
  start_nodes(2);
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE(fmt::format("nodes: seed {}", seed));
  std::vector<std::unique_ptr<troupe::test::slow_relay>> relays;
  std::vector<std::string> gates;
  for (const auto& x : machines) {
    troupe::test::slow_relay_settings bad;
    bad.seed = seed++;
    relays.push_back(
      std::make_unique<troupe::test::slow_relay>(x.port.number(), bad));
    gates.push_back(fmt::format("127.0.0.1:{}", relays.back()->port()));
  }
  auto driver = start({"run", config().string(), "--nodes",
                       fmt::format("{}", fmt::join(gates, ",")), "--name",
                       "bad", "--set", "runtime.num_episode=10"});
  ends_with(*driver, 0, within(120s));
  auto lost = relays[0]->lost() + relays[1]->lost();
  BOOST_TEST_MESSAGE(fmt::format("nodes: {} pieces were late, {} very late",
                                 relays[0]->passed() + relays[1]->passed(),
                                 lost));
  BOOST_TEST(lost > 0u);
  check_same("bad", one_machine("good", 10));
}

BOOST_AUTO_TEST_CASE(nodes_serve_one_run_after_the_other_which_waits) {
  start_nodes(2);
  auto first = start(
    words({"--name", "first", "--set", "runtime.num_episode=20"}));
  BOOST_REQUIRE(says(machines[0], "works for job"));
  auto second = start(words({"--name", "second"}));
  ends_with(*first, 0);
  ends_with(*second, 0);
  for (const auto& machine : machines)
    BOOST_TEST(!contains(machine.node->output(), "the driver is gone"));
}

BOOST_AUTO_TEST_CASE(a_killed_host_of_another_machine_is_the_cause) {
  start_nodes(2);
  auto driver = start(words({"--name", "far", "--set", forever}));
  auto victim = only_host(1);
  BOOST_REQUIRE(says(machines[1], "works for job"));
  ::kill(victim, SIGKILL);
  BOOST_TEST(driver->wait(within(5s)).value_or(-999) == 1);
  auto output = flat(driver->output());
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(contains(output, "node 1, device cpu:0"));
    BOOST_TEST(
      contains(output,
               fmt::format("(pid {}) ended: killed by signal 9", victim)));
    // Where to look: on that machine.
    BOOST_TEST(
      contains(output, "logs: " + (folder() / "node-logs").string() + "/"));
  }
  auto written = read_file(runs() / "far" / "nodes.json");
  BOOST_TEST_CONTEXT("nodes.json:\n" << written)
  for (const auto& x : machines)
    BOOST_TEST(contains(written, x.address()));
  no_hosts_left(within(clean_up_bound));
}

BOOST_AUTO_TEST_CASE(a_killed_node_is_the_cause_and_comes_back) {
  start_nodes(2);
  auto driver = start(words({"--set", forever}));
  BOOST_REQUIRE(eventually([&] { return hosts().size() == 3; }));
  ::kill(job_process_of(machines[1]), SIGKILL);
  BOOST_TEST(driver->wait(within(5s)).value_or(-999) == 1);
  auto output = flat(driver->output());
  BOOST_TEST_CONTEXT("output:\n" << output)
  BOOST_TEST(
    contains(output, fmt::format("node 1 ({}", machines[1].address())));
  no_hosts_left(within(clean_up_bound));
  BOOST_TEST(says(machines[1], "waiting for a job at", 2));
  ends_with(*start(words({"--name", "next"})), 0);
}

BOOST_AUTO_TEST_CASE(a_frozen_node_is_the_cause_and_cleans_up_when_it_wakes) {
  start_nodes(2);
  auto driver = start(words(impatient({"--set", forever}, 30s)));
  BOOST_REQUIRE(eventually([&] { return hosts().size() == 3; }));
  auto frozen = job_process_of(machines[1]);
  auto begin = std::chrono::steady_clock::now();
  ::kill(frozen, SIGSTOP);
  BOOST_TEST(driver->wait(within(10s)).value_or(-999) == 1);
  auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(
    std::chrono::steady_clock::now() - begin);
  BOOST_TEST_MESSAGE(fmt::format("nodes: a frozen node ends the run after {} "
                                 "ms",
                                 spent.count()));
  auto output = flat(driver->output());
  BOOST_TEST_CONTEXT("output:\n" << output)
  BOOST_TEST(contains(output, "has given no sign of life for"));
  ::kill(frozen, SIGCONT);
  no_hosts_left(soon());
  BOOST_TEST(says(machines[1], "waiting for a job at", 2));
}

// Only they know how many devices "all" are.
BOOST_AUTO_TEST_CASE(a_driver_that_wakes_after_its_grace_is_too_late) {
  start_nodes(2);
  auto driver = start(words(impatient({"--set", forever}, 3s)));
  BOOST_REQUIRE(eventually([&] { return hosts().size() == 3; }));
  driver->signal(SIGSTOP);
  no_hosts_left(soon());
  BOOST_TEST(says(machines[0], "the driver has been silent for too long"));
  driver->signal(SIGCONT);
  BOOST_TEST(driver->wait(within(10s)).value_or(-999) == 1);
  BOOST_TEST(contains(flat(driver->output()), "is gone"));
}

BOOST_AUTO_TEST_CASE(a_run_that_loses_a_node_goes_on_with_the_same_result) {
  start_nodes(2);
  auto driver = start(words(parked(persistent(20, "lossy"))));
  wait_parked("lossy");
  ::kill(job_process_of(machines[1]), SIGKILL);
  auto status = driver->wait(soon());
  BOOST_TEST_CONTEXT("output:\n" << driver->output()) {
    BOOST_TEST(status.value_or(-999) == 0);
    BOOST_TEST(contains(flat(driver->output()), "Goes on after episode"));
  }
  check_same("lossy", one_machine("whole", 20));
}

BOOST_AUTO_TEST_CASE(a_run_waits_for_a_node_that_somebody_starts_again) {
  start_nodes(2);
  auto driver = start(words(parked(persistent(20, "patient"))));
  wait_parked("patient");
  kill_machine(machines[1]);
  BOOST_TEST(!driver->wait(within(5s)));
  start_node(machines[1]);
  auto output = ends_with(*driver, 0);
  BOOST_TEST(contains(output, fmt::format("Waiting for node 1 ({}",
                                          machines[1].address())));
  BOOST_TEST(contains(output, "Goes on after episode"));
  check_same("patient", one_machine("whole", 20));
}

BOOST_AUTO_TEST_CASE(
  a_node_that_stays_away_ends_the_run_when_its_time_is_over) {
  start_nodes(2);
  auto options = persistent(1'000'000, "away");
  options.insert(options.end(), {"--set", "runtime.node_return_ms=1500"});
  auto driver = start(words(options));
  BOOST_REQUIRE(eventually([&] { return has_complete_checkpoint("away"); }));
  kill_machine(machines[1]);
  auto output = ends_with(*driver, 1);
  BOOST_TEST(contains(output, "it has not come back in time"));
  machines.pop_back();
}

BOOST_AUTO_TEST_CASE(an_interruption_ends_the_wait_for_a_node) {
  start_nodes(2);
  auto driver = start(words(persistent(1'000'000, "stopped")));
  BOOST_REQUIRE(eventually([&] { return has_complete_checkpoint("stopped"); }));
  kill_machine(machines[1]);
  machines.pop_back();
  BOOST_REQUIRE(
    eventually([&] { return contains(driver->output(), "Waiting for node"); }));
  driver->signal(SIGINT);
  ends_with(*driver, 130, within(5s));
}

BOOST_AUTO_TEST_CASE(a_node_without_its_guard_is_taken_anew) {
  start_nodes(2);
  auto driver = start(words(parked(persistent(20, "unguarded"))));
  wait_parked("unguarded");
  auto guard = first_child(job_process_of(machines[1]));
  ::kill(guard, SIGKILL);
  auto output = ends_with(*driver, 0);
  BOOST_TEST(contains(output, "the guard process is gone"));
  BOOST_TEST(says(machines[1], "the guard process is gone"));
  check_same("unguarded", one_machine("whole", 20));
}

BOOST_AUTO_TEST_CASE(hosts_of_a_frozen_node_end_after_the_grace_of_the_run) {
  start_nodes(2);
  constexpr auto grace = 3s;
  auto driver = start(words(impatient({"--set", forever}, grace)));
  BOOST_REQUIRE(eventually([&] { return hosts().size() == 3; }));
  auto frozen = job_process_of(machines[1]);
  ::kill(frozen, SIGSTOP);
  ends_with(*driver, 1, within(10s));
  no_hosts_left(within(grace + clean_up_bound + 2s));
  ::kill(frozen, SIGCONT);
  BOOST_TEST(says(machines[1], "waiting for a job at", 2));
}

BOOST_AUTO_TEST_CASE(a_debugger_may_stop_a_host_elsewhere_if_the_run_says_so) {
  start_nodes(2);
  auto driver = start(
    words(impatient({"--set", forever, "--set", "runtime.debug=true"}, 30s)));
  auto stopped = only_host(1);
  BOOST_TEST(!driver->wait(within(500ms)));
  ::kill(stopped, SIGSTOP);
  BOOST_TEST(!driver->wait(within(4s)));
  ::kill(stopped, SIGCONT);
  BOOST_TEST(!driver->wait(within(300ms)));
  driver->signal(SIGINT);
  ends_with(*driver, 130);
}

BOOST_AUTO_TEST_CASE(a_node_that_lags_is_a_warning_and_no_failure) {
  start_nodes(2);
  auto driver = start(words({"--name", "slow", "--set", forever, "--set",
                             "runtime.pulse_timeout_ms=20000"}));
  BOOST_REQUIRE(eventually([&] { return hosts().size() == 3; }));
  BOOST_TEST(!driver->wait(within(500ms)));
  auto held_up = job_process_of(machines[1]);
  auto file = runs() / "slow" / "errors.jsonl";
  auto late = [&](const std::string& row) {
    return contains(row, " ms late") && contains(row, machines[1].address());
  };
  auto told = [&] {
    return std::ranges::count_if(lines_of(read_file(file)), late);
  };
  // A driver that was held up itself blames nobody: then once more.
  auto until = soon();
  auto before = told();
  auto is_told = [&] { return told() > before; };
  do {
    ::kill(held_up, SIGSTOP);
    BOOST_TEST(!driver->wait(within(1s)));
    ::kill(held_up, SIGCONT);
  } while (!eventually(is_told, within(2s)) && !until.passed());
  driver->signal(SIGINT);
  ends_with(*driver, 130);
  auto warnings = 0;
  for (const auto& x : read_rows(file))
    if (late(x.dump())) {
      ++warnings;
      BOOST_TEST(x["level"] == "warning", x.dump());
    }
  BOOST_TEST(warnings > 0);
}

BOOST_AUTO_TEST_SUITE_END()
