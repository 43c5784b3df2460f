// SPDX-License-Identifier: Apache-2.0
// Runs that succeed: what they leave behind, and that they can be repeated.
#include <filesystem>
#include <fstream>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "apps/run/job.hpp"

using namespace run_test;
using nlohmann::json;

namespace {

const char* const kinds[] = {"cpu:2", "inproc:2"};

} // namespace

BOOST_AUTO_TEST_SUITE(good_run)

BOOST_DATA_TEST_CASE_F(job_fixture, a_good_run_logs_no_error_and_syncs_exactly,
                       boost::unit_test::data::make(kinds), devices) {
  auto driver = start({"run", config().string(), "--devices", devices});
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
  BOOST_TEST_CONTEXT("output:\n" << driver->output()) {
    auto run = only_run();
    auto summary = json::parse(read_file(run / "summary.json"));
    BOOST_TEST(summary["weights_identical"] == true);
    BOOST_TEST(summary["exit_reason"] == "finished");
    BOOST_TEST(summary["episodes"] == 3);
    std::size_t logs = 0;
    for (const auto& file : std::filesystem::directory_iterator{run / "log"}) {
      ++logs;
      for (const auto& line : lines_of(read_file(file.path())))
        BOOST_TEST((!contains(line, " E ") && !contains(line, " W ")),
                   file.path().filename().string() << ": " << line);
    }
    BOOST_TEST(logs >= (devices == std::string{"cpu:2"} ? 4u : 1u));
  }
}

BOOST_DATA_TEST_CASE_F(job_fixture, the_same_seed_gives_the_same_metrics,
                       boost::unit_test::data::make(kinds), devices) {
  for (const auto* name : {"first", "second", "other"}) {
    auto seed = name == std::string{"other"} ? "8" : "7";
    auto driver = start({"run", config().string(), "--devices", devices,
                         "--seed", seed, "--name", name});
    BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
  }
  auto first = timeless_metrics(runs() / "first");
  BOOST_TEST(first.size() == 3u);
  BOOST_TEST((first == timeless_metrics(runs() / "second")));
  BOOST_TEST((first != timeless_metrics(runs() / "other")));
}

BOOST_FIXTURE_TEST_CASE(processes_or_threads_make_no_difference, job_fixture) {
  for (const auto* devices : kinds) {
    auto driver = start({"run", config().string(), "--devices", devices,
                         "--name", std::string{devices}.substr(0, 3)});
    BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
  }
  BOOST_TEST(
    (timeless_metrics(runs() / "cpu") == timeless_metrics(runs() / "inp")));
}

// Signs of life come while a module has the worker's thread for itself.
BOOST_FIXTURE_TEST_CASE(a_module_that_is_long_at_work_is_not_taken_for_frozen,
                        job_fixture) {
  auto go = fifo().string() + ".go";
  BOOST_REQUIRE(::mkfifo(go.c_str(), 0600) == 0);
  auto words = fault_options({"trainer", 0, 1, "training", "hold"});
  for (const auto* x :
       {"models.trainer.fault_nth=2", "runtime.pulse_timeout_ms=2000"})
    words.insert(words.end(), {"--set", x});
  auto driver = start_run(words);
  static_cast<void>(wait_held());
  BOOST_TEST(!driver->wait(within(std::chrono::seconds{5})));
  std::ofstream{go} << 'x';
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0, driver->output());
}

BOOST_FIXTURE_TEST_CASE(two_runs_at_the_same_time_share_an_output_folder,
                        job_fixture) {
  auto one = start_run();
  auto two = start_run();
  BOOST_TEST(one->wait(soon()).value_or(-999) == 0);
  BOOST_TEST(two->wait(soon()).value_or(-999) == 0);
  std::size_t count = 0;
  for (const auto& run : std::filesystem::directory_iterator{runs()}) {
    ++count;
    auto summary = json::parse(read_file(run.path() / "summary.json"));
    BOOST_TEST(summary["exit_reason"] == "finished");
    BOOST_TEST(lines_of(read_file(run.path() / "metrics.jsonl")).size() == 3u);
    BOOST_TEST(read_file(run.path() / "errors.jsonl").empty());
  }
  BOOST_TEST(count == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
