// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/status_board.hpp"

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"
#include "support/stub_model.hpp"
#include "support/stub_node.hpp"
#include "troupe/actors/monitor/error_signal.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using monitor::one_each;
using monitor::status_board;
using protocol::get_run_status;
using protocol::progress_status;
using protocol::run_status;
using protocol::worker_status;

namespace {

using lines = std::vector<std::string>;

worker_status doing(const std::string& model, int replica, std::string what,
                    std::uint64_t ms = 0, int rank = 0) {
  worker_status x;
  x.worker = {model, replica_id{replica}, rank_id{rank}};
  x.operation = std::move(what);
  x.age_ms = ms;
  return x;
}

struct fixture : test::actor_fixture {
  std::shared_ptr<lines> told = std::make_shared<lines>();
  std::shared_ptr<test::model_script> policy = script("policy");
  std::shared_ptr<test::model_script> trainer = script("trainer");
  protocol::error_signal_actor errors = spawn<monitor::error_signal>();
  monitor::status_board_actor board = spawn<
    status_board>(monitor::board_settings{"demo",
                                          "first",
                                          "job",
                                          {{"policy", 2, 1, false},
                                           {"trainer", 1, 1, true}}},
                  errors);
  monitor::watched_run all;

  fixture() {
    policy->operations.items = {doing("policy", 1, "generate", 40),
                                doing("policy", 0, "idle", 7)};
    trainer->operations.items = {doing("trainer", 0, "idle", 90)};
    all.nodes = {spawn<test::stub_node>(told)};
    all.models = {{"policy", spawn<test::stub_model>(policy)},
                  {"trainer", spawn<test::stub_model>(trainer)}};
    tell(board, all);
  }

  std::shared_ptr<test::model_script> script(const std::string& name) {
    auto out = std::make_shared<test::model_script>();
    out->name = name;
    out->log = told;
    return out;
  }

  run_status look() {
    return ask_and_run<run_status>(board, get_run_status{}).value();
  }

  progress_status progress(std::string phase) {
    progress_status x;
    x.phase = std::move(phase);
    x.done = 2;
    x.total = 9;
    x.episode = 2;
    return x;
  }

  std::int64_t asked(const std::string& line) {
    return std::count(told->begin(), told->end(), line);
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(monitor_status_board, fixture)

BOOST_AUTO_TEST_CASE(it_tells_what_everybody_does) {
  tell(board, progress("generation"));
  auto got = look();
  BOOST_TEST(got.app == "demo");
  BOOST_TEST(got.run == "first");
  BOOST_TEST(got.job == "job");
  BOOST_TEST(got.models.size() == 2u);
  BOOST_TEST(got.nodes.size() == 1u);
  BOOST_TEST(got.progress.phase == "generation");
  BOOST_TEST(got.silent.empty());
  BOOST_REQUIRE(got.workers.size() == 3u);
  BOOST_TEST(to_string(got.workers[0].worker) == "policy/0/0");
  BOOST_TEST(to_string(got.workers[1].worker) == "policy/1/0");
  BOOST_TEST(got.workers[1].operation == "generate");
  BOOST_TEST(got.workers[1].age_ms == 40u);
  BOOST_TEST(to_string(got.workers[2].worker) == "trainer/0/0");
}

BOOST_AUTO_TEST_CASE(before_the_run_has_begun_there_is_little_to_tell) {
  protocol::status_actor early = spawn<
    status_board>(monitor::board_settings{"demo", "first", "job", {}}, errors);
  auto got = ask_and_run<run_status>(early, get_run_status{}).value();
  BOOST_TEST(got.workers.empty());
  BOOST_TEST(got.nodes.empty());
  BOOST_TEST(got.silent.empty());
}

BOOST_AUTO_TEST_CASE(time_is_counted_from_the_begin_of_the_run_and_the_phase) {
  tell(board, progress("generation"));
  advance_time(1s);
  tell(board, progress("training"));
  advance_time(2s);
  // The same phase, further.
  tell(board, progress("training"));
  advance_time(3s);
  auto got = look();
  BOOST_TEST(got.progress.uptime_ms == 6000u);
  BOOST_TEST(got.progress.phase_ms == 5000u);
}

BOOST_AUTO_TEST_CASE(who_does_not_answer_is_named_and_nobody_waits_longer) {
  policy->silent.insert("look");
  auto got = ask_and_run<run_status>(board, get_run_status{});
  BOOST_TEST(!got.ready());
  advance_time(status_board::patience);
  const auto& x = got.value();
  BOOST_TEST(x.silent == (lines{"model policy: no answer in time"}),
             boost::test_tools::per_element());
  BOOST_TEST(x.workers.size() == 1u);
}

BOOST_AUTO_TEST_CASE(actors_that_are_gone_are_named_at_once) {
  kill(all.models["trainer"]);
  kill(all.nodes[0]);
  auto got = look();
  BOOST_TEST(got.silent.size() == 2u);
  BOOST_TEST(got.workers.size() == 2u);
}

BOOST_AUTO_TEST_CASE(any_number_of_askers_costs_what_one_costs) {
  policy->held.insert("look");
  std::vector<test::answer<run_status>> got;
  for (auto i = 0; i < 20; ++i)
    got.push_back(ask_and_run<run_status>(board, get_run_status{}));
  BOOST_TEST(asked("policy: look") == 1);
  BOOST_TEST(asked("trainer: look") == 1);
  policy->held.clear();
  policy->release();
  run_jobs();
  for (const auto& x : got)
    BOOST_TEST(x.value().workers.size() == 3u);
  BOOST_TEST(asked("policy: look") == 1);
  // Whoever asks later gets something new.
  look();
  BOOST_TEST(asked("policy: look") == 2);
}

BOOST_AUTO_TEST_CASE(more_askers_than_it_has_room_for_are_refused) {
  policy->held.insert("look");
  std::vector<test::answer<run_status>> got;
  for (std::size_t i = 0; i < status_board::waiting_max; ++i)
    got.push_back(ask_and_run<run_status>(board, get_run_status{}));
  auto refused = ask_and_run<run_status>(board, get_run_status{});
  BOOST_TEST((refused.failure().code() == errc::exhausted));
  policy->release();
  run_jobs();
  for (const auto& x : got)
    BOOST_TEST(x.ready());
}

BOOST_AUTO_TEST_CASE(nobody_is_asked_while_nobody_asks) {
  tell(board, progress("generation"));
  advance_time(1h);
  BOOST_TEST(told->empty());
}

BOOST_AUTO_TEST_CASE(errors_are_told_with_their_number) {
  for (std::size_t i = 0; i < status_board::errors_max + 5; ++i) {
    protocol::error_report x;
    x.message = "again";
    tell(errors, x);
  }
  auto got = look();
  BOOST_TEST(got.errors.items.size() == std::size_t{status_board::errors_max});
  BOOST_TEST(got.errors.errors == status_board::errors_max + 5);
}

BOOST_AUTO_TEST_CASE(after_the_end_nobody_is_asked_and_the_last_is_told) {
  look();
  auto before = told->size();
  auto end = progress("");
  end.end = "failed";
  end.cause = "out of tea";
  tell(board, end);
  tell(board, monitor::watched_run{});
  auto got = look();
  BOOST_TEST(told->size() == before);
  BOOST_TEST(got.progress.end == "failed");
  BOOST_TEST(got.progress.cause == "out of tea");
  BOOST_TEST(got.workers.size() == 3u);
  BOOST_TEST(got.nodes.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_new_attempt_is_looked_at_in_place_of_the_old_one) {
  look();
  auto fresh = script("policy");
  fresh->operations.items = {doing("policy", 0, "set up")};
  tell(board,
       monitor::watched_run{{}, {{"policy", spawn<test::stub_model>(fresh)}}});
  auto got = look();
  BOOST_TEST(asked("trainer: look") == 1);
  BOOST_REQUIRE(got.workers.size() == 1u);
  BOOST_TEST(got.workers[0].operation == "set up");
}

BOOST_AUTO_TEST_CASE(a_worker_whose_weights_move_meanwhile_is_not_idle) {
  auto got = one_each({doing("b", 0, "generate"), doing("a", 0, "idle", 5),
                       doing("b", 0, "sync t2b: bucket 1"),
                       doing("a", 0, "sync t2a: bucket 2"),
                       doing("a", 0, "sync t2a: bucket 3")});
  BOOST_REQUIRE(got.size() == 2u);
  BOOST_TEST(got[0].operation == "sync t2a: bucket 2");
  BOOST_TEST(got[0].age_ms == 5u);
  BOOST_TEST(got[1].operation == "generate");
}

BOOST_AUTO_TEST_SUITE_END()
