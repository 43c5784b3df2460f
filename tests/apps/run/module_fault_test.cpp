// SPDX-License-Identifier: Apache-2.0
// Modules that throw, and modules that end their process.
#include <algorithm>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "apps/run/job.hpp"

using namespace run_test;

namespace {

struct place {
  wanted_fault fault;
  /// What people call the function.
  const char* function;
  /// All that lives in the process.
  const char* together;
};

const place places[] = {
  {{"policy", 1, 0, "setup", "throw"}, "set up", "policy/1/0"},
  {{"trainer", 0, 1, "setup", "throw"}, "set up", "trainer/0/1"},
  {{"reward", 0, 0, "setup", "throw"}, "set up", "reward"},
  {{"policy", 1, 0, "generation", "throw"}, "generate", "policy/1/0"},
  {{"reward", 0, 0, "reward", "throw"}, "score", "reward"},
  {{"trainer", 0, 0, "training", "throw"}, "train_step", "trainer/0/0"},
  {{"trainer", 0, 1, "training", "throw"}, "train_step", "trainer/0/1"},
  {{"policy", 0, 0, "on_sync", "throw"}, "on_sync", "policy/0/0"},
};

std::ostream& operator<<(std::ostream& out, const place& x) {
  return out << fmt::format("{}/{}/{} {}", x.fault.model, x.fault.replica,
                            x.fault.rank, x.fault.phase);
}

struct ending {
  const char* action;
  const char* words;
};

const ending endings[] = {
  {"exit0", "exited with code 0"},
  {"exit3", "exited with code 3"},
  {"abort", "killed by signal 6"},
  {"segv", "killed by signal 11"},
};

std::ostream& operator<<(std::ostream& out, const ending& x) {
  return out << x.action;
}

/// Where a process ends in the tests of every ending.
const place process_places[] = {places[0], places[2], places[3], places[6],
                                places[7]};

} // namespace

BOOST_AUTO_TEST_SUITE(module_fault)

BOOST_DATA_TEST_CASE_F(job_fixture,
                       what_a_module_throws_is_the_last_thing_printed,
                       boost::unit_test::data::make(places), where) {
  auto driver = start_with(where.fault);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 1);
  auto output = driver->output();
  const auto& x = where.fault;
  auto end = flat(last_lines(output, 3));
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(contains(end, fmt::format("model {}, replica {}, rank {}",
                                         x.model, x.replica, x.rank)));
    BOOST_TEST(contains(end, fmt::format("function {}", where.function)));
    BOOST_TEST(end.ends_with(fmt::format("the {} broke on purpose", x.phase)));
  }
  auto run = only_run();
  BOOST_TEST(contains(read_file(run / "summary.json"), "\"failed\""));
  auto reports = read_rows(run / "errors.jsonl");
  BOOST_TEST(std::ranges::any_of(reports,
                                 [&](const auto& row) {
                                   return row["model"] == x.model
                                          && row["replica"] == x.replica
                                          && row["rank"] == x.rank
                                          && row["level"] == "error"
                                          && row["operation"] == where.function
                                          && contains(row["message"]
                                                        .template get<
                                                          std::string>(),
                                                      "broke on purpose");
                                 }),
             "not in " << read_file(run / "errors.jsonl"));
}

BOOST_DATA_TEST_CASE_F(job_fixture, a_host_that_ends_itself_is_named_at_the_end,
                       boost::unit_test::data::make(process_places)
                         * boost::unit_test::data::make(endings),
                       where, how) {
  auto fault = where.fault;
  fault.action = how.action;
  auto driver = start_with(fault);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 1);
  auto output = driver->output();
  auto end = flat(last_lines(output, 6));
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(contains(end, how.words));
    BOOST_TEST(contains(end, where.together));
  }
}

// Data and metrics run in the driver.
BOOST_DATA_TEST_CASE_F(job_fixture, what_the_drivers_code_throws_is_the_cause,
                       boost::unit_test::data::make({"setup", "generation",
                                                     "training", "saving"}),
                       phase) {
  program_options options;
  options.env = {fmt::format("FAULTY_DRIVER={} throw 1", phase)};
  auto driver = start(run_command({"--set", "runtime.save_episode_interval=1"}),
                      options);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 1);
  auto output = driver->output();
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(flat(last_lines(output, 3))
                 .ends_with(fmt::format("the {} broke on purpose", phase)));
    BOOST_TEST(!contains(output, "terminate called"));
    BOOST_TEST(!contains(output, "unhandled exception"));
  }
}

// Only the sync knows, and what it stops is louder.
BOOST_FIXTURE_TEST_CASE(parameters_that_do_not_match_are_the_first_cause,
                        job_fixture) {
  auto driver = start_run({"--set", "models.policy.parameter=median"});
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 1);
  auto output = driver->output();
  auto end = flat(last_lines(output, 4));
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(contains(end, "preparing syncs"));
    BOOST_TEST(contains(end, "'median'"));
    BOOST_TEST(contains(end, "destination policy: ranks 0, 1"));
  }
}

// Threads of a failed run may still be at work when main ends.
BOOST_DATA_TEST_CASE_F(job_fixture, a_failed_run_ends_with_its_code_each_time,
                       boost::unit_test::data::make({"cpu:2", "inproc:2"}),
                       devices) {
  auto words = fault_options({"policy", 1, 0, "generation", "throw"});
  words.insert(words.begin(), {"run", config().string(), "--devices", devices});
  for (auto i = 0; i < 8; ++i) {
    auto driver = start(words);
    auto status = driver->wait(soon()).value_or(-999);
    BOOST_TEST(status == 1, "code " << status << ":\n" << driver->output());
  }
}

BOOST_AUTO_TEST_SUITE_END()
