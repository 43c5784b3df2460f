// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/summary.hpp"

#include <sstream>

#include <boost/test/unit_test.hpp>

#include "apps/console/fake_terminal.hpp"
#include "troupe/apps/console/text.hpp"

using namespace troupe::console;
using namespace std::chrono_literals;

namespace {

run_summary make_summary() {
  run_summary out;
  out.app = "grpo";
  out.run_name = "demo-1";
  out.episodes = 60;
  out.wall = 107200ms;
  out.warm_start_accuracy = 0.352;
  out.final_accuracy = 0.981;
  out.evaluated = 1000;
  out.weights_identical = true;
  out.tokens_per_second = 12345;
  out.sync_ms = 3.14;
  out.processes = {{"driver", "", 4711, {}, 0},
                   {"host-0", "cpu:0", 4713, {"policy_trainer", "policy"}, 0},
                   {"host-1", "cpu:1", 4714, {"policy_trainer", "policy"}, 1}};
  out.times = {{"generation", 25s}, {"training", 75s}};
  out.directory = "runs/demo-1";
  return out;
}

failure_report make_report() {
  failure_report out;
  out.first = {"error",
               "policy",
               0,
               1,
               "localhost",
               "cpu:1",
               "generate",
               "no such token: 99",
               "std::out_of_range"};
  out
    .consequences = {{"error", "policy_trainer", 0, 0, "localhost", "cpu:0",
                      "train_step", "collective was aborted", ""},
                     {"error", "", {}, {}, "", "", "", "a host went down", ""}};
  out.advice = {"Look into the log of host-1."};
  out.log_dir = "runs/demo-1/log";
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(summary)

BOOST_AUTO_TEST_CASE(a_finished_run_says_what_it_came_to) {
  BOOST_TEST(render_summary(make_summary())
             == "grpo demo-1: finished after 60 episodes in 1 min 47 s\n"
                "\n"
                "  evaluation  accuracy\n"
                "  ----------  --------\n"
                "  warm start     0.352\n"
                "  final          0.981\n"
                "  rise          +0.629\n"
                "  on 1,000 held-out problems\n"
                "\n"
                "  weights: every replica equals its source bit for bit\n"
                "\n"
                "  process  device   pid  restarts  models\n"
                "  -------  ------  ----  --------  ----------------------\n"
                "  driver   -       4711         0\n"
                "  host-0   cpu:0   4713         0  policy_trainer, policy\n"
                "  host-1   cpu:1   4714         1  policy_trainer, policy\n"
                "\n"
                "  time             spent  share\n"
                "  ----------  ----------  -----  ------------------\n"
                "  generation      25.0 s   25 %  ######\n"
                "  training    1 min 15 s   75 %  ##################\n"
                "  12,345 tokens/s, 3.1 ms a weight sync\n"
                "\n"
                "  outputs in runs/demo-1\n"
                "    config.yaml, metrics.jsonl, ledger.jsonl, errors.jsonl, "
                "summary.json,\n"
                "    reward.svg, checkpoints/, log/\n");
}

BOOST_AUTO_TEST_CASE(restarts_are_told) {
  auto x = make_summary();
  x.restarts = 1;
  BOOST_TEST(render_summary(x).starts_with(
    "grpo demo-1: finished after 60 episodes in 1 min 47 s, 1 restart\n"));
}

BOOST_AUTO_TEST_CASE(a_run_that_can_go_on_says_how) {
  auto stopped = make_summary();
  stopped.way_on = "Saved after episode 50; go on with: troupe run --resume x";
  BOOST_TEST(render_summary(stopped).ends_with(
    "log/\n\n  Saved after episode 50; go on with: troupe run --resume x\n"));
}

BOOST_AUTO_TEST_CASE(what_is_unknown_is_left_out) {
  run_summary empty;
  empty.app = "minimal";
  empty.run_name = "x";
  empty.exit_reason = "interrupted";
  empty.episodes = 1;
  BOOST_TEST(render_summary(empty)
             == "minimal x: interrupted after 1 episode in 0 ns\n");
  empty.weights_identical = false;
  BOOST_TEST(render_summary(empty).find("NOT every replica")
             != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_first_cause_is_the_last_thing_said) {
  BOOST_TEST(render_failure(make_report())
             == "2 consequences of the error below:\n"
                "  policy_trainer/0/0 cpu:0 train_step: collective was "
                "aborted\n"
                "  a host went down\n"
                "\n"
                "what to do:\n"
                "  - Look into the log of host-1.\n"
                "\n"
                "logs: runs/demo-1/log\n"
                "\n"
                "error: model policy, replica 0, rank 1, node localhost, "
                "device cpu:1,\n"
                "function generate\n"
                "  cause: std::out_of_range\n"
                "  no such token: 99\n");
}

BOOST_AUTO_TEST_CASE(logs_of_another_machine_are_named_beside_ours) {
  auto report = make_report();
  report.far_logs = "/srv/logs/78e3 on m2 (10.0.0.3:4100)";
  auto text = render_failure(report);
  BOOST_TEST(text.find("logs: runs/demo-1/log\n"
                       "logs: /srv/logs/78e3 on m2 (10.0.0.3:4100)\n"
                       "\n"
                       "error: ")
             != std::string::npos);
}

BOOST_AUTO_TEST_CASE(many_consequences_leave_room_for_the_cause) {
  auto report = make_report();
  for (auto i = 0; i < 100; ++i)
    report.consequences.push_back(report.consequences.front());
  auto text = render_failure(report);
  BOOST_TEST(text.starts_with("102 consequences of the error below:\n"));
  BOOST_TEST(text.find("  ... and 96 more\n") != std::string::npos);
  BOOST_TEST(std::count(text.begin(), text.end(), '\n') < 24);
}

BOOST_AUTO_TEST_CASE(no_line_is_wider_than_the_terminal) {
  auto summary = make_summary();
  summary.run_name = "a-run-with-a-long-name";
  for (auto& process : summary.processes)
    process.models.assign(20, "policy_trainer");
  auto report = make_report();
  report.first.message = "a message with many words in it that goes on until "
                         "it must be broken\nand has a second line";
  report.consequences.front().message = std::string(300, 'm');
  for (auto columns : {40, 60, 80, 200})
    for (auto unicode : {false, true}) {
      style look{columns, true, unicode};
      std::istringstream lines{render_summary(summary, look)
                               + render_failure(report, look)};
      std::string line;
      auto limit = static_cast<std::size_t>(std::min(columns, 80));
      while (std::getline(lines, line))
        BOOST_TEST(display_width(line) <= (limit < 60 ? 60u : limit), line);
    }
}

BOOST_AUTO_TEST_CASE(foreign_messages_cannot_disturb_the_terminal) {
  auto report = make_report();
  report.first.message = "a\x1b[2Jb\nsecond line";
  BOOST_TEST(render_failure(report).ends_with("  a?[2Jb\n  second line\n"));
}

BOOST_AUTO_TEST_CASE(the_style_follows_the_terminal) {
  fake_terminal out;
  out.width = 300;
  out.has_colour = true;
  auto look = style_for(out);
  BOOST_TEST(look.columns == 80);
  BOOST_TEST(look.colour);
  BOOST_TEST(!look.unicode);
}

BOOST_AUTO_TEST_SUITE_END()
