// SPDX-License-Identifier: Apache-2.0
// Runs that are killed and go on: with the metrics and the samples of a run
// that was never killed.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "apps/run/job.hpp"

using namespace run_test;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

constexpr auto num_episode = 40;

struct fixture : job_fixture {
  static std::vector<std::string> settings(int episodes, int interval) {
    return {"--set", fmt::format("runtime.num_episode={}", episodes), "--set",
            fmt::format("runtime.save_episode_interval={}", interval)};
  }

  /// A run that nobody disturbs.
  void reference(const std::string& name, int episodes) {
    auto words = settings(episodes, 0);
    words.insert(words.end(), {"--name", name});
    auto driver = start_run(words);
    BOOST_REQUIRE(driver->wait(soon()).value_or(-999) == 0);
  }

  std::unique_ptr<program> resume(const std::string& name,
                                  std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"run", "--resume", name, "--output-dir",
                                   runs().string()};
    words.insert(words.end(), more.begin(), more.end());
    return start(words);
  }

  /// A run with a checkpoint, in which a worker stands still.
  std::unique_ptr<program> start_saved_and_held(const std::string& name) {
    auto words = settings(4, 1);
    words.insert(words.end(), {"--name", name});
    auto more = fault_options({"trainer", 0, 1, "training", "hold"});
    words.insert(words.end(), more.begin(), more.end());
    auto driver = start_run(words);
    static_cast<void>(wait_held());
    auto until = soon();
    while (!has_complete_checkpoint(name) && !until.passed())
      if (driver->wait(within(20ms)))
        break;
    BOOST_TEST(has_complete_checkpoint(name));
    return driver;
  }

  /// Both runs trained on the same samples with the same result.
  void check_same(const std::string& name, const std::string& other) const {
    auto metrics = timeless_metrics(runs() / name);
    auto expected = timeless_metrics(runs() / other);
    for (auto* rows : {&metrics, &expected})
      for (auto& row : *rows)
        row.erase("num_episode");
    BOOST_TEST(metrics.size() == expected.size());
    BOOST_TEST((metrics == expected));
    auto ledger = read_rows(runs() / name / "ledger.jsonl");
    BOOST_TEST((ledger == read_rows(runs() / other / "ledger.jsonl")));
    // No sample is left out and none is trained on twice.
    std::int64_t next = 0;
    for (const auto& row : ledger) {
      BOOST_TEST(row["begin"] == next);
      next = row["end"];
    }
    BOOST_TEST(next == 16 * static_cast<std::int64_t>(expected.size()));
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(resume, fixture)

BOOST_AUTO_TEST_CASE(a_driver_killed_at_any_moment_goes_on_exactly) {
  reference("whole", num_episode);
  auto seed = std::random_device{}();
  BOOST_TEST_MESSAGE(fmt::format("resume: seed {}", seed));
  std::mt19937 random{seed};
  auto words = settings(num_episode, 1);
  words.insert(words.end(), {"--name", "killed"});
  auto driver = start_run(words);
  auto kills = 0;
  std::optional<int> status;
  for (auto attempt = 0; attempt < 6; ++attempt) {
    status = driver->wait(
      within(std::chrono::milliseconds{600 + random() % 1400}));
    if (status)
      break;
    driver->signal(SIGKILL);
    auto ended = driver->wait(soon()).value_or(-999);
    BOOST_TEST(left_after(within(10s)) == "");
    BOOST_TEST((ended == 0 || ended == -SIGKILL), ended);
    // Too late: it had come to its end, if not quite to that of its process.
    if (ended == 0
        || contains(read_file(runs() / "killed/summary.json"),
                    "\"finished\"")) {
      status = 0;
      break;
    }
    ++kills;
    if (!has_complete_checkpoint("killed")) {
      fs::remove_all(runs() / "killed");
      driver = start_run(words);
      continue;
    }
    driver = resume("killed");
  }
  if (!status)
    status = driver->wait(soon());
  BOOST_TEST_MESSAGE(fmt::format("resume: killed {} times", kills));
  BOOST_TEST_CONTEXT("output:\n" << driver->output()) {
    BOOST_TEST(status.value_or(-999) == 0);
    check_same("killed", "whole");
  }
}

BOOST_AUTO_TEST_CASE(a_kill_while_saving_leaves_the_last_checkpoint) {
  reference("whole", 6);
  auto words = settings(4, 2);
  words.insert(words.end(), {"--name", "cut"});
  auto driver = start_run(words);
  BOOST_REQUIRE(driver->wait(soon()).value_or(-999) == 0);
  auto complete = std::vector<std::string>{"episode-00000002",
                                           "episode-00000004"};
  BOOST_TEST(checkpoints("cut") == complete, boost::test_tools::per_element());
  auto more = fault_options({"trainer", 0, 1, "saving", "hold"});
  more.insert(more.end(), {"--set", "runtime.num_episode=6"});
  driver = resume("cut", more);
  BOOST_TEST(wait_held().phase == "saving");
  auto begun = complete;
  begun.push_back("episode-00000006.partial");
  BOOST_TEST(checkpoints("cut") == begun, boost::test_tools::per_element());
  driver->signal(SIGKILL);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == -SIGKILL);
  BOOST_TEST(left_after(within(10s)) == "");
  BOOST_TEST(checkpoints("cut") == complete, boost::test_tools::per_element());
  driver = resume("cut", {"--set", "models.trainer.fault_phase="});
  BOOST_TEST_CONTEXT("output:\n" << driver->output()) {
    BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
    check_same("cut", "whole");
  }
  BOOST_TEST(checkpoints("cut")
               == (std::vector<std::string>{"episode-00000004",
                                            "episode-00000006"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_damaged_checkpoint_is_told_and_passed_over) {
  reference("whole", 6);
  auto words = settings(4, 2);
  words.insert(words.end(), {"--name", "damaged"});
  auto driver = start_run(words);
  BOOST_REQUIRE(driver->wait(soon()).value_or(-999) == 0);
  fs::resize_file(runs()
                    / "damaged/checkpoints/episode-00000004/trainer/0/"
                      "weights.rank1",
                  10);
  driver = resume("damaged", {"--set", "runtime.num_episode=6"});
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
  BOOST_TEST_CONTEXT("output:\n" << driver->output()) {
    auto said = flat(driver->output());
    BOOST_TEST(contains(said, "Passed over a checkpoint"));
    BOOST_TEST(contains(said, "Goes on after episode 2."));
    check_same("damaged", "whole");
  }
}

BOOST_AUTO_TEST_CASE(a_run_that_still_goes_on_is_not_resumed) {
  auto driver = start_saved_and_held("busy");
  auto second = resume("busy");
  BOOST_TEST(second->wait(soon()).value_or(-999) == 2);
  BOOST_TEST(contains(flat(second->output()), "is still going on"));
  driver->signal(SIGINT);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 130);
  auto said = flat(driver->output());
  BOOST_TEST(contains(said, "Saved after the warm start; go on with: "
                            "faulty_app run --resume "),
             said);
  BOOST_TEST(contains(said, "runs/busy"));
}

BOOST_AUTO_TEST_CASE(a_killed_run_is_not_resumed_before_it_is_swept) {
  auto driver = start_saved_and_held("swept");
  auto sweeper = find(*driver, job_process::role::sweeper).pid;
  ::kill(sweeper, SIGSTOP);
  driver->signal(SIGKILL);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == -SIGKILL);
  auto early = resume("swept");
  BOOST_TEST(early->wait(soon()).value_or(-999) == 2);
  BOOST_TEST(contains(flat(early->output()), "is still going on"));
  ::kill(sweeper, SIGCONT);
  // It waits for the sweeper by itself, and nobody stands still this time.
  auto later = resume("swept", {"--set", "models.trainer.fault_phase="});
  BOOST_TEST(later->wait(soon()).value_or(-999) == 0);
}

BOOST_AUTO_TEST_CASE(a_trainer_of_equal_ranks_may_have_more_or_fewer) {
  auto words = settings(2, 1);
  words.insert(words.end(),
               {"--name", "grown", "--set", "models.trainer.num_gpu=1"});
  BOOST_REQUIRE(start_run(words)->wait(soon()).value_or(-999) == 0);
  // One rank, then two, then one again.
  for (auto ranks : {2, 1}) {
    auto driver = resume("grown",
                         {"--set",
                          fmt::format("runtime.num_episode={}", 5 - ranks),
                          "--set",
                          fmt::format("models.trainer.num_gpu={}", ranks)});
    BOOST_TEST_CONTEXT("output:\n" << driver->output()) {
      BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
      BOOST_TEST(contains(flat(driver->output()),
                          fmt::format("Goes on after episode {}.", 4 - ranks)));
    }
  }
  BOOST_TEST(timeless_metrics(runs() / "grown").size() == 4u);
}

BOOST_AUTO_TEST_CASE(a_model_may_have_fewer_replicas_and_more_again) {
  auto words = settings(2, 1);
  words.insert(words.end(), {"--name", "fewer"});
  BOOST_REQUIRE(start_run(words)->wait(soon()).value_or(-999) == 0);
  for (auto replicas : {1, 2}) {
    auto driver = resume("fewer",
                         {"--set",
                          fmt::format("runtime.num_episode={}", 2 + replicas),
                          "--set",
                          fmt::format("models.policy.num_gpu={}", replicas)});
    auto code = driver->wait(soon()).value_or(-999);
    BOOST_TEST(code == 0, driver->output());
  }
  BOOST_TEST(timeless_metrics(runs() / "fewer").size() == 4u);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_of_other_ranks_is_refused_with_a_sentence) {
  auto words = settings(2, 1);
  words.insert(words.end(), {"--name", "cut"});
  BOOST_REQUIRE(start_run(words)->wait(soon()).value_or(-999) == 0);
  auto driver = resume("cut", {"--set", "runtime.num_episode=4", "--set",
                               "models.trainer.tensor_model_parallel_size=2"});
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 2);
  auto said = flat(driver->output());
  BOOST_TEST(contains(said, "run 'cut' cannot go on: the checkpoint has "
                            "replicas of trainer with 2 ranks (data 2), the "
                            "configuration asks for 2 ranks (tensor 2)"),
             said);
  // Nothing has begun, and nothing that was there is lost.
  BOOST_TEST(timeless_metrics(runs() / "cut").size() == 2u);
  driver = resume("cut", {"--set", "runtime.num_episode=4"});
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_resumed_is_refused_with_a_sentence) {
  auto refused = [&](std::unique_ptr<program> x, std::string_view text) {
    BOOST_TEST(x->wait(soon()).value_or(-999) == 2);
    BOOST_TEST(contains(flat(x->output()), text),
               "'" << text << "' is not in: " << x->output());
  };
  refused(resume("nobody"), "there is no run 'nobody'");
  auto words = settings(2, 0);
  words.insert(words.end(), {"--name", "unsaved"});
  BOOST_REQUIRE(start_run(words)->wait(soon()).value_or(-999) == 0);
  refused(resume("unsaved"), "there is no complete checkpoint");
  words = settings(2, 1);
  words.insert(words.end(), {"--name", "done"});
  BOOST_REQUIRE(start_run(words)->wait(soon()).value_or(-999) == 0);
  refused(resume("done"), "has run all of its 2 episodes");
  refused(resume("done", {"--seed", "4"}), "--seed excludes --resume");
  // Nothing that was there is lost.
  BOOST_TEST(timeless_metrics(runs() / "done").size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
