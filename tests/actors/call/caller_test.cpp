// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/call/caller.hpp"

#include <stdexcept>

#include <boost/test/unit_test.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/call/asking_client.hpp"
#include "support/actor_fixture.hpp"
#include "troupe/actors/call/reply.hpp"

using namespace troupe;
using call_test::asking_client;
using namespace std::chrono_literals;
using protocol::ack;
using protocol::open_scope;
using protocol::scope_opened;

namespace {

using target_actor = caf::typed_actor<
  caf::replies_to<open_scope>::with<scope_opened>>;

/// What a target does with a question.
enum class manner {
  answers,
  refuses,
  keeps,
  drops,
  ends,
  answers_and_ends,
  throws
};

class target : public target_actor::base {
public:
  target(caf::actor_config& config, manner how)
    : target_actor::base(config),
      how_(how) {
    // nop
  }

  const char* name() const override { return "target"; }

  void on_exit() override { kept.clear(); }

  std::vector<call::reply<scope_opened>> kept;

protected:
  behavior_type make_behavior() override {
    return {[this](open_scope) -> caf::result<scope_opened> {
      switch (how_) {
        case manner::answers: return scope_opened{1};
        case manner::refuses:
          return protocol::to_caf({errc::exhausted, "no scopes"});
        case manner::ends: quit(); return make_response_promise<scope_opened>();
        case manner::answers_and_ends: quit(); return scope_opened{1};
        case manner::throws: throw std::runtime_error{"no thread"};
        case manner::drops: return make_response_promise<scope_opened>();
        default: break;
      }
      kept.emplace_back(make_response_promise<scope_opened>());
      return kept.back().promise();
    }};
  }

private:
  manner how_;
  call::caller<target> calls_{this};
};

struct fixture : test::actor_fixture {
  caf::actor handle = spawn<asking_client>();
  asking_client& self = object_of<asking_client>(handle);

  test::answer<scope_opened> ask(const target_actor& whom,
                                 std::chrono::milliseconds timeout = 1s) {
    return self.ask<scope_opened>(whom, timeout, open_scope{});
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(call_caller, fixture)

BOOST_AUTO_TEST_CASE(an_answer_reaches_the_handler) {
  auto got = ask(spawn<target>(manner::answers));
  BOOST_TEST(self.calls.pending() == 1u);
  run_jobs();
  BOOST_TEST(got.value().scope == 1u);
  BOOST_TEST(self.calls.pending() == 0u);
}

BOOST_AUTO_TEST_CASE(an_error_keeps_its_code_and_text) {
  auto got = ask(spawn<target>(manner::refuses));
  run_jobs();
  BOOST_TEST((got.failure() == error{errc::exhausted, "no scopes"}));
}

BOOST_AUTO_TEST_CASE(whoever_waits_for_an_actor_that_throws_hears_what) {
  auto got = ask(spawn<target>(manner::throws));
  run_jobs();
  BOOST_TEST((got.failure() == error{errc::lost, "it threw: no thread"}));
}

BOOST_AUTO_TEST_CASE(a_call_that_is_not_answered_ends_at_its_deadline) {
  auto got = ask(spawn<target>(manner::drops), 100ms);
  run_jobs();
  advance_time(99ms);
  BOOST_TEST(!got.ready());
  advance_time(2ms);
  BOOST_TEST((got.failure().code() == errc::timed_out));
  BOOST_TEST(self.calls.pending() == 0u);
}

BOOST_AUTO_TEST_CASE(every_call_has_a_deadline_of_its_own) {
  auto silent = spawn<target>(manner::drops);
  auto first = ask(silent, 300ms);
  auto second = ask(silent, 100ms);
  run_jobs();
  advance_time(200ms);
  BOOST_TEST(!first.ready());
  BOOST_TEST(second.ready());
  advance_time(200ms);
  BOOST_TEST(first.ready());
}

BOOST_AUTO_TEST_CASE(the_clock_does_not_keep_what_was_answered) {
  target_actor quick = spawn<target>(manner::answers);
  auto before = sched.clock().schedule().size();
  for (auto i = 0; i < 1000; ++i) {
    auto got = ask(quick, 60s);
    run_jobs();
    got.value();
    advance_time(1ms);
  }
  BOOST_TEST(sched.clock().schedule().size() <= before + 1);
  // A shorter deadline is kept all the same.
  auto late = ask(spawn<target>(manner::keeps), 100ms);
  run_jobs();
  advance_time(99ms);
  BOOST_TEST(!late.ready());
  advance_time(1ms);
  BOOST_TEST((late.failure().code() == errc::timed_out));
}

BOOST_AUTO_TEST_CASE(an_actor_may_quit_when_a_deadline_has_passed) {
  target_actor silent = spawn<target>(manner::keeps);
  auto ended = 0;
  self.calls.ask<scope_opened>(silent, 100ms, open_scope{},
                               [&](const result<scope_opened>&) {
                                 ++ended;
                                 self.quit();
                               });
  auto later = ask(silent, 60s);
  run_jobs();
  advance_time(100ms);
  BOOST_TEST(ended == 1);
  // The other one is of no interest any more, and keeps nobody.
  BOOST_TEST(!later.ready());
  object_of<target>(silent).kept.clear();
  handle = nullptr;
  run_jobs();
  BOOST_TEST(!later.ready());
}

BOOST_AUTO_TEST_CASE(whoever_has_quit_asks_nobody) {
  target_actor silent = spawn<target>(manner::keeps);
  self.quit();
  auto got = ask(silent);
  BOOST_TEST(self.calls.pending() == 0u);
  run_jobs();
  BOOST_TEST(object_of<target>(silent).kept.empty());
  BOOST_TEST(!got.ready());
}

BOOST_AUTO_TEST_CASE(an_answer_after_the_deadline_is_ignored) {
  target_actor slow = spawn<target>(manner::keeps);
  auto got = ask(slow, 100ms);
  run_jobs();
  advance_time(200ms);
  BOOST_TEST((got.failure().code() == errc::timed_out));
  object_of<target>(slow).kept.front().deliver(scope_opened{5});
  run_jobs();
  BOOST_TEST(got.count() == 1u);
}

BOOST_AUTO_TEST_CASE(a_target_that_goes_down_fails_all_its_calls_at_once) {
  target_actor doomed = spawn<target>(manner::drops);
  target_actor other = spawn<target>(manner::drops);
  std::vector<test::answer<scope_opened>> lost;
  for (auto i = 0; i < 10; ++i)
    lost.push_back(ask(doomed));
  auto kept = ask(other);
  run_jobs();
  kill(doomed);
  for (const auto& x : lost)
    BOOST_TEST((x.failure().code() == errc::lost));
  BOOST_TEST(!kept.ready());
  BOOST_TEST(self.calls.pending() == 1u);
}

BOOST_AUTO_TEST_CASE(a_call_to_a_target_that_is_known_to_be_dead_fails) {
  target_actor doomed = spawn<target>(manner::answers);
  auto before = ask(doomed);
  run_jobs();
  kill(doomed);
  auto after = ask(doomed);
  BOOST_TEST((after.failure().code() == errc::lost));
  run_jobs();
  BOOST_TEST(before.value().scope == 1u);
  BOOST_TEST(after.count() == 1u);
}

BOOST_AUTO_TEST_CASE(a_call_to_a_target_that_died_unseen_fails) {
  target_actor doomed = spawn<target>(manner::answers);
  run_jobs();
  kill(doomed);
  auto got = ask(doomed);
  run_jobs();
  BOOST_TEST((got.failure().code() == errc::lost));
}

BOOST_AUTO_TEST_CASE(a_call_to_nobody_fails) {
  auto got = ask(target_actor{});
  BOOST_TEST((got.failure().code() == errc::lost));
  BOOST_TEST(self.calls.pending() == 0u);
}

BOOST_AUTO_TEST_CASE(a_handler_may_call_again_from_a_failure) {
  target_actor doomed = spawn<target>(manner::drops);
  target_actor other = spawn<target>(manner::answers);
  test::answer<scope_opened> second;
  self.calls.ask<
    scope_opened>(doomed, 1s, open_scope{}, [&](const result<scope_opened>&) {
    self.calls.ask<scope_opened>(other, 1s, open_scope{},
                                 [second](result<scope_opened> x) {
                                   second.set(std::move(x));
                                 });
  });
  run_jobs();
  kill(doomed);
  BOOST_TEST(second.value().scope == 1u);
}

BOOST_AUTO_TEST_CASE(a_watch_tells_of_the_end_once) {
  target_actor doomed = spawn<target>(manner::answers);
  auto ends = 0;
  self.calls.watch(doomed, [&](const error& why) {
    ++ends;
    BOOST_TEST((why.code() == errc::lost));
  });
  auto got = ask(doomed);
  run_jobs();
  BOOST_TEST(got.ready());
  BOOST_TEST(ends == 0);
  kill(doomed);
  BOOST_TEST(ends == 1);
  self.calls.watch(doomed, [&](const error&) { ++ends; });
  run_jobs();
  BOOST_TEST(ends == 2);
}

BOOST_AUTO_TEST_CASE(a_watch_of_nobody_tells_at_once) {
  auto ends = 0;
  self.calls.watch(target_actor{}, [&](const error&) { ++ends; });
  run_jobs();
  BOOST_TEST(ends == 1);
}

BOOST_AUTO_TEST_CASE(no_handler_runs_after_its_actor_has_ended) {
  target_actor slow = spawn<target>(manner::keeps);
  auto got = ask(slow);
  run_jobs();
  kill(handle);
  object_of<target>(slow).kept.front().deliver(scope_opened{5});
  run_jobs();
  advance_time(10s);
  BOOST_TEST(got.count() == 0u);
}

/// Answers what it is asked once somebody it asks has answered.
class middle : public target_actor::base {
public:
  middle(caf::actor_config& config, target_actor next)
    : target_actor::base(config),
      next_(std::move(next)),
      calls_(this) {
    // nop
  }

  const char* name() const override { return "middle"; }

protected:
  behavior_type make_behavior() override {
    return {[this](open_scope) {
      call::reply<scope_opened> out{make_response_promise<scope_opened>()};
      calls_.ask<scope_opened>(next_, 1s, open_scope{},
                               [out](result<scope_opened> x) {
                                 out.deliver(std::move(x));
                               });
      return out.promise();
    }};
  }

private:
  target_actor next_;
  call::caller<middle> calls_;
};

BOOST_AUTO_TEST_CASE(an_actor_that_ends_fails_the_answers_it_owes) {
  target_actor between = spawn<middle>(spawn<target>(manner::drops));
  // Not the client, which would hear of the end in any case.
  auto got = ask_and_run<scope_opened>(between, open_scope{});
  BOOST_TEST(!got.ready());
  kill(between);
  BOOST_TEST(got.count() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

// Schedules at random: every handler runs exactly once, whoever is faster.
BOOST_AUTO_TEST_SUITE(call_caller)

BOOST_AUTO_TEST_CASE(every_handler_runs_exactly_once_in_any_schedule) {
  auto first = test::random_seed();
  for (auto seed = first; seed < first + 60; ++seed) {
    BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
    std::mt19937_64 random{seed};
    fixture run;
    run.shuffle_jobs(random);
    std::vector<target_actor> targets;
    for (auto i = 0; i < 6; ++i)
      targets.push_back(run.spawn<target>(static_cast<manner>(random() % 6)));
    std::vector<test::answer<scope_opened>> got;
    for (auto step = 0; step < 60; ++step) {
      auto& whom = targets[random() % targets.size()];
      switch (random() % 8) {
        case 0: caf::anon_send_exit(whom, caf::exit_reason::kill); break;
        case 1:
          run.advance_time(std::chrono::milliseconds{random() % 80});
          break;
        case 2:
          for (auto& x : run.object_of<target>(whom).kept)
            x.deliver(scope_opened{2});
          break;
        case 3: run.run_jobs(); break;
        default:
          got.push_back(
            run.ask(whom, std::chrono::milliseconds{1 + random() % 100}));
          for (auto some = random() % 4; some > 0 && run.sched.has_job();
               --some) {
            std::shuffle(run.sched.jobs.begin(), run.sched.jobs.end(), random);
            run.run_one();
          }
      }
    }
    run.run_jobs();
    run.advance_time(1s);
    for (const auto& x : got)
      BOOST_TEST(x.count() == 1u);
    BOOST_TEST(run.self.calls.pending() == 0u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
