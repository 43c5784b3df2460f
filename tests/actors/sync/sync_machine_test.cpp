// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/sync_machine.hpp"

#include <map>
#include <random>
#include <set>

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"

using namespace troupe;
using sync::sync_kind;
using sync::sync_machine;
using sync::sync_member;
using sync::sync_mode;
using sync::sync_state;
using sync::sync_step;
using sync::sync_steps;
using sync::sync_verb;

namespace {

sync_member member(const std::string& model, int replica, int rank) {
  return {{model, replica_id{replica}, rank_id{rank}},
          model == "trainer",
          true};
}

/// Two source ranks, two replicas of two ranks.
std::vector<sync_member> six_ranks() {
  return {member("trainer", 0, 0), member("trainer", 0, 1),
          member("policy", 0, 0),  member("policy", 0, 1),
          member("policy", 1, 0),  member("policy", 1, 1)};
}

const std::vector<std::size_t> sources{0, 1};
const std::vector<std::size_t> destinations{2, 3, 4, 5};
const std::vector<std::size_t> all{0, 1, 2, 3, 4, 5};

struct fixture {
  sync_machine machine;
  sync_steps steps;

  void make(sync_mode mode) { machine.reset(six_ranks(), mode); }

  void begin(sync_kind kind = sync_kind::run) { steps = machine.begin(kind); }

  /// All of the last steps end well; one that is named fails.
  void answer(std::size_t who = 99, error why = {}) {
    auto asked = std::exchange(steps, {});
    for (const auto& step : asked) {
      for (auto i : step.members) {
        auto failure = i == who ? std::optional{why} : std::nullopt;
        append(machine.arrive(step.verb, i, failure));
      }
      if (step.members.empty())
        append(machine.judged(step.verb, std::nullopt));
    }
  }

  void append(sync_steps more) {
    std::move(more.begin(), more.end(), std::back_inserter(steps));
  }

  /// Answers until `verb` is asked for; false if it never is.
  bool reach(sync_verb verb) {
    for (auto i = 0; i < 20; ++i) {
      for (const auto& x : steps)
        if (x.verb == verb)
          return true;
      if (machine.finished())
        return false;
      answer();
    }
    return false;
  }

  void expect(const std::vector<sync_step>& wanted) {
    BOOST_REQUIRE(steps.size() == wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      BOOST_TEST(to_string(steps[i].verb) == to_string(wanted[i].verb));
      BOOST_TEST(steps[i].members == wanted[i].members,
                 boost::test_tools::per_element());
    }
  }

  void ended(sync_state state, bool committed) {
    BOOST_TEST(machine.finished());
    BOOST_TEST(to_string(machine.state()) == to_string(state));
    BOOST_TEST(machine.committed() == committed);
  }
};

const error gone{errc::lost, "gone"};
const error late{errc::timed_out, "late"};
const error wrong{errc::corrupt, "wrong"};

} // namespace

BOOST_FIXTURE_TEST_SUITE(sync_sync_machine, fixture)

BOOST_AUTO_TEST_CASE(in_place_takes_its_steps_in_order) {
  make(sync_mode::in_place);
  begin();
  expect({{sync_verb::pin, sources}, {sync_verb::enroll, destinations}});
  answer();
  expect({{sync_verb::judge_standings, {}}});
  answer();
  expect({{sync_verb::link, {}}});
  BOOST_TEST(to_string(machine.state()) == "linking");
  answer();
  expect({{sync_verb::fence, destinations}});
  answer();
  expect({{sync_verb::transfer, all}});
  answer();
  expect({{sync_verb::judge_reports, {}}});
  answer();
  expect({{sync_verb::unpin, sources}, {sync_verb::open, destinations}});
  BOOST_TEST(to_string(machine.state()) == "committing");
  answer();
  ended(sync_state::idle, true);
  BOOST_TEST(!machine.failure());
  // The links stand.
  begin();
  BOOST_TEST(!reach(sync_verb::link));
}

// What is said when it is pinned: its links are built once, not twice.
BOOST_AUTO_TEST_CASE(memory_that_is_elsewhere_costs_links_once) {
  make(sync_mode::in_place);
  for (auto linked : {true, false}) {
    machine.use(std::vector<bool>(6, true), linked);
    begin();
    machine.set_linked(false);
    BOOST_REQUIRE(reach(sync_verb::link));
    answer();
    BOOST_TEST(!reach(sync_verb::link));
    ended(sync_state::idle, true);
  }
}

BOOST_AUTO_TEST_CASE(ws_2_staged_fences_only_what_is_verified) {
  make(sync_mode::staged);
  begin();
  BOOST_REQUIRE(reach(sync_verb::transfer));
  BOOST_TEST(to_string(machine.state()) == "transferring");
  answer();
  answer();
  expect({{sync_verb::unpin, sources}, {sync_verb::fence, destinations}});
  answer();
  expect({{sync_verb::swap, destinations}});
  answer();
  expect({{sync_verb::open, destinations}});
  answer();
  ended(sync_state::idle, true);
}

BOOST_AUTO_TEST_CASE(a_validated_run_compares_before_anybody_serves) {
  for (auto mode : {sync_mode::in_place, sync_mode::staged}) {
    make(mode);
    begin(sync_kind::run_validated);
    BOOST_REQUIRE(reach(sync_verb::compare));
    expect({{sync_verb::compare, all}});
    answer();
    expect({{sync_verb::judge_reports, {}}});
    answer();
    expect({{sync_verb::unpin, sources}, {sync_verb::open, destinations}});
    answer();
    ended(sync_state::idle, true);
  }
}

BOOST_AUTO_TEST_CASE(a_comparison_fences_nobody_and_commits_nothing) {
  make(sync_mode::in_place);
  begin(sync_kind::compare);
  BOOST_TEST(!reach(sync_verb::fence));
  ended(sync_state::idle, false);
  BOOST_TEST(!machine.failure());
  // Who was only looked at hears that it is over.
  expect({{sync_verb::unpin, sources}, {sync_verb::unpin, destinations}});
}

BOOST_AUTO_TEST_CASE(ranks_without_channels_move_nothing_and_commit) {
  auto ranks = six_ranks();
  ranks[1].moves = ranks[5].moves = false;
  machine.reset(ranks, sync_mode::in_place);
  begin();
  BOOST_REQUIRE(reach(sync_verb::transfer));
  expect({{sync_verb::transfer, {0, 2, 3, 4}}});
  BOOST_REQUIRE(reach(sync_verb::open));
  BOOST_TEST(steps.back().members == destinations,
             boost::test_tools::per_element());
}

// -- failures ------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(links_that_cannot_be_built_end_it_at_once) {
  make(sync_mode::staged);
  for (auto i = 0; i < 2; ++i) {
    begin();
    BOOST_REQUIRE(reach(sync_verb::link));
    steps = machine.judged(sync_verb::link, gone);
    expect({{sync_verb::unpin, sources}, {sync_verb::unpin, destinations}});
    ended(sync_state::idle, false);
  }
}

BOOST_AUTO_TEST_CASE(parameters_that_changed_stop_it_before_anything_moves) {
  make(sync_mode::in_place);
  begin();
  BOOST_REQUIRE(reach(sync_verb::pin));
  answer(4, {errc::invalid, "parameter 'w' was float32[2]"});
  expect({{sync_verb::unpin, sources}, {sync_verb::unpin, destinations}});
  ended(sync_state::idle, false);
  BOOST_TEST(to_string(machine.failed_in()) == "pinning");
}

BOOST_AUTO_TEST_CASE(sources_that_disagree_stop_it_before_anything_moves) {
  make(sync_mode::staged);
  begin();
  BOOST_REQUIRE(reach(sync_verb::judge_standings));
  steps = machine.judged(sync_verb::judge_standings,
                         error{errc::unavailable, "versions differ"});
  expect({{sync_verb::unpin, sources}, {sync_verb::unpin, destinations}});
  ended(sync_state::idle, false);
}

BOOST_AUTO_TEST_CASE(ws_1_a_fence_that_fails_in_place_is_lifted_again) {
  make(sync_mode::in_place);
  begin();
  BOOST_REQUIRE(reach(sync_verb::fence));
  answer(3, {errc::unavailable, "no"});
  expect({{sync_verb::unpin, sources}, {sync_verb::reopen, destinations}});
  answer();
  ended(sync_state::idle, false);
}

BOOST_AUTO_TEST_CASE(a_transfer_that_fails_in_place_leaves_the_fence) {
  make(sync_mode::in_place);
  begin();
  BOOST_REQUIRE(reach(sync_verb::transfer));
  answer(2, wrong);
  expect({{sync_verb::unpin, sources}});
  ended(sync_state::failed, false);
  BOOST_TEST(!machine.linked());
  // A later run may heal it.
  begin();
  BOOST_REQUIRE(reach(sync_verb::link));
  BOOST_REQUIRE(reach(sync_verb::open));
  answer();
  ended(sync_state::idle, true);
}

BOOST_AUTO_TEST_CASE(a_torn_destination_is_opened_by_nothing_but_a_commit) {
  make(sync_mode::in_place);
  begin();
  BOOST_REQUIRE(reach(sync_verb::transfer));
  answer(2, wrong);
  for (auto verb : {sync_verb::pin, sync_verb::fence, sync_verb::transfer}) {
    begin();
    BOOST_REQUIRE(reach(verb));
    answer(2, gone);
    BOOST_TEST(!reach(sync_verb::reopen));
    ended(sync_state::failed, false);
  }
  // Also not by planning anew.
  make(sync_mode::staged);
  begin();
  BOOST_REQUIRE(reach(sync_verb::transfer));
  answer(2, gone);
  BOOST_TEST(!reach(sync_verb::reopen));
  ended(sync_state::failed, false);
}

BOOST_AUTO_TEST_CASE(a_transfer_that_fails_staged_is_dropped) {
  make(sync_mode::staged);
  begin();
  BOOST_REQUIRE(reach(sync_verb::transfer));
  answer(0, wrong);
  expect({{sync_verb::unpin, sources}, {sync_verb::reopen, destinations}});
  answer();
  ended(sync_state::idle, false);
  BOOST_TEST((*machine.failure() == wrong));
}

BOOST_AUTO_TEST_CASE(ws_5_nobody_waits_for_the_dead_when_it_is_dropped) {
  make(sync_mode::staged);
  begin();
  BOOST_REQUIRE(reach(sync_verb::transfer));
  answer(4, gone);
  expect({{sync_verb::unpin, sources},
          {sync_verb::reopen, {4}},
          {sync_verb::reopen, {2, 3, 5}}});
  for (auto i : {2u, 3u, 5u})
    static_cast<void>(machine.arrive(sync_verb::reopen, i, std::nullopt));
  ended(sync_state::idle, false);
  BOOST_TEST(machine.missing() == (std::vector<std::size_t>{4}),
             boost::test_tools::per_element());
  BOOST_TEST(machine.arrivals() == (std::vector<std::size_t>{0, 1, 2, 3, 5}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(ws_4_reports_that_disagree_are_never_committed) {
  for (auto mode : {sync_mode::in_place, sync_mode::staged}) {
    machine = {};
    make(mode);
    begin();
    BOOST_REQUIRE(reach(sync_verb::judge_reports));
    steps = machine.judged(sync_verb::judge_reports, wrong);
    BOOST_TEST(!reach(sync_verb::open));
    ended(mode == sync_mode::staged ? sync_state::idle : sync_state::failed,
          false);
  }
}

BOOST_AUTO_TEST_CASE(ws_2_a_rank_lost_in_the_swap_takes_its_replica_out) {
  make(sync_mode::staged);
  begin();
  BOOST_REQUIRE(reach(sync_verb::swap));
  answer(5, gone);
  expect({{sync_verb::open, {2, 3}}});
  answer();
  ended(sync_state::idle, true);
  BOOST_TEST(machine.failure().has_value());
  // It stands at no version: a run that fails does not open it either.
  begin();
  BOOST_REQUIRE(reach(sync_verb::transfer));
  answer(0, wrong);
  expect({{sync_verb::unpin, sources}, {sync_verb::reopen, {2, 3}}});
  answer();
  // Nor does one that was planned anew.
  make(sync_mode::staged);
  begin();
  BOOST_REQUIRE(reach(sync_verb::transfer));
  answer(0, wrong);
  expect({{sync_verb::unpin, sources}, {sync_verb::reopen, {2, 3}}});
  answer();
  // One that succeeds does.
  begin();
  BOOST_REQUIRE(reach(sync_verb::open));
  expect({{sync_verb::open, destinations}});
}

BOOST_AUTO_TEST_CASE(a_hook_that_throws_leaves_its_rank_behind) {
  make(sync_mode::in_place);
  begin();
  BOOST_REQUIRE(reach(sync_verb::open));
  answer(3, {errc::failed, "on_sync threw"});
  // Its replica serves with both ranks or not at all.
  expect({{sync_verb::fence, {2, 3}}});
  answer();
  ended(sync_state::idle, true);
  BOOST_TEST((machine.failure()->code() == errc::failed));
  BOOST_TEST(to_string(machine.failed_in()) == "committing");
}

BOOST_AUTO_TEST_CASE(a_rank_that_hangs_when_it_opens_closes_its_replica) {
  make(sync_mode::staged);
  begin();
  BOOST_REQUIRE(reach(sync_verb::open));
  answer(5, late);
  // When it wakes up it opens, and then closes again.
  expect({{sync_verb::fence, {5}}, {sync_verb::fence, {4}}});
  answer();
  ended(sync_state::idle, true);
  begin();
  BOOST_REQUIRE(reach(sync_verb::transfer));
  answer(0, wrong);
  expect({{sync_verb::unpin, sources}, {sync_verb::reopen, {2, 3}}});
}

BOOST_AUTO_TEST_CASE(the_error_nearest_to_the_cause_is_told) {
  make(sync_mode::staged);
  begin();
  BOOST_REQUIRE(reach(sync_verb::transfer));
  static_cast<void>(machine.arrive(sync_verb::transfer, 0, gone));
  static_cast<void>(machine.arrive(sync_verb::transfer, 3, wrong));
  static_cast<void>(machine.arrive(sync_verb::transfer, 4, late));
  BOOST_TEST((*machine.failure() == wrong));
}

BOOST_AUTO_TEST_CASE(what_nobody_waits_for_changes_nothing) {
  make(sync_mode::in_place);
  begin();
  BOOST_TEST(machine.arrive(sync_verb::fence, 2, gone).empty());
  BOOST_TEST(machine.arrive(sync_verb::pin, 99, gone).empty());
  BOOST_TEST(machine.judged(sync_verb::judge_reports, wrong).empty());
  BOOST_TEST(!machine.failure());
}

// -- any order of events -------------------------------------------------------

namespace {

/// What the ranks would do with what they are told, in the order told.
struct model_rank {
  /// The version of every byte it holds; -1: a mixture.
  int weights = 0;
  int staged = -1;
  int version = 0;
  bool fenced = false;
  bool pinned = false;
  bool frozen = false;
  bool dead = false;
};

struct world {
  std::mt19937_64 random;
  sync_machine machine;
  std::vector<sync_member> members = six_ranks();
  std::vector<model_rank> ranks{six_ranks().size()};
  struct letter {
    sync_verb verb;
    /// Somebody waits for the answer.
    bool waited;
    /// The version of its run.
    int next;
  };

  /// Told, in order, and not yet done, by rank.
  std::map<std::size_t, std::vector<letter>> inbox;
  int next = 0;
  bool verified = false;

  bool chance(unsigned percent) { return random() % 100 < percent; }

  /// WS-1, WS-2.
  void check() {
    std::set<int> served;
    for (std::size_t i = 2; i < ranks.size(); ++i) {
      const auto& x = ranks[i];
      if (x.dead || x.fenced)
        continue;
      BOOST_REQUIRE(x.weights == x.version);
      served.insert(x.version);
    }
    // During the commit two versions may serve for a moment, never in one
    // replica and never at the end.
    if (machine.finished()) {
      BOOST_REQUIRE(served.size() <= 1u);
      // A replica serves with all its ranks or not at all.
      for (auto i : {std::size_t{2}, std::size_t{4}}) {
        auto settled = [&](std::size_t j) {
          return !ranks[j].dead && !ranks[j].frozen && inbox[j].empty();
        };
        if (settled(i) && settled(i + 1))
          BOOST_REQUIRE_MESSAGE(ranks[i].fenced == ranks[i + 1].fenced,
                                to_string(machine.failed_in())
                                  << " " << to_string(machine.mode()) << " "
                                  << i);
      }
    }
    if (machine.state() == sync_state::transferring
        || machine.state() == sync_state::verifying)
      for (std::size_t i = 0; i < 2; ++i)
        BOOST_REQUIRE((ranks[i].dead || ranks[i].pinned));
  }

  std::optional<error> obey(std::size_t i, const letter& told) {
    auto& x = ranks[i];
    auto staged = machine.mode() == sync_mode::staged;
    auto late_letter = told.next != next;
    // Closing what is broken is the last resort; and nobody hears of what
    // nobody waits for.
    auto closes = told.verb == sync_verb::fence
                  && machine.state() != sync_state::fencing;
    if (told.waited && !closes && chance(1))
      return error{errc::failed, "it failed"};
    switch (told.verb) {
      case sync_verb::pin: x.pinned = true; break;
      case sync_verb::unpin: x.pinned = false; break;
      case sync_verb::fence: x.fenced = true; break;
      case sync_verb::transfer:
        // The links of an earlier run are dead.
        if (late_letter)
          return gone;
        if (i < 2)
          break;
        if (!staged)
          BOOST_REQUIRE(x.fenced);
        if (chance(5)) {
          if (!staged)
            x.weights = -1;
          return error{errc::lost, "the link broke"};
        }
        (staged ? x.staged : x.weights) = next;
        break;
      case sync_verb::swap:
        BOOST_REQUIRE(x.fenced);
        BOOST_REQUIRE((verified || late_letter));
        if (x.staged != told.next)
          return error{errc::refused, "nothing staged"};
        x.weights = x.staged;
        break;
      case sync_verb::open:
        BOOST_REQUIRE((verified || late_letter));
        if (x.weights != told.next)
          return error{errc::refused, "not whole"};
        x.version = told.next;
        x.fenced = false;
        break;
      case sync_verb::reopen:
        x.staged = -1;
        if (x.weights != x.version)
          return error{errc::refused, "written to"};
        x.fenced = false;
        break;
      default: break;
    }
    return std::nullopt;
  }

  void told(const sync_steps& steps) {
    auto asked = machine.awaited();
    for (const auto& step : steps) {
      for (auto i : step.members)
        inbox[i].push_back({step.verb, std::ranges::count(asked, i) > 0, next});
      if (!step.members.empty())
        continue;
      auto wrong_now = chance(5);
      if (step.verb == sync_verb::judge_reports)
        verified = !wrong_now;
      told(machine.judged(step.verb,
                          wrong_now ? std::optional{wrong} : std::nullopt));
      return;
    }
  }

  /// Something happens at a random rank.
  void step() {
    auto i = random() % ranks.size();
    auto& x = ranks[i];
    if (!x.dead && chance(1))
      x.frozen = !x.frozen;
    if (chance(1) && chance(30))
      x.dead = true;
    auto& box = inbox[i];
    if (box.empty())
      return;
    auto first = box.front();
    if (x.dead) {
      box.erase(box.begin());
      if (first.waited)
        told(machine.arrive(first.verb, i, gone));
    } else if (x.frozen) {
      // Its callers give up; it will find the word when it wakes.
      for (auto& y : box)
        if (std::exchange(y.waited, false)) {
          told(machine.arrive(y.verb, i, late));
          return check();
        }
      if (chance(20))
        x.frozen = false;
    } else {
      box.erase(box.begin());
      auto failure = obey(i, first);
      if (first.waited)
        told(machine.arrive(first.verb, i, failure));
    }
    check();
  }
};

} // namespace

// WS-1 to WS-3, WS-5, WS-6, in whatever order things happen.
BOOST_AUTO_TEST_CASE(ws_whatever_fails_whenever_no_mixture_is_served) {
  auto seed = test::random_seed();
  BOOST_TEST_MESSAGE("TROUPE_SEED=" << seed);
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 seeds{seed};
  std::size_t committed = 0;
  std::size_t failed = 0;
  for (auto round = 0; round < 400; ++round) {
    world x;
    x.random.seed(seeds());
    x.machine.reset(x.members,
                    x.chance(50) ? sync_mode::staged : sync_mode::in_place);
    for (auto run = 0; run < 6; ++run) {
      x.verified = false;
      ++x.next;
      auto kind = x.chance(30)   ? sync_kind::run_validated
                  : x.chance(10) ? sync_kind::compare
                                 : sync_kind::run;
      x.told(x.machine.begin(kind));
      // WS-3: it ends.
      for (auto i = 0; i < 20'000 && !x.machine.finished(); ++i)
        x.step();
      BOOST_REQUIRE(x.machine.finished());
      x.check();
      ++(x.machine.committed() ? committed : failed);
    }
  }
  // Both are worth nothing if one never happens.
  BOOST_TEST(committed > 100u);
  BOOST_TEST(failed > 100u);
}

BOOST_AUTO_TEST_SUITE_END()
