// SPDX-License-Identifier: Apache-2.0
// Whole syncs: group, models, workers and movers on threads of their own, in
// one process. Every wait has a deadline.
#include "actors/sync/sync_run_fixture.hpp"
#include "troupe/actors/model/version_key.hpp"

using namespace troupe;
using namespace troupe::protocol;

namespace {

using fixture = test::sync_run_fixture;
using test::sync_modes;

constexpr auto tensor_bytes = sizeof(test::weight_holder::values);

} // namespace

BOOST_FIXTURE_TEST_SUITE(sync_sync_run, fixture)

BOOST_AUTO_TEST_CASE(weights_arrive_and_what_depends_on_them_is_rebuilt) {
  for (const auto* mode : sync_modes) {
    options.mode = mode;
    auto group = join();
    for (auto i = 1; i <= 3; ++i) {
      set("a", i, 10 * i);
      runs(group, i == 3);
      holds("b", i, 10 * i);
      auto got = call("b", "get").value();
      BOOST_TEST(got.meta_number("built") == i);
    }
  }
  // WS-1: the batch says which weights made it.
  auto got = call("b", "get").value();
  BOOST_TEST(got.meta_number(model::version_key("b")) == 6);
}

BOOST_AUTO_TEST_CASE(memory_may_move_at_either_end) {
  for (const auto* mode : sync_modes) {
    options.mode = mode;
    auto group = join();
    set("a", 1, 1);
    runs(group);
    for (const auto* moves : {"a", "b"}) {
      BOOST_REQUIRE(call(moves, "move"));
      set("a", 5, 6);
      runs(group);
      holds("b", 5, 6);
      set("a", 7, 8);
      runs(group);
      holds("b", 7, 8);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_parameter_with_another_name_is_an_error_and_is_named) {
  for (const auto* renamed : {"a", "b"}) {
    auto group = join();
    set("a", 1, 1);
    runs(group);
    set("a", 2, 2);
    told[renamed]->rename = true;
    auto got = run(group);
    BOOST_REQUIRE(!got);
    BOOST_TEST((got.error().code() == errc::invalid));
    BOOST_TEST_INFO(got.error().message());
    for (const auto& word : {fmt::format("{} replica 0 rank 0", renamed),
                             std::string{"'w'"}, std::string{"'v'"}})
      BOOST_TEST(got.error().message().find(word) != std::string::npos, word);
    // Nothing has moved.
    holds("b", 1, 1);
    told[renamed]->rename = false;
    runs(group);
    holds("b", 2, 2);
  }
}

BOOST_AUTO_TEST_CASE(a_chain_hands_on_and_one_source_feeds_two) {
  make("c", 1, 1);
  auto first = join("a", "b");
  auto second = join("b", "c");
  set("a", 3, 4);
  runs(first);
  runs(second);
  holds("c", 3, 4);
  auto direct = join("a", "c");
  set("a", 5, 6);
  // Side by side.
  std::array<result<sync_report>, 2> got;
  auto one = self->request(first, soon, run_sync{false, false, 5000});
  auto two = self->request(direct, soon, run_sync{false, false, 5000});
  one.receive([&](sync_report& x) { got[0] = std::move(x); },
              [&](caf::error& x) { got[0] = fail(from_caf(x)); });
  two.receive([&](sync_report& x) { got[1] = std::move(x); },
              [&](caf::error& x) { got[1] = fail(from_caf(x)); });
  for (const auto& x : got)
    BOOST_REQUIRE_MESSAGE(x, to_string(x ? error{} : x.error()));
  holds("b", 5, 6);
  holds("c", 5, 6);
}

BOOST_AUTO_TEST_CASE(what_does_not_train_travels_once) {
  for (const auto* mode : sync_modes) {
    options.mode = mode;
    options.requires_grad = true;
    auto group = join();
    set("a", 1, 2);
    runs(group);
    holds("b", 1, 2);
    set("a", 3, 4);
    auto got = run(group);
    BOOST_REQUIRE(got);
    BOOST_TEST(got->bytes == 2 * tensor_bytes);
    holds("b", 3, 2);
  }
}

BOOST_AUTO_TEST_CASE(links_that_are_freed_between_syncs_are_built_again) {
  options.free_groups = true;
  auto group = join();
  for (auto i = 1; i <= 3; ++i) {
    set("a", i, i);
    runs(group);
    holds("b", i, i);
  }
}

BOOST_AUTO_TEST_CASE(a_dry_run_moves_nothing) {
  auto group = join();
  set("a", 1, 1);
  auto got = ask<sync_report>(group, run_sync{false, true, 5000});
  BOOST_REQUIRE(got);
  BOOST_TEST(got->bytes == 4 * tensor_bytes);
  BOOST_TEST(!got->links.empty());
  holds("b", 0, 0);
}

// WS-4: tensor, index, both values, both ranks.
BOOST_AUTO_TEST_CASE(a_comparison_names_the_first_difference) {
  auto group = join();
  set("a", 1, 1);
  runs(group);
  batch in;
  in.set_meta("at", std::int64_t{5});
  BOOST_REQUIRE(call("b", "poke", in));
  auto got = ask<sync_report>(group, verify_sync{5000});
  BOOST_REQUIRE(got);
  BOOST_REQUIRE(got->differences.size() == 2u);
  for (const auto* word : {"b/", "'w'", "element 5", "77", "1", "rank"})
    BOOST_TEST(got->differences[0].find(word) != std::string::npos, word);
  // It has changed nothing, and a sync heals it.
  BOOST_TEST(call("b", "get").value().meta_number("same") == 0);
  runs(group, true);
  holds("b", 1, 1);
}

BOOST_AUTO_TEST_CASE(ws_2_a_hook_that_throws_keeps_its_replica_closed) {
  auto group = join();
  set("a", 1, 1);
  told["b"]->throw_on_sync = true;
  auto got = run(group);
  BOOST_REQUIRE(!got);
  BOOST_TEST(got.error().message().find("no room for the cache")
             != std::string::npos);
  auto refused = call("b", "get");
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code() == errc::unavailable));
  told["b"]->throw_on_sync = false;
  runs(group);
  holds("b", 1, 1);
}

BOOST_AUTO_TEST_CASE(parameters_that_do_not_match_are_named_before_the_start) {
  auto other = held["b"];
  other.items[1].parameters[0].extents = {4, 2};
  auto group = system.spawn<sync::sync_group>("a2b", made["a"], made["b"]);
  groups.push_back(group);
  auto plan = ask<sync_plan>(group, prepare_sync{held["a"], other, {}, 5000});
  BOOST_REQUIRE(!plan);
  BOOST_TEST((plan.error().code() == errc::invalid));
  BOOST_TEST_INFO(plan.error().message());
  for (const auto* word : {"a2b", "'w'", "rank 1"})
    BOOST_TEST(plan.error().message().find(word) != std::string::npos, word);
}

BOOST_AUTO_TEST_SUITE_END()
