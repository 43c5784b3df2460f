// SPDX-License-Identifier: Apache-2.0
// What a run says of losses that are no numbers, of ranks that are slow, and of
// memory that runs out.
#include <algorithm>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "apps/run/job.hpp"

using namespace run_test;

namespace {

using rows = std::vector<nlohmann::json>;

/// Those of one model: on a busy machine others may be slow, too.
rows warnings_of(const std::string& model, const rows& all) {
  rows out;
  std::ranges::copy_if(all, std::back_inserter(out), [&](const auto& x) {
    return x["level"] == "warning" && x.contains("model")
           && x["model"] == model;
  });
  return out;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(signals, job_fixture)

BOOST_AUTO_TEST_CASE(a_metric_that_is_nan_is_the_last_thing_printed) {
  auto words = fault_options({"trainer", 0, 0, "training", "nan"});
  auto driver = start_run(words);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 1);
  auto output = driver->output();
  auto end = flat(last_lines(output, 3));
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(contains(end, "model trainer, function train_step"));
    BOOST_TEST(end.ends_with("mean is nan in episode 1"));
  }
  auto told = read_rows(only_run() / "errors.jsonl");
  BOOST_REQUIRE(!told.empty());
  // What follows is said of the end of the workers.
  BOOST_TEST(told[0]["model"] == "trainer");
  BOOST_TEST(told[0]["level"] == "error");
}

BOOST_AUTO_TEST_CASE(with_warn_it_is_a_warning_and_null_in_the_metrics) {
  auto words = fault_options({"trainer", 0, 0, "training", "nan"});
  words.insert(words.end(), {"--set", "runtime.on_non_finite=warn"});
  auto driver = start_run(words);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0, driver->output());
  auto told = read_rows(only_run() / "errors.jsonl");
  // Three episodes, one warning.
  BOOST_REQUIRE(told.size() == 1u);
  BOOST_TEST(told[0]["level"] == "warning");
  BOOST_TEST(told[0]["model"] == "trainer");
  auto metrics = read_rows(only_run() / "metrics.jsonl");
  BOOST_REQUIRE(metrics.size() == 3u);
  for (const auto& row : metrics)
    BOOST_TEST(row["mean"].is_null(), row.dump());
}

// Its peer waits in the collective as long: only the time outside tells.
BOOST_AUTO_TEST_CASE(a_slow_rank_is_named_and_the_one_that_waits_is_not) {
  auto words = fault_options({"trainer", 0, 1, "training", "slow"});
  words.insert(words.end(), {"--set", "runtime.straggler_min_ms=200"});
  auto driver = start_run(words);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0, driver->output());
  auto told = warnings_of("trainer", read_rows(only_run() / "errors.jsonl"));
  // In each of three episodes, told once.
  BOOST_REQUIRE(told.size() == 1u);
  const auto& x = told[0];
  BOOST_TEST(x["model"] == "trainer");
  BOOST_TEST(x["replica"] == 0);
  BOOST_TEST(x["rank"] == 1);
  BOOST_TEST(x["operation"] == "train_step");
  BOOST_TEST(contains(x["message"].get<std::string>(), "the median of its "
                                                       "peers is"));
}

BOOST_AUTO_TEST_CASE(replicas_are_peers_too) {
  auto words = fault_options({"policy", 1, 0, "generation", "slow"});
  words.insert(words.end(), {"--set", "runtime.straggler_min_ms=200"});
  auto driver = start_run(words);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0, driver->output());
  auto told = warnings_of("policy", read_rows(only_run() / "errors.jsonl"));
  BOOST_REQUIRE(told.size() == 1u);
  BOOST_TEST(told[0]["model"] == "policy");
  BOOST_TEST(told[0]["replica"] == 1);
}

BOOST_AUTO_TEST_CASE(memory_that_runs_out_is_exhausted) {
  auto driver = start_with({"policy", 1, 0, "generation", "starve"});
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 1);
  auto output = driver->output();
  auto end = flat(last_lines(output, 4));
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(contains(end, "model policy, replica 1, rank 0"));
    BOOST_TEST(contains(end, "cause: exhausted"));
    BOOST_TEST(contains(end, "out of memory: std::bad_alloc; its process "
                             "holds"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
