// SPDX-License-Identifier: Apache-2.0
// Runs that lose processes and go on by themselves.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <random>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "apps/run/job.hpp"

using namespace run_test;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

using role = job_process::role;

constexpr auto num_episode = 40;

struct fixture : job_fixture {
  static std::vector<std::string> restarting(int restarts_max,
                                             int episodes = num_episode) {
    std::vector<std::string> out;
    for (const auto& x : {std::string{"on_failure=restart"},
                          std::string{"save_episode_interval=1"},
                          fmt::format("max_restarts={}", restarts_max),
                          fmt::format("num_episode={}", episodes),
                          std::string{"restart_backoff_ms=10"}})
      out.insert(out.end(), {"--set", "runtime." + x});
    return out;
  }

  [[nodiscard]] json summary(const std::string& name) const {
    return json::parse(read_file(runs() / name / "summary.json"));
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(restart, fixture)

BOOST_AUTO_TEST_CASE(hosts_killed_at_any_moment_change_nothing_of_the_result) {
  auto whole = start_run({"--name", "whole", "--set",
                          fmt::format("runtime.num_episode={}", num_episode)});
  BOOST_REQUIRE(whole->wait(soon()).value_or(-999) == 0);
  auto seed = std::random_device{}();
  BOOST_TEST_MESSAGE(fmt::format("restart: seed {}", seed));
  std::mt19937 random{seed};
  auto words = restarting(100);
  // Some of them are frozen.
  words.insert(words.end(), {"--name", "disturbed", "--set",
                             "runtime.pulse_timeout_ms=2000"});
  auto driver = start_run(words);
  auto kills = 0;
  std::optional<int> status;
  while (!status && kills < 5) {
    status = driver->wait(
      within(std::chrono::milliseconds{200 + random() % 1000}));
    if (status)
      break;
    auto all = processes(*driver);
    std::erase_if(all, [](const job_process& x) {
      return x.part != role::device_host && x.part != role::cpu_host;
    });
    if (all.empty())
      continue;
    auto signal = random() % 4 == 0 ? SIGSTOP : SIGKILL;
    ::kill(all[random() % all.size()].pid, signal);
    ++kills;
  }
  if (!status)
    status = driver->wait(soon());
  BOOST_TEST_CONTEXT("output:\n" << driver->output()) {
    BOOST_TEST(status.value_or(-999) == 0);
    auto metrics = timeless_metrics(runs() / "disturbed");
    BOOST_TEST(metrics.size() == std::size_t{num_episode});
    BOOST_TEST((metrics == timeless_metrics(runs() / "whole")));
    BOOST_TEST((read_rows(runs() / "disturbed/ledger.jsonl")
                == read_rows(runs() / "whole/ledger.jsonl")));
    // Two kills may meet in one attempt, and one may hit a process that is
    // about to be ended.
    auto restarts = summary("disturbed")["restarts"].get<int>();
    BOOST_TEST_MESSAGE(
      fmt::format("restart: {} kills, {} restarts", kills, restarts));
    BOOST_TEST(restarts <= kills);
    BOOST_TEST(read_rows(runs() / "disturbed/errors.jsonl").size()
               >= static_cast<std::size_t>(restarts));
  }
  BOOST_TEST(left_after(within(2s)) == "");
}

BOOST_AUTO_TEST_CASE(a_fault_that_comes_again_ends_the_run_after_all_restarts) {
  auto words = restarting(2, 2);
  words.insert(words.end(), {"--name", "broken"});
  auto driver = start_run(words);
  BOOST_REQUIRE(driver->wait(soon()).value_or(-999) == 0);
  words = {"run",
           "--resume",
           "broken",
           "--output-dir",
           runs().string(),
           "--set",
           "runtime.num_episode=4"};
  auto more = fault_options({"trainer", 0, 1, "training", "segv"});
  words.insert(words.end(), more.begin(), more.end());
  driver = start(words);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 1);
  auto output = driver->output();
  BOOST_TEST_CONTEXT("output:\n" << output) {
    auto said = flat(output);
    BOOST_TEST(contains(said, "Restart 1 of 2, after episode 2"));
    BOOST_TEST(contains(said, "Restart 2 of 2, after episode 2"));
    BOOST_TEST(contains(flat(last_lines(output, 6)), "killed by signal 11"));
    BOOST_TEST(contains(said, "go on with:"));
  }
  BOOST_TEST(summary("broken")["restarts"] == 2);
  BOOST_TEST(left_after(within(2s)) == "");
}

BOOST_AUTO_TEST_CASE(a_run_is_interrupted_while_it_waits_to_go_on) {
  auto words = restarting(5, 3);
  auto more = fault_options({"policy", 0, 0, "setup", "exit3"});
  words.insert(words.end(), more.begin(), more.end());
  words.insert(words.end(), {"--name", "waiting", "--set",
                             "runtime.restart_backoff_ms=60000"});
  auto driver = start_run(words);
  auto errors = runs() / "waiting/errors.jsonl";
  auto until = soon();
  // The note is printed right before the pause.
  while (!contains(driver->output(), "Restart 1 of 5") && !until.passed())
    if (driver->wait(within(50ms)))
      break;
  driver->signal(SIGINT);
  BOOST_TEST(driver->wait(within(10s)).value_or(-999) == 130);
  BOOST_TEST(!read_rows(errors).empty());
  BOOST_TEST(left_after(within(2s)) == "");
}

BOOST_AUTO_TEST_CASE(what_makes_no_sense_is_refused) {
  auto driver = start_run({"--set", "runtime.on_failure=restart"});
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 2);
  BOOST_TEST(contains(flat(driver->output()), "needs checkpoints to go on"));
  driver = start({"run", config().string(), "--devices", "inproc:2", "--set",
                  "runtime.on_failure=restart", "--set",
                  "runtime.save_episode_interval=1"});
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 2);
  BOOST_TEST(contains(flat(driver->output()), "needs device processes"));
}

BOOST_AUTO_TEST_SUITE_END()
