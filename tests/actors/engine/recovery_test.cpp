// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/recovery.hpp"

#include <boost/test/unit_test.hpp>

#include "support/inproc_job.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using engine::episode_of;
using engine::recovery_facts;
using engine::way;
using engine::ways_on;

namespace {

struct fixture {
  module_registry models;

  fixture() {
    auto notes = std::make_shared<test::module_notes>();
    test::declare(models, "policy", notes);
    test::declare(models, "trainer", notes);
    trainer().set_trainable();
  }

  model_declaration& trainer() { return *models.models().back(); }

  std::map<std::string, protocol::repair_model>
  orders(const recovery_facts& x) {
    return engine::repair_orders(models, way::in_memory, x, {"saved", "rescue"},
                                 7, 1000ms);
  }

  static recovery_facts facts(bool deterministic,
                              std::optional<std::int64_t> standing,
                              std::optional<std::int64_t> saved) {
    recovery_facts x;
    x.deterministic = deterministic;
    x.standing = standing;
    x.saved = saved;
    return x;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(engine_recovery, fixture)

using ways = std::vector<way>;

BOOST_AUTO_TEST_CASE(models_are_kept_as_they_stand_if_they_can_be) {
  BOOST_TEST((ways_on(facts(false, 4, 3))
              == ways{way::in_memory, way::reload, way::anew}));
  BOOST_TEST((ways_on(facts(false, 3, std::nullopt))
              == ways{way::in_memory, way::anew}));
}

BOOST_AUTO_TEST_CASE(what_trains_and_may_have_changed_loads_a_checkpoint) {
  BOOST_TEST(
    (ways_on(facts(false, std::nullopt, 3)) == ways{way::reload, way::anew}));
  BOOST_TEST(
    (ways_on(facts(false, std::nullopt, std::nullopt)) == ways{way::anew}));
}

BOOST_AUTO_TEST_CASE(a_checkpoint_that_is_newer_is_better) {
  BOOST_TEST((ways_on(facts(false, 3, 4)) == ways{way::reload, way::anew}));
}

BOOST_AUTO_TEST_CASE(a_repair_that_led_nowhere_is_not_made_again) {
  auto x = facts(false, 4, 4);
  x.repaired = 4;
  BOOST_TEST((ways_on(x) == ways{way::anew}));
  x.standing = 5;
  BOOST_TEST((ways_on(x) == ways{way::in_memory, way::anew}));
  x.saved = 5;
  BOOST_TEST((ways_on(x) == ways{way::in_memory, way::reload, way::anew}));
}

BOOST_AUTO_TEST_CASE(a_lost_machine_is_had_again_or_dropped) {
  auto x = facts(false, 4, 4);
  x.machine_lost = true;
  BOOST_TEST((ways_on(x) == ways{way::anew}));
  x.drop = true;
  BOOST_TEST((ways_on(x) == ways{way::in_memory, way::reload, way::anew}));
}

BOOST_AUTO_TEST_CASE(drop_does_nothing_twice_that_is_on_no_disk) {
  auto x = facts(false, std::nullopt, std::nullopt);
  x.drop = true;
  BOOST_TEST(ways_on(x).empty());
}

BOOST_AUTO_TEST_CASE(each_way_leads_behind_an_episode) {
  auto x = facts(false, 5, 4);
  BOOST_TEST(episode_of(way::in_memory, x) == 5);
  BOOST_TEST(episode_of(way::reload, x) == 4);
  BOOST_TEST(episode_of(way::anew, x) == 4);
  BOOST_TEST(episode_of(way::anew, facts(false, 5, std::nullopt)) == -1);
}

BOOST_AUTO_TEST_CASE(whoever_reloads_keeps_nothing) {
  for (const auto& [name, x] :
       engine::repair_orders(models, way::reload, facts(true, 5, 4),
                             {"saved", "rescue"}, 7, 1000ms)) {
    BOOST_TEST(x.checkpoint == "saved", name);
    BOOST_TEST(x.load_all);
    BOOST_TEST(x.scope == 0u);
  }
}

// It waited for another one, which hangs: ending the wrong process would not
// help.
BOOST_AUTO_TEST_CASE(the_process_of_a_rank_that_gave_up_stays) {
  protocol::error_report cause;
  BOOST_TEST(!engine::must_end_host(cause));
  cause.slot = 0;
  for (auto code : {errc::failed, errc::timed_out, errc::lost, errc::exhausted})
    BOOST_TEST_CONTEXT(to_string(code)) {
      cause.code = code;
      BOOST_TEST(engine::must_end_host(cause));
    }
  cause.code = errc::aborted;
  BOOST_TEST(!engine::must_end_host(cause));
}

BOOST_AUTO_TEST_CASE(an_exact_result_needs_everybody_to_load) {
  BOOST_TEST((ways_on(facts(true, 4, 4)) == ways{way::reload, way::anew}));
  auto x = facts(true, 4, 4);
  x.drop = true;
  BOOST_TEST((ways_on(x) == ways{way::in_memory, way::reload, way::anew}));
}

BOOST_AUTO_TEST_CASE(the_checkpoint_of_the_same_episode_serves_every_model) {
  for (const auto& [name, x] : orders(facts(false, 4, 4))) {
    BOOST_TEST(x.checkpoint == "saved", name);
    BOOST_TEST(x.rescue.empty());
    BOOST_TEST(x.scope == 7u);
  }
}

BOOST_AUTO_TEST_CASE(an_older_one_will_do_for_what_does_not_train) {
  auto all = orders(facts(false, 5, 4));
  BOOST_TEST(all["policy"].checkpoint == "saved");
  BOOST_TEST(!all["policy"].must_load);
  BOOST_TEST(all["trainer"].checkpoint.empty());
  BOOST_TEST(all["trainer"].must_load);
}

// No sync brings them again.
BOOST_AUTO_TEST_CASE(weights_that_came_once_are_loaded_or_not_had) {
  auto x = facts(false, 5, std::nullopt);
  BOOST_TEST(!orders(x)["policy"].must_load);
  x.synced_once = {"policy"};
  BOOST_TEST(orders(x)["policy"].must_load);
  BOOST_TEST(orders(x)["policy"].checkpoint.empty());
  // They have not changed since.
  x.saved = 4;
  BOOST_TEST(orders(x)["policy"].checkpoint == "saved");
}

BOOST_AUTO_TEST_CASE(a_trainer_asks_peers_that_know_the_same) {
  trainer().set_same_on_data_ranks();
  auto all = orders(facts(false, 5, 4));
  BOOST_TEST(all["trainer"].rescue == "rescue");
  BOOST_TEST(all["policy"].rescue.empty());
}

BOOST_AUTO_TEST_CASE(what_trains_is_never_dropped) {
  auto x = facts(true, 5, std::nullopt);
  x.drop = true;
  auto all = orders(x);
  BOOST_TEST(all["policy"].drop);
  BOOST_TEST(!all["trainer"].drop);
  BOOST_TEST(all["trainer"].must_load);
}

BOOST_AUTO_TEST_SUITE_END()
