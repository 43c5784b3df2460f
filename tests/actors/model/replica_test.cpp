// SPDX-License-Identifier: Apache-2.0
// Replicas of several ranks: the ranks join by calls that block, so these
// tests run on threads of their own. Every wait has a deadline.
#include "troupe/actors/model/replica.hpp"

#include <algorithm>
#include <future>
#include <thread>

#include <boost/test/unit_test.hpp>
#include <caf/scoped_actor.hpp>
#include <fmt/core.h>

#include "support/actor_fixture.hpp"
#include "support/inproc_job.hpp"
#include "support/scratch.hpp"
#include "support/stub_device.hpp"
#include "troupe/actors/model/device_desk.hpp"
#include "troupe/actors/model/dist_model.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/monitor/root_cause.hpp"
#include "troupe/actors/node/inproc_launcher.hpp"
#include "troupe/actors/node/node.hpp"
#include "troupe/core/exception.hpp"

using namespace troupe;
using namespace troupe::protocol;

namespace {

constexpr std::chrono::seconds soon{20};

/// Sums over its data-parallel ranks, so that a rank left out would hang.
class summing_module : public test::counting_module {
public:
  using test::counting_module::counting_module;

  void setup(worker_context& ctx) override {
    counting_module::setup(ctx);
    ctx_ = &ctx;
  }

  /// The rank that holds row 0 fails; any other is inside until it is let out.
  batch leaves_one_inside(const batch& in) {
    if (in.find("x")->values<std::int64_t>().front() == 0)
      return throws_on_first(in);
    return echo(in);
  }

  /// Its rows, and the sum of all ranks' rows in "sum".
  batch sum(const batch& in) {
    batch out = in;
    std::int64_t mine = in.rows().value();
    std::int64_t all = mine;
    if (auto* ranks = ctx_->data_parallel()) {
      std::vector<float> value{static_cast<float>(mine)};
      auto done = ranks->all_reduce(std::as_writable_bytes(std::span{value}),
                                    dtype::float32, comm::reduce_op::sum,
                                    ctx_->collective_deadline());
      if (!done)
        throw troupe::exception(done.error());
      all = static_cast<std::int64_t>(value[0]);
    }
    out.set_meta("sum", all);
    return out;
  }

private:
  worker_context* ctx_ = nullptr;
};

struct fixture {
  std::shared_ptr<test::module_notes>
    notes = std::make_shared<test::module_notes>();
  module_registry models;
  process::batch_store store{{}};
  comm::inproc::hub hub;
  node::system_config config{false};
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  error_signal_actor errors = system.spawn<monitor::error_signal>();
  std::shared_ptr<node::inproc_launcher> launcher;
  node_actor machine;

  device_desk_actor desk;

  bool far;

  /// Through nodes and hosts, as if they were other machines and processes.
  explicit fixture(bool far_away = true, comm::device_ptr device = {})
    : far(far_away) {
    auto& model = models.add("trainer", [notes = notes] {
      return std::make_unique<summing_module>(notes);
    });
    model.add_function<summing_module>("echo", &summing_module::echo);
    model.add_function<summing_module>("sum", &summing_module::sum);
    model.add_function<summing_module>("throws_on_first",
                                       &summing_module::throws_on_first);
    model::host_services services{{}, &models, &store, &hub};
    model.add_function<summing_module>("leaves_one_inside",
                                       &summing_module::leaves_one_inside);
    services.device = std::move(device);
    launcher = std::make_shared<
      node::inproc_launcher>(system, "job", services,
                             node::worker_threads::own);
    node::node_settings settings{"job", node_id{0}, 8};
    settings.far_hosts = far;
    machine = system.spawn<node::node>(settings, launcher, errors);
    launcher->report_to(machine);
  }

  ~fixture() {
    self->request(machine, soon, close_node{5000})
      .receive([](ack) {}, [](caf::error&) {});
    launcher->report_to({});
    self->send_exit(errors, caf::exit_reason::kill);
  }

  template <class Reply, class Message>
  result<Reply> ask(const dist_model_actor& whom, Message message) {
    result<Reply> out = fail(errc::internal, "nothing came");
    self->request(whom, soon, std::move(message))
      .receive([&](Reply& x) { out = std::move(x); },
               [&](caf::error& x) { out = fail(from_caf(x)); });
    return out;
  }

  /// All ranks on one device unless told otherwise, so that they join in one
  /// process.
  dist_model_actor spawn_model(int num_replica, int data,
                               const std::vector<std::int32_t>& devices = {}) {
    auto job = test::job_of("trainer", num_replica, data);
    for (auto& replica : job.place.replicas)
      for (std::size_t i = 0; i < replica.ranks.size(); ++i)
        replica.ranks[i].devices = {
          device_id{devices.empty() ? 0 : devices[i]}};
    model::model_surroundings around{{machine}, errors, {8}, &store};
    around.far_nodes = far;
    around.desk = desk;
    return system.spawn<model::dist_model>(job, around);
  }

  dist_model_actor make(int num_replica, int data,
                        const std::vector<std::int32_t>& devices = {}) {
    auto model = spawn_model(num_replica, data, devices);
    auto made = ask<manifests>(model, set_up{10'000});
    if (!made)
      BOOST_FAIL(to_string(made.error()));
    BOOST_TEST(made->items.size()
               == static_cast<std::size_t>(num_replica * data));
    return model;
  }

  result<invoked> call(const dist_model_actor& model,
                       const std::string& function, const batch& in,
                       std::uint32_t timeout_ms = 10'000) {
    invoke request;
    request.function = function;
    request.scope = 1;
    request.timeout_ms = timeout_ms;
    request.input.parts.push_back(store.put(in, 1).value());
    return ask<invoked>(model, request);
  }

  /// Ends the host of a device, as if its process had been killed. Returns when
  /// the node and the replica, of which it holds one rank, have heard of it.
  void lose_host(std::int32_t device) {
    acquire_host request;
    request.device = device;
    request.timeout_ms = 1000;
    host_name lost;
    self->request(machine, soon, request)
      .receive(
        [&](acquired_host& x) {
          lost = x.host;
          self->send_exit(x.control, caf::exit_reason::kill);
          self->send(machine, host_exited{x.host, 1, "was killed"});
        },
        [](caf::error& x) { BOOST_FAIL(to_string(x)); });
    auto until = deadline::after(soon);
    for (const auto* operation : {"process", "idle"}) {
      auto of_it = [&](const error_report& x) {
        return x.slot == lost.slot && x.operation == operation;
      };
      while (std::ranges::none_of(reports(), of_it) && !until.passed())
        std::this_thread::yield();
      BOOST_REQUIRE(!until.passed());
    }
  }

  std::vector<error_report> reports() {
    std::vector<error_report> out;
    self->request(errors, soon, get_errors{})
      .receive([&](error_history& x) { out = std::move(x.items); },
               [](caf::error& x) { BOOST_FAIL(to_string(x)); });
    return out;
  }

  /// Waits until there are `count`.
  std::vector<error_report> reports_of(std::size_t count) {
    auto out = reports();
    auto until = deadline::after(soon);
    while (out.size() < count && !until.passed())
      out = reports();
    return out;
  }

  /// The sum of two ranks that have two rows each.
  std::int64_t sum_of(const dist_model_actor& model) {
    auto got = call(model, "sum", test::numbered(4));
    BOOST_REQUIRE_MESSAGE(got, to_string(got ? error{} : got.error()));
    auto out = store.get(got->output, deadline::after(soon));
    BOOST_REQUIRE(out);
    return static_cast<std::int64_t>(out->meta_number("sum"));
  }

  void close(const dist_model_actor& model) {
    BOOST_TEST(ask<ack>(model, close_model{5000}).has_value());
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_replica, fixture)

BOOST_AUTO_TEST_CASE(data_parallel_ranks_share_the_rows_and_sum_together) {
  for (auto [replicas, far] :
       {std::pair{1, false}, {2, false}, {1, true}, {2, true}}) {
    fixture run{far};
    auto trainer = run.make(replicas, 2);
    for (std::int64_t rows = 2; rows <= 7; ++rows) {
      BOOST_TEST_INFO_SCOPE(rows << " rows over " << replicas << " x 2 ranks");
      auto got = run.call(trainer, "sum", test::numbered(rows, 10));
      BOOST_REQUIRE_MESSAGE(got, to_string(got ? error{} : got.error()));
      auto out = run.store.get(got->output, deadline::after(soon));
      BOOST_REQUIRE(out);
      std::vector<std::int64_t> expected;
      for (std::int64_t i = 0; i < rows; ++i)
        expected.push_back(10 + i);
      BOOST_TEST(test::numbers_of(*out) == expected,
                 boost::test_tools::per_element());
      BOOST_TEST(out->meta_number("sum") == (rows + replicas - 1) / replicas);
    }
    run.close(trainer);
  }
}

BOOST_AUTO_TEST_CASE(one_row_over_two_ranks_comes_back_as_one_row) {
  auto trainer = make(1, 2);
  auto got = call(trainer, "sum", test::numbered(1));
  BOOST_REQUIRE_MESSAGE(got, to_string(got ? error{} : got.error()));
  BOOST_TEST(got->output.rows() == 1);
  auto out = store.get(got->output, deadline::after(soon));
  BOOST_REQUIRE_MESSAGE(out, to_string(out ? error{} : out.error()));
  BOOST_TEST(test::numbers_of(*out) == (std::vector<std::int64_t>{0}),
             boost::test_tools::per_element());
  close(trainer);
}

BOOST_AUTO_TEST_CASE(the_rank_that_failed_is_the_one_that_is_named) {
  auto trainer = make(1, 2);
  auto got = call(trainer, "throws_on_first", test::numbered(4));
  BOOST_REQUIRE(!got);
  BOOST_TEST(got.error().message()
             == "trainer replica 0 rank 0, throws_on_first: no first rows");
  close(trainer);
}

// The other one hangs. What waits for it has answered: it is not late itself.
BOOST_AUTO_TEST_CASE(a_rank_that_waited_in_vain_has_given_up) {
  std::promise<void> wake;
  auto woken = wake.get_future().share();
  notes->on_call = [woken](worker_context& ctx) {
    if (ctx.rank().value() == 1) {
      static_cast<void>(woken.wait_for(soon));
      return;
    }
    float value[] = {1};
    auto sum = ctx.data_parallel()
                 ->all_reduce(std::as_writable_bytes(std::span{value}),
                              dtype::float32, comm::reduce_op::sum,
                              deadline::after(std::chrono::milliseconds{50}));
    if (!sum)
      throw troupe::exception{sum.error().within("all-reduce")};
  };
  auto trainer = make(1, 2);
  auto got = call(trainer, "echo", test::numbered(4));
  // The one that hangs is named too, by those who have waited for it.
  auto known = reports_of(2);
  wake.set_value();
  BOOST_REQUIRE(known.size() == 2u);
  BOOST_TEST(known[1].rank.value() == 1);
  BOOST_TEST((known[1].code == errc::timed_out));
  BOOST_TEST(known[1].operation == "echo");
  BOOST_TEST(known[1].message.starts_with("is still at it after "));
  BOOST_TEST((monitor::conclude(known).root.rank == rank_id{1}));
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::aborted));
  const auto& words = got.error().message();
  BOOST_TEST_INFO(words);
  BOOST_TEST(
    words.starts_with("trainer replica 0 rank 0, echo: gave up: all-reduce: "));
  BOOST_TEST_INFO(words);
  BOOST_TEST(words.find("waited in vain for rank 1") != std::string::npos);
  close(trainer);
}

BOOST_AUTO_TEST_CASE(ranks_whose_groups_were_aborted_join_again) {
  auto trainer = make(1, 2);
  BOOST_TEST(sum_of(trainer) == 4);
  self->request(machine, soon, abort_groups{"a test"})
    .receive([](ack) {}, [](caf::error& x) { BOOST_FAIL(to_string(x)); });
  BOOST_TEST(!call(trainer, "sum", test::numbered(4)));
  repair_model order;
  order.timeout_ms = 10'000;
  auto done = ask<repaired>(trainer, order);
  BOOST_REQUIRE_MESSAGE(done, to_string(done ? error{} : done.error()));
  BOOST_TEST(done->made_anew.empty());
  BOOST_TEST(sum_of(trainer) == 4);
  close(trainer);
}

BOOST_AUTO_TEST_CASE(a_lost_rank_goes_on_from_what_its_peer_knows) {
  for (auto lost : {0, 1}) {
    fixture run;
    test::scratch folder;
    auto trainer = run.make(1, 2, {0, 1});
    BOOST_TEST(run.sum_of(trainer) == 4);
    run.lose_host(lost);
    repair_model order;
    order.must_load = true;
    order.timeout_ms = 10'000;
    auto refused = run.ask<repaired>(trainer, order);
    BOOST_REQUIRE(!refused);
    BOOST_TEST((refused.error().code() == errc::unavailable));
    order.rescue = folder.path().string();
    auto done = run.ask<repaired>(trainer, order);
    BOOST_REQUIRE_MESSAGE(done, to_string(done ? error{} : done.error()));
    BOOST_TEST(done->made_anew.size() == 1u);
    BOOST_TEST(run.notes->calls.size() > 0u);
    auto from = fmt::format("load {}/trainer/0/weight.rank{}",
                            folder.path().string(), 1 - lost);
    BOOST_TEST(std::ranges::count(run.notes->calls, from) == 2);
    BOOST_TEST(run.sum_of(trainer) == 4);
    run.close(trainer);
  }
}

// What it still hears of its ranks is of the attempt before.
BOOST_AUTO_TEST_CASE(a_replica_that_cannot_join_anew_keeps_its_attempt) {
  auto trainer = make(1, 2, {0, 1});
  repair_model order;
  order.timeout_ms = 10'000;
  order.attempt = 2;
  BOOST_TEST(ask<repaired>(trainer, order).has_value());
  lose_host(0);
  order.must_load = true;
  order.attempt = 3;
  auto refused = ask<repaired>(trainer, order);
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code() == errc::unavailable));
  lose_host(1);
  // Of each rank and its process.
  for (const auto& x : reports_of(4))
    BOOST_TEST(x.attempt == (x.operation == "process" ? 0u : 2u));
  close(trainer);
}

/// Devices that a call needs are somebody else's. Nothing of the model lies on
/// them: its ranks' hosts work on them.
struct on_devices : fixture {
  explicit on_devices(std::vector<std::string> uuids)
    : fixture(false, make_device(std::move(uuids))) {
    desk = system.spawn<model::device_desk>();
  }

  ~on_devices() { self->send_exit(desk, caf::exit_reason::kill); }

  static comm::device_ptr make_device(std::vector<std::string> uuids) {
    auto out = std::make_shared<test::stub_device>(0);
    out->uuids = std::move(uuids);
    return out;
  }

  /// Numbers that no model chooses.
  static constexpr std::uint64_t others = 1'000'000;

  void lease(std::uint64_t number, const std::string& on) {
    self->request(desk, soon, lease_devices{others + number, "other", {on}})
      .receive([](ack) {}, [](caf::error& x) { BOOST_FAIL(to_string(x)); });
  }

  void give_back(std::uint64_t number) {
    self->send(desk, end_lease{others + number});
  }

  /// Until the model has asked for `device`, which somebody else has. Asks with
  /// numbers from `first` on.
  void await_question(const std::string& device, std::uint64_t first) {
    auto asked = false;
    auto until = deadline::after(soon);
    while (!asked && !until.passed()) {
      auto number = others + first++;
      self->send(desk, lease_devices{number, "probe", {device}});
      self->request(desk, soon, get_blockers{number})
        .receive(
          [&](const blockers& x) {
            asked = std::ranges::count(x.owners, "trainer") > 0;
          },
          [](caf::error& x) { BOOST_FAIL(to_string(x)); });
      self->send(desk, end_lease{number});
    }
    BOOST_TEST(asked);
  }

  std::ptrdiff_t calls_of(const std::string& what) {
    std::lock_guard guard{notes->mutex};
    return std::ranges::count(notes->calls, what);
  }

  /// A call comes through only when `device` is given back, which it is.
  void check_waits(const dist_model_actor& model, const std::string& device,
                   std::int64_t rows) {
    auto first = next;
    next += 2;
    lease(first, device);
    notes->calls.clear();
    invoke request;
    request.function = "echo";
    request.scope = 1;
    request.timeout_ms = 10'000;
    request.input.parts.push_back(store.put(test::numbered(rows), 1).value());
    auto pending = self->request(model, soon, request);
    // Both have had what came before once they have answered this.
    BOOST_TEST(ask<operations>(model, get_operations{1000}).has_value());
    lease(first + 1, "GPU-of-nobody");
    BOOST_TEST(calls_of("echo") == 0);
    give_back(first);
    pending.receive([&](invoked& x) { BOOST_TEST(x.output.rows() == rows); },
                    [](caf::error& x) { BOOST_FAIL(to_string(x)); });
  }

  std::uint64_t next = 100;
};

BOOST_AUTO_TEST_CASE(a_call_waits_for_devices_that_its_ranks_talk_between) {
  on_devices run{{"GPU-a", "GPU-b"}};
  auto trainer = run.make(1, 2);
  run.check_waits(trainer, "GPU-b", 2);
  // They are given back.
  run.lease(1, "GPU-a");
  run.lease(2, "GPU-b");
  run.close(trainer);
}

// A replica answers with its first failure, while another rank may wait for the
// one that failed.
BOOST_AUTO_TEST_CASE(
  a_call_that_failed_has_its_devices_until_all_ranks_are_out) {
  on_devices run{{"GPU-a", "GPU-b"}};
  auto trainer = run.make(1, 2);
  std::promise<void> out;
  run.notes->on_call = [let_out = out.get_future().share()](worker_context&) {
    let_out.wait_for(soon);
  };
  auto got = run.call(trainer, "leaves_one_inside", test::numbered(2));
  BOOST_REQUIRE(!got);
  BOOST_TEST(got.error().message().ends_with("no first rows"));
  auto sync = run.self->request(run.desk, soon,
                                lease_devices{run.others + 1,
                                              "t2p",
                                              {"GPU-a"}});
  // What the model says of it to the replica comes before this does.
  BOOST_TEST(run.ask<operations>(trainer, get_operations{1000}).has_value());
  run.self->request(run.desk, soon, get_blockers{run.others + 1})
    .receive(
      [](const blockers& x) {
        BOOST_TEST(x.owners == std::vector<std::string>{"trainer"},
                   boost::test_tools::per_element());
      },
      [](caf::error& x) { BOOST_FAIL(to_string(x)); });
  out.set_value();
  sync.receive([](ack) {}, [](caf::error& x) { BOOST_FAIL(to_string(x)); });
  run.give_back(1);
  run.close(trainer);
}

BOOST_AUTO_TEST_CASE(ranks_that_are_joined_and_set_up_have_their_devices) {
  on_devices run{{"GPU-a", "GPU-b"}};
  run.lease(1, "GPU-b");
  auto trainer = run.spawn_model(1, 2);
  auto pending = run.self->request(trainer, soon, set_up{10'000});
  run.await_question("GPU-b", 1000);
  BOOST_TEST(run.calls_of("setup") == 0);
  run.give_back(1);
  pending.receive(
    [](manifests& x) {
      BOOST_REQUIRE(x.items.size() == 2u);
      BOOST_TEST(x.items[0].device.empty());
      BOOST_TEST(x.items[0].host_device != x.items[1].host_device);
      BOOST_TEST(x.items[0].host_device.starts_with("GPU-"));
    },
    [](caf::error& x) { BOOST_FAIL(to_string(x)); });
  run.lease(2, "GPU-a");
  run.lease(3, "GPU-b");
  run.close(trainer);
}

BOOST_AUTO_TEST_CASE(loading_waits_for_devices_and_saving_does_not) {
  on_devices run{{"GPU-a", "GPU-b"}};
  test::scratch folder;
  auto trainer = run.make(1, 2);
  run.lease(1, "GPU-a");
  run_checkpoint request{false, folder.path().string(), 10'000};
  BOOST_TEST(run.ask<ack>(trainer, request).has_value());
  request.load = true;
  auto pending = run.self->request(trainer, soon, request);
  run.await_question("GPU-a", 1000);
  run.give_back(1);
  pending.receive([](ack) {}, [](caf::error& x) { BOOST_FAIL(to_string(x)); });
  run.lease(2, "GPU-a");
  run.close(trainer);
}

// A call that has the devices waits for a sync that is no more; a sync waits
// for the call. Only the repair ends the one, so it must not wait for either.
BOOST_AUTO_TEST_CASE(a_repair_while_a_sync_waits_goes_on) {
  on_devices run{{"GPU-a", "GPU-b"}};
  auto trainer = run.make(1, 2);
  sync_order pin;
  pin.sync = pin.program = "dead";
  pin.action = sync_action::pin;
  pin.timeout_ms = 1000;
  for (auto rank : {0, 1})
    pin.items.push_back({{"trainer", replica_id{0}, rank_id{rank}}});
  BOOST_TEST(run.ask<sync_standings>(trainer, pin).has_value());
  invoke call;
  call.function = "echo";
  call.scope = 1;
  call.timeout_ms = 15'000;
  call.input.parts.push_back(run.store.put(test::numbered(2), 1).value());
  auto stuck = run.self->request(trainer, soon, call);
  // The model has sent its request for devices once it has answered this.
  BOOST_TEST(run.ask<operations>(trainer, get_operations{1000}).has_value());
  auto sync = run.self->request(run.desk, soon,
                                lease_devices{run.others + 1,
                                              "t2p",
                                              {"GPU-a", "GPU-b"}});
  repair_model repair;
  repair.scope = 2;
  repair.timeout_ms = 5000;
  auto repaired_now = run.ask<repaired>(trainer, repair);
  if (!repaired_now)
    BOOST_FAIL(to_string(repaired_now.error()));
  BOOST_TEST(repaired_now->members.items.size() == 2u);
  BOOST_TEST(repaired_now->members.items[0].host_device.starts_with("GPU-"));
  stuck.receive([](invoked&) { BOOST_FAIL("it was let through"); },
                [](caf::error& x) {
                  BOOST_TEST((from_caf(x).code() == errc::aborted));
                });
  sync.receive([](ack) {}, [](caf::error& x) { BOOST_FAIL(to_string(x)); });
  run.give_back(1);
  BOOST_TEST(run.sum_of(trainer) == 4);
  run.close(trainer);
}

BOOST_AUTO_TEST_CASE(replicas_that_come_and_go_take_their_devices_along) {
  on_devices run{{"GPU-a", "GPU-b", "GPU-c", "GPU-d"}};
  auto trainer = run.make(1, 2);
  change_replicas more;
  more.add.push_back({replica_id{1}, {{node_id{0}, 1}, {node_id{0}, 1}}});
  more.timeout_ms = 10'000;
  BOOST_TEST(run.ask<manifests>(trainer, more).has_value());
  run.check_waits(trainer, "GPU-a", 4);
  run.check_waits(trainer, "GPU-d", 4);
  change_replicas fewer;
  fewer.remove.push_back(replica_id{1});
  fewer.timeout_ms = 10'000;
  BOOST_TEST(run.ask<manifests>(trainer, fewer).has_value());
  run.check_waits(trainer, "GPU-b", 2);
  run.lease(1, "GPU-d");
  BOOST_TEST(run.sum_of(trainer) == 4);
  run.close(trainer);
}

BOOST_AUTO_TEST_CASE(a_call_over_one_device_waits_for_nobody) {
  fixture run{false, std::make_shared<test::stub_device>(0)};
  run.desk = run.system.spawn<model::device_desk>();
  auto trainer = run.make(1, 2);
  run.self->request(run.desk, soon, lease_devices{~0ull, "other", {"GPU-stub"}})
    .receive([](ack) {}, [](caf::error& x) { BOOST_FAIL(to_string(x)); });
  BOOST_TEST(run.sum_of(trainer) == 4);
  run.close(trainer);
  run.self->send_exit(run.desk, caf::exit_reason::kill);
}

BOOST_AUTO_TEST_SUITE_END()
