// SPDX-License-Identifier: Apache-2.0
// Runs that lose a process and go on with the others.
#include <algorithm>
#include <chrono>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "apps/run/job.hpp"

using namespace run_test;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

using words = std::vector<std::string>;

constexpr auto num_episode = 10;

struct fixture : job_fixture {
  static words set(const words& keys) {
    words out;
    for (const auto& x : keys)
      out.insert(out.end(), {"--set", x});
    return out;
  }

  /// A worker ends its process the nth time it does something, but only once.
  words breaking(const wanted_fault& x, int nth) const {
    auto out = fault_options(x);
    for (const auto& key : {fmt::format("models.{}.fault_nth={}", x.model, nth),
                            fmt::format("models.{}.fault_once={}", x.model,
                                        (folder() / "once").string())})
      out.insert(out.end(), {"--set", key});
    return out;
  }

  std::string run_to_end(const std::string& name, const words& keys,
                         const words& more = {}) {
    auto all = set(keys);
    all.insert(all.end(), more.begin(), more.end());
    auto episodes = fmt::format("runtime.num_episode={}", num_episode);
    all.insert(all.end(), {"--name", name, "--set", episodes});
    auto driver = start_run(all);
    auto status = driver->wait(soon());
    BOOST_TEST(status.value_or(-999) == 0, driver->output());
    return driver->output();
  }

  [[nodiscard]] json processes_of(const std::string& name) const {
    return json::parse(read_file(runs() / name / "summary.json"))["processes"];
  }

  /// Models of those processes that began anew.
  [[nodiscard]] std::vector<std::string>
  begun_anew(const std::string& name) const {
    std::vector<std::string> out;
    for (const auto& x : processes_of(name))
      if (x["restarts"] != 0)
        for (const auto& model : x["models"])
          out.push_back(model.get<std::string>());
    std::ranges::sort(out);
    return out;
  }

  void check_same_result(const std::string& name) {
    run_to_end("whole", {});
    BOOST_TEST(
      (timeless_metrics(runs() / name) == timeless_metrics(runs() / "whole")));
    check_ledger(name);
  }

  /// Each sample once, in order.
  void check_ledger(const std::string& name) {
    auto rows = read_rows(runs() / name / "ledger.jsonl");
    BOOST_REQUIRE(rows.size() == std::size_t{num_episode});
    std::int64_t next = 0;
    for (const auto& row : rows) {
      BOOST_TEST(row["begin"] == next);
      next = row["end"];
    }
  }
};

const words restarting{"runtime.on_failure=restart",
                       "runtime.save_episode_interval=1",
                       "runtime.restart_backoff_ms=10"};

words with(words x, const words& more) {
  x.insert(x.end(), more.begin(), more.end());
  return x;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(repair, fixture)

BOOST_AUTO_TEST_CASE(only_the_process_that_was_lost_begins_anew) {
  auto said = flat(
    run_to_end("torn", with(restarting, {"models.policy.isolated=true"}),
               breaking({"policy", 1, 0, "generation", "segv"}, 5)));
  BOOST_TEST(contains(said, "Restart 1 of 3, after episode"), said);
  BOOST_TEST(contains(said, "policy replica 1 was made anew."), said);
  BOOST_TEST(begun_anew("torn") == (words{"policy/1/0"}),
             boost::test_tools::per_element());
  check_same_result("torn");
  BOOST_TEST(left_after(within(2s)) == "");
}

BOOST_AUTO_TEST_CASE(a_module_that_throws_takes_its_process_with_it) {
  run_to_end("thrown", restarting,
             breaking({"reward", 0, 0, "reward", "throw"}, 5));
  BOOST_TEST(begun_anew("thrown") == (words{"reward/0/0"}),
             boost::test_tools::per_element());
  check_same_result("thrown");
}

BOOST_AUTO_TEST_CASE(a_trainer_that_lost_a_rank_loads_and_keeps_the_rest) {
  auto said = flat(
    run_to_end("torn", restarting,
               breaking({"policy", 1, 0, "generation", "exit3"}, 5)));
  BOOST_TEST(contains(said, "trainer replica 0 was made anew."), said);
  BOOST_TEST(begun_anew("torn") == (words{"policy/1/0", "trainer/0/1"}),
             boost::test_tools::per_element());
  check_same_result("torn");
}

// Episodes 1 to 4 are on no disk.
BOOST_AUTO_TEST_CASE(a_lost_rank_goes_on_from_its_peer_without_a_checkpoint) {
  auto said = flat(
    run_to_end("torn",
               {"runtime.on_failure=restart",
                "runtime.save_episode_interval=100",
                "runtime.restart_backoff_ms=10", "runtime.deterministic=false"},
               breaking({"policy", 1, 0, "generation", "exit3"}, 5)));
  BOOST_TEST(contains(said, "Restart 1 of 3, after episode 4"), said);
  BOOST_TEST(contains(said, "every replica equals its source"));
  check_ledger("torn");
  BOOST_TEST(timeless_metrics(runs() / "torn").size()
             == std::size_t{num_episode});
}

BOOST_AUTO_TEST_CASE(an_exact_run_goes_back_to_its_checkpoint_instead) {
  auto said = flat(
    run_to_end("torn",
               {"runtime.on_failure=restart",
                "runtime.save_episode_interval=100",
                "runtime.restart_backoff_ms=10"},
               breaking({"policy", 1, 0, "generation", "exit3"}, 5)));
  BOOST_TEST(contains(said, "after the warm start"), said);
  BOOST_TEST(begun_anew("torn") == (words{"policy/1/0", "trainer/0/1"}),
             boost::test_tools::per_element());
  check_same_result("torn");
}

BOOST_AUTO_TEST_CASE(what_had_begun_to_train_loads_where_it_is) {
  run_to_end("torn", restarting,
             breaking({"trainer", 0, 1, "training", "segv"}, 5));
  BOOST_TEST(begun_anew("torn") == (words{"policy/1/0", "trainer/0/1"}),
             boost::test_tools::per_element());
  check_same_result("torn");
}

BOOST_AUTO_TEST_CASE(a_fault_that_comes_at_once_again_lets_all_begin_anew) {
  run_to_end("broken", restarting);
  words all{"run", "--resume", "broken", "--output-dir", runs().string()};
  all = with(all, set({"runtime.num_episode=12", "runtime.max_restarts=2"}));
  auto driver = start(
    with(all, fault_options({"trainer", 0, 1, "training", "segv"})));
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 1);
  auto said = flat(driver->output());
  BOOST_TEST(contains(said, "trainer replica 0 was made anew."), said);
  BOOST_TEST(contains(said, "All processes begin anew."));
  BOOST_TEST(left_after(within(2s)) == "");
}

BOOST_AUTO_TEST_CASE(with_drop_a_run_goes_on_without_a_lost_replica) {
  auto said = flat(
    run_to_end("fewer",
               {"runtime.on_failure=drop", "runtime.restart_backoff_ms=10",
                "models.policy.isolated=true"},
               breaking({"policy", 0, 0, "generation", "segv"}, 5)));
  BOOST_TEST(contains(said,
                      "policy replica 0 was lost; the run goes on without it."),
             said);
  BOOST_TEST(contains(said, "every replica equals its source"));
  check_ledger("fewer");
  BOOST_TEST(begun_anew("fewer").empty());
  BOOST_TEST(left_after(within(2s)) == "");
}

BOOST_AUTO_TEST_CASE(without_another_replica_or_checkpoint_drop_is_the_end) {
  for (const auto& x : {wanted_fault{"reward", 0, 0, "reward", "segv"},
                        wanted_fault{"trainer", 0, 0, "training", "segv"}}) {
    auto all = set(
      {"runtime.on_failure=drop", "runtime.restart_backoff_ms=10"});
    auto more = fault_options(x);
    all.insert(all.end(), more.begin(), more.end());
    auto driver = start_run(all);
    BOOST_TEST(driver->wait(soon()).value_or(-999) == 1);
    auto said = flat(driver->output());
    BOOST_TEST(contains(said, "Cannot go on: "), said);
    BOOST_TEST(contains(said, "killed by signal 11"));
  }
  BOOST_TEST(left_after(within(2s)) == "");
}

BOOST_AUTO_TEST_SUITE_END()
