// SPDX-License-Identifier: Apache-2.0
// Whole syncs: group, models, workers and movers on threads of their own, in
// one process. Every wait has a deadline.
#include <array>
#include <atomic>

#include <boost/test/unit_test.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/core.h>

#include "support/actor_fixture.hpp"
#include "support/inproc_job.hpp"
#include "troupe/actors/model/dist_model.hpp"
#include "troupe/actors/model/version_key.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/node/inproc_launcher.hpp"
#include "troupe/actors/node/node.hpp"
#include "troupe/actors/sync/sync_group.hpp"

using namespace troupe;
using namespace troupe::protocol;

namespace {

constexpr std::chrono::seconds soon{20};

using memory = std::array<float, 8>;

/// What all ranks of a model are told besides their calls.
struct wishes {
  std::atomic<bool> rename = false;
  std::atomic<bool> throw_on_sync = false;
};

/// "w" trains, "f" does not. What depends on the weights is built in `on_sync`.
class holder : public module {
public:
  explicit holder(std::shared_ptr<wishes> all) : wishes_(std::move(all)) {
    places_.push_back(std::make_unique<std::array<memory, 2>>());
  }

  parameter_list parameters() override {
    auto one = [](const std::string& name, memory& x, bool trains) {
      parameter out;
      out.name = name;
      out.extents = {static_cast<std::int64_t>(x.size())};
      out.memory = std::as_writable_bytes(std::span{x});
      out.requires_grad = trains;
      return out;
    };
    return {one(wishes_->rename ? "v" : "w", w(), true), one("f", f(), false)};
  }

  void on_sync(weight_version) override {
    if (wishes_->throw_on_sync)
      throw std::runtime_error("no room for the cache");
    built_ = w().front();
  }

  batch set(const batch& in) {
    w().fill(static_cast<float>(in.meta_number("w")));
    f().fill(static_cast<float>(in.meta_number("f")));
    return {};
  }

  /// One element of "w", by the number in "at".
  batch poke(const batch& in) {
    w()[static_cast<std::size_t>(in.meta_number("at"))] = 77;
    return {};
  }

  batch get(const batch&) {
    batch out;
    auto same = std::ranges::count(w(), w().front()) == 8
                && std::ranges::count(f(), f().front()) == 8;
    out.set_meta("same", std::int64_t{same});
    out.set_meta("w", double{w().front()});
    out.set_meta("f", double{f().front()});
    out.set_meta("built", double{built_});
    return out;
  }

  /// The same weights elsewhere; the old place stays until the end.
  batch move(const batch&) {
    places_.push_back(std::make_unique<std::array<memory, 2>>(*places_.back()));
    (*places_[places_.size() - 2])[0].fill(-1);
    return {};
  }

private:
  memory& w() { return (*places_.back())[0]; }
  memory& f() { return (*places_.back())[1]; }

  std::shared_ptr<wishes> wishes_;
  std::vector<std::unique_ptr<std::array<memory, 2>>> places_;
  float built_ = 0;
};

struct fixture {
  module_registry models;
  process::batch_store store{{}};
  comm::inproc::hub hub;
  node::system_config config{false};
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  error_signal_actor errors = system.spawn<monitor::error_signal>();
  std::shared_ptr<node::inproc_launcher> launcher;
  node_actor machine;
  std::map<std::string, std::shared_ptr<wishes>> told;
  std::map<std::string, dist_model_actor> made;
  std::map<std::string, manifests> held;
  std::vector<sync_group_actor> groups;
  sync_options options;

  fixture() {
    for (const auto* name : {"a", "b", "c"}) {
      auto all = std::make_shared<wishes>();
      told[name] = all;
      auto& model = models.add(name,
                               [all] { return std::make_unique<holder>(all); });
      model.add_function<holder>("set", &holder::set);
      model.add_function<holder>("poke", &holder::poke);
      model.add_function<holder>("get", &holder::get);
      model.add_function<holder>("move", &holder::move);
    }
    launcher = std::make_shared<
      node::inproc_launcher>(system, "job",
                             model::host_services{{}, &models, &store, &hub},
                             node::worker_threads::own);
    machine = system.spawn<node::node>(node::node_settings{"job", node_id{0},
                                                           8},
                                       launcher, errors);
    launcher->report_to(machine);
    make("a", 1, 2);
    make("b", 2, 1);
  }

  ~fixture() {
    for (const auto& x : groups)
      static_cast<void>(ask<ack>(x, close_sync{5000}));
    for (const auto& [name, x] : made)
      static_cast<void>(ask<ack>(x, close_model{5000}));
    static_cast<void>(ask<ack>(machine, close_node{5000}));
    launcher->report_to({});
    self->send_exit(errors, caf::exit_reason::kill);
  }

  template <class Reply, class Handle, class Message>
  result<Reply> ask(const Handle& whom, Message message) {
    result<Reply> out = fail(errc::internal, "nothing came");
    self->request(whom, soon, std::move(message))
      .receive([&](Reply& x) { out = std::move(x); },
               [&](caf::error& x) { out = fail(from_caf(x)); });
    return out;
  }

  void make(const std::string& name, int num_replica, int data) {
    auto job = test::job_of(name, num_replica, data);
    for (auto& replica : job.place.replicas)
      for (auto& rank : replica.ranks)
        rank.devices = {device_id{0}};
    made[name] = system.spawn<
      model::dist_model>(job, model::model_surroundings{{machine},
                                                        errors,
                                                        {8},
                                                        &store});
    auto all = ask<manifests>(made[name], set_up{10'000});
    BOOST_REQUIRE_MESSAGE(all, to_string(all ? error{} : all.error()));
    held[name] = std::move(*all);
  }

  result<sync_plan> prepare(const sync_group_actor& group,
                            const std::string& from, const std::string& to) {
    return ask<sync_plan>(group,
                          prepare_sync{held[from], held[to], options, 5000});
  }

  sync_group_actor join(const std::string& from = "a",
                        const std::string& to = "b") {
    // No two syncs of a job have the same name.
    auto name = fmt::format("{}2{}.{}", from, to, groups.size());
    auto group = system.spawn<sync::sync_group>(name, made[from], made[to]);
    groups.push_back(group);
    auto plan = prepare(group, from, to);
    BOOST_REQUIRE_MESSAGE(plan, to_string(plan ? error{} : plan.error()));
    return group;
  }

  result<sync_report> run(const sync_group_actor& group,
                          bool validate = false) {
    return ask<sync_report>(group, run_sync{validate, false, 5000});
  }

  void runs(const sync_group_actor& group, bool validate = false) {
    auto got = run(group, validate);
    BOOST_REQUIRE_MESSAGE(got, to_string(got ? error{} : got.error()));
  }

  result<batch> call(const std::string& model, const std::string& function,
                     const batch& in = {}) {
    invoke request;
    request.function = function;
    request.scope = 1;
    request.timeout_ms = 5000;
    request.input.parts.push_back(store.put(in, 1).value());
    auto got = ask<invoked>(made[model], request);
    if (!got)
      return fail(got.error());
    return store.get(got->output, deadline::after(soon));
  }

  void set(const std::string& model, double w, double f) {
    batch in;
    in.set_meta("w", w);
    in.set_meta("f", f);
    BOOST_REQUIRE(call(model, "set", in));
  }

  void holds(const std::string& model, double w, double f) {
    auto got = call(model, "get");
    BOOST_REQUIRE_MESSAGE(got, to_string(got ? error{} : got.error()));
    BOOST_TEST(got->meta_number("same") == 1);
    BOOST_TEST(got->meta_number("w") == w);
    BOOST_TEST(got->meta_number("f") == f);
  }
};

const char* const modes[] = {"staged", "in_place"};

} // namespace

BOOST_FIXTURE_TEST_SUITE(sync_sync_run, fixture)

BOOST_AUTO_TEST_CASE(weights_arrive_and_what_depends_on_them_is_rebuilt) {
  for (const auto* mode : modes) {
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
  for (const auto* mode : modes) {
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
  for (const auto* mode : modes) {
    options.mode = mode;
    options.requires_grad = true;
    auto group = join();
    set("a", 1, 2);
    runs(group);
    holds("b", 1, 2);
    set("a", 3, 4);
    auto got = run(group);
    BOOST_REQUIRE(got);
    BOOST_TEST(got->bytes == 2 * sizeof(memory));
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
  BOOST_TEST(got->bytes == 4 * sizeof(memory));
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
