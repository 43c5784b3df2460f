// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/node.hpp"

#include <boost/test/unit_test.hpp>
#include <fmt/core.h>

#include <fstream>
#include <optional>

#include "support/actor_fixture.hpp"
#include "support/scratch.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/process/host_types.hpp"

using namespace troupe;
using namespace troupe::protocol;
using namespace std::chrono_literals;

namespace {

using lines = std::vector<std::string>;

/// Starts nothing: the test plays the hosts.
class stub_launcher final : public node::host_launcher {
public:
  result<std::int32_t> launch(const host_name& host,
                              std::int32_t cuda_device) override {
    if (failure)
      return fail(*failure);
    launched.push_back(host);
    cuda_devices.push_back(cuda_device);
    return 4711;
  }

  result<void> kill(const host_name& host) override {
    if (cannot_kill)
      return fail(*cannot_kill);
    killed.push_back(host.slot);
    return {};
  }

  void close(deadline) override { ++closed; }

  std::vector<std::int32_t> killed;
  std::optional<error> cannot_kill;
  std::vector<host_name> launched;
  std::vector<std::int32_t> cuda_devices;
  std::optional<error> failure;
  int closed = 0;
};

/// Notes what it is told; a silent one answers nothing.
class stub_host : public host_actor::base {
public:
  stub_host(caf::actor_config& config, std::shared_ptr<lines> told, bool silent)
    : host_actor::base(config),
      told_(std::move(told)),
      silent_(silent) {
    // nop
  }

  const char* name() const override { return "stub_host"; }

protected:
  behavior_type make_behavior() override {
    return {
      [](const bundle&) { return bundle_answers{}; },
      [](const get_rest&) { return bundle_answers{}; },
      [](const start_worker&) { return started_worker{}; },
      [this](const abort_groups& x) {
        return note(fmt::format("abort {}", x.reason));
      },
      [this](const release_batches& x) {
        told_->push_back(fmt::format("release {}", x.last));
      },
      [](get_host_status) { return host_status{}; },
      [](check_groups) {},
      [this](shut_down) { return note("shut down"); },
    };
  }

private:
  caf::typed_response_promise<ack> note(std::string what) {
    told_->push_back(std::move(what));
    auto out = make_response_promise<ack>();
    if (!silent_)
      out.deliver(ack{});
    return out;
  }

  std::shared_ptr<lines> told_;
  bool silent_;
};

struct fixture : test::actor_fixture {
  error_signal_actor errors = spawn<monitor::error_signal>();
  std::shared_ptr<stub_launcher> launcher = std::make_shared<stub_launcher>();
  std::shared_ptr<lines> told = std::make_shared<lines>();
  node_actor machine = spawn<node::node>(node::node_settings{"job", node_id{2},
                                                             2},
                                         launcher, errors);

  test::answer<acquired_host> acquire(std::int32_t device,
                                      const std::string& isolated = {}) {
    acquire_host x;
    x.device = device;
    x.isolated_for = isolated;
    x.timeout_ms = 1000;
    return ask_and_run<acquired_host>(machine, x);
  }

  test::answer<acquired_host> acquire_cpu() {
    acquire_host x;
    x.kind = host_kind::cpu;
    return ask_and_run<acquired_host>(machine, x);
  }

  host_hello hello_of(const host_name& host, bool silent = false) {
    host_hello x;
    x.job = "job";
    x.build = node::build_id();
    x.host = host;
    x.pid = 4711;
    x.control = spawn<stub_host>(told, silent);
    return x;
  }

  test::answer<host_welcome> hello(const host_hello& x) {
    return ask_and_run<host_welcome>(machine, x);
  }

  /// A host of that device that has reported.
  host_name running(std::int32_t device, bool silent = false) {
    auto got = acquire(device);
    hello(hello_of(launcher->launched.back(), silent)).value();
    return got.value().host;
  }

  void exited(const host_name& host, const std::string& how = "exited") {
    tell(machine, host_exited{host, 4711, how});
  }

  std::vector<error_report> reported() {
    return ask_and_run<error_history>(errors, get_errors{}).value().items;
  }

  node_status status() {
    return ask_and_run<node_status>(machine, get_node_status{}).value();
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(node_node, fixture)

BOOST_AUTO_TEST_CASE(a_host_is_started_once_for_all_who_ask_meanwhile) {
  auto first = acquire(1);
  auto second = acquire(1);
  BOOST_TEST(!first.ready());
  BOOST_REQUIRE(launcher->launched.size() == 1u);
  auto host = launcher->launched[0];
  BOOST_TEST((host == host_name{node_id{2}, 1, incarnation{1}}));
  hello(hello_of(host)).value();
  BOOST_TEST((first.value().host == host));
  BOOST_TEST((second.value().host == host));
  BOOST_TEST((acquire(1).value().control == first.value().control));
  BOOST_TEST(launcher->launched.size() == 1u);
}

BOOST_AUTO_TEST_CASE(slots_are_devices_then_the_cpu_host_then_isolated_ones) {
  static_cast<void>(acquire(0));
  static_cast<void>(acquire(1));
  static_cast<void>(acquire_cpu());
  static_cast<void>(acquire(0, "policy/0"));
  static_cast<void>(acquire(0, "policy/0"));
  static_cast<void>(acquire(1, "policy/0"));
  std::vector<int> slots;
  for (const auto& x : launcher->launched)
    slots.push_back(x.slot);
  BOOST_TEST(slots == (std::vector<int>{0, 1, 2, 3, 4}),
             boost::test_tools::per_element());
  auto known = status();
  BOOST_TEST(known.node.value() == 2);
  BOOST_REQUIRE(known.hosts.size() == 5u);
  BOOST_TEST(known.hosts[1].device == "cpu:1");
  BOOST_TEST(known.hosts[2].device == "cpu host");
}

BOOST_AUTO_TEST_CASE(hosts_of_gpus_are_told_the_machines_numbers) {
  node::node_settings x{"job", node_id{2}, 2, "cuda", {3, 1}};
  machine = spawn<node::node>(x, launcher, errors);
  static_cast<void>(acquire(0));
  static_cast<void>(acquire(1));
  static_cast<void>(acquire_cpu());
  static_cast<void>(acquire(1, "policy/0"));
  BOOST_TEST(launcher->cuda_devices == (std::vector<std::int32_t>{3, 1, -1, 1}),
             boost::test_tools::per_element());
  lines names;
  for (const auto& y : status().hosts)
    names.push_back(y.device);
  BOOST_TEST(names == (lines{"cuda:3", "cuda:1", "cpu host", "cuda:1"}),
             boost::test_tools::per_element());
  BOOST_TEST((acquire(2).failure().code() == errc::exhausted));
}

BOOST_AUTO_TEST_CASE(hosts_of_cpu_devices_are_told_of_no_gpu) {
  static_cast<void>(acquire(1));
  BOOST_TEST(launcher->cuda_devices == (std::vector<std::int32_t>{-1}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_device_that_is_not_there_is_refused) {
  for (auto device : {-1, 2, 1000}) {
    auto got = acquire(device);
    BOOST_TEST((got.failure().code() == errc::exhausted));
  }
  BOOST_TEST(launcher->launched.empty());
}

BOOST_AUTO_TEST_CASE(a_host_of_another_job_build_or_protocol_is_refused) {
  auto waiting = acquire(0);
  auto right = hello_of(launcher->launched[0]);
  auto refused = [&](const host_hello& x) {
    auto got = hello(x);
    BOOST_TEST((got.failure().code() == errc::refused));
    BOOST_TEST(!waiting.ready());
  };
  auto x = right;
  x.job = "other";
  refused(x);
  x = right;
  x.build = "older";
  refused(x);
  x = right;
  x.wire = wire_version + 1;
  refused(x);
  hello(right).value();
  BOOST_TEST(waiting.ready());
}

BOOST_AUTO_TEST_CASE(a_host_that_nobody_waits_for_is_refused) {
  auto waiting = acquire(0);
  auto host = launcher->launched[0];
  auto refused = [&](host_name who) {
    BOOST_TEST((hello(hello_of(who)).failure().code() == errc::refused));
  };
  auto other = host;
  other.life = host.life.next();
  refused(other);
  other = host;
  other.slot = 1;
  refused(other);
  other = host;
  other.node = node_id{9};
  refused(other);
  BOOST_TEST(!waiting.ready());
  hello(hello_of(host)).value();
  // A second one of the same life.
  refused(host);
}

BOOST_AUTO_TEST_CASE(a_host_that_cannot_be_started_fails_those_who_asked) {
  launcher->failure = {errc::exhausted, "no processes left"};
  auto got = acquire(0);
  BOOST_TEST((got.failure().code() == errc::exhausted));
  BOOST_TEST(got.failure().message() == "starting cpu:0: no processes left");
  launcher->failure.reset();
  BOOST_TEST(running(0).life.value() == 2u);
}

BOOST_AUTO_TEST_CASE(a_host_that_dies_while_it_starts_fails_those_who_wait) {
  auto first = acquire(0);
  auto second = acquire(0);
  auto host = launcher->launched[0];
  exited(host, "was killed by signal 9");
  for (const auto& x : {first, second}) {
    BOOST_TEST((x.failure().code() == errc::lost));
    BOOST_TEST(x.failure().message().find("killed by signal 9")
               != std::string::npos);
  }
  // The next life of the slot; what is left of the first is not let in.
  auto third = acquire(0);
  BOOST_TEST(launcher->launched.back().life.value() == 2u);
  BOOST_TEST((hello(hello_of(host)).failure().code() == errc::refused));
  exited(host);
  BOOST_TEST(!third.ready());
  hello(hello_of(launcher->launched.back())).value();
  BOOST_TEST(third.value().host.life.value() == 2u);
}

BOOST_AUTO_TEST_CASE(a_dead_host_is_reported_with_the_worker_it_held) {
  auto host = running(1);
  worker_name worker{"policy", replica_id{3}, rank_id{1}};
  tell(machine, worker_placed{host, worker});
  exited(host, "was killed by signal 9");
  auto known = reported();
  BOOST_REQUIRE(known.size() == 1u);
  BOOST_TEST(known[0].operation == "process");
  BOOST_TEST((known[0].code == errc::lost));
  BOOST_TEST(known[0].model == "policy");
  BOOST_TEST(known[0].replica.value() == 3);
  BOOST_TEST(known[0].rank.value() == 1);
  BOOST_TEST(known[0].node.value() == 2);
  BOOST_TEST(known[0].slot == 1);
  BOOST_TEST(known[0].device == "cpu:1");
  BOOST_TEST(known[0].message.find("policy/3/1") != std::string::npos);
  BOOST_TEST(known[0].message.find("4711") != std::string::npos);
  BOOST_TEST(!status().hosts[0].alive);
}

BOOST_AUTO_TEST_CASE(
  a_host_that_dies_while_it_starts_names_who_was_to_live_there) {
  acquire_host request;
  request.device = 0;
  request.worker = {"policy", replica_id{3}, rank_id{1}};
  auto waiting = ask_and_run<acquired_host>(machine, request);
  exited(launcher->launched[0]);
  BOOST_TEST((waiting.failure().code() == errc::lost));
  auto known = reported();
  BOOST_REQUIRE(known.size() == 1u);
  BOOST_TEST(known[0].model == "policy");
  BOOST_TEST(known[0].replica.value() == 3);
}

BOOST_AUTO_TEST_CASE(a_dead_host_of_several_workers_names_them_all) {
  auto host = running(0);
  for (auto rank : {0, 1})
    tell(machine,
         worker_placed{host, {"policy", replica_id{0}, rank_id{rank}}});
  exited(host);
  auto known = reported();
  BOOST_REQUIRE(known.size() == 1u);
  BOOST_TEST(known[0].model.empty());
  BOOST_TEST(known[0].message.find("it held policy/0/0, policy/0/1")
             != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_worker_of_a_life_that_is_over_is_not_noted) {
  auto host = running(0);
  auto old = host;
  old.life = incarnation{0};
  tell(machine, worker_placed{old, {"policy", replica_id{0}, rank_id{0}}});
  BOOST_TEST(status().hosts[0].workers.empty());
}

BOOST_AUTO_TEST_CASE(
  whoever_needs_the_guard_hears_of_its_end_after_the_report) {
  auto told = 0;
  node::node_settings settings{"job", node_id{2}, 2};
  settings.on_guard_gone = [&told] { ++told; };
  machine = spawn<node::node>(settings, launcher, errors);
  exited(running(0), "exited with code 1");
  BOOST_TEST(told == 0);
  exited({node_id{2}, process::node_slot, {}}, "lost its guard");
  BOOST_TEST(told == 1);
  BOOST_TEST(reported().size() == 2u);
}

BOOST_AUTO_TEST_CASE(the_end_of_the_guard_is_the_end_of_every_host) {
  static_cast<void>(running(0));
  exited({node_id{2}, process::node_slot, {}}, "lost its guard");
  auto known = reported();
  BOOST_REQUIRE(known.size() == 1u);
  BOOST_TEST(known[0].operation == "process");
  BOOST_TEST(known[0].message == "every host lost its guard");
}

BOOST_AUTO_TEST_CASE(an_abort_reaches_every_host_that_lives) {
  static_cast<void>(running(0));
  exited(running(1));
  auto got = ask_and_run<ack>(machine, abort_groups{"tea"});
  got.value();
  BOOST_TEST(*told == (lines{"abort tea"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_abort_does_not_wait_for_ever) {
  static_cast<void>(running(0, true));
  auto got = ask_and_run<ack>(machine, abort_groups{"tea"});
  BOOST_TEST(!got.ready());
  advance_time(1s);
  got.value();
}

BOOST_AUTO_TEST_CASE(a_release_reaches_every_host) {
  static_cast<void>(running(0));
  static_cast<void>(running(1));
  tell(machine, release_batches{8});
  BOOST_TEST(*told == (lines{"release 8", "release 8"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(hosts_can_be_ended_and_others_started_in_their_places) {
  auto first = running(0);
  auto second = running(1);
  auto starting = acquire_cpu();
  auto ended = ask_and_run<ack>(machine, end_hosts{});
  BOOST_TEST(launcher->killed == (std::vector<std::int32_t>{0, 1, 2}),
             boost::test_tools::per_element());
  BOOST_TEST((starting.failure().code() == errc::unavailable));
  // Nobody gets a host that is about to end.
  BOOST_TEST((acquire(0).failure().code() == errc::unavailable));
  exited(first);
  exited(second);
  BOOST_TEST(!ended.ready());
  exited(launcher->launched.back());
  ended.value();
  // Who ends because we asked is no error.
  BOOST_TEST(reported().empty());
  static_cast<void>(running(0));
  BOOST_TEST((launcher->launched.back().life > first.life));
}

BOOST_AUTO_TEST_CASE(a_node_without_hosts_has_ended_them) {
  ask_and_run<ack>(machine, end_hosts{}).value();
  static_cast<void>(running(0));
}

BOOST_AUTO_TEST_CASE(without_a_guard_hosts_are_not_waited_for) {
  static_cast<void>(running(0));
  exited({node_id{2}, process::node_slot, {}}, "lost its guard");
  auto ended = ask_and_run<ack>(machine, end_hosts{});
  BOOST_TEST((ended.failure().code() == errc::lost));
}

BOOST_AUTO_TEST_CASE(hosts_that_are_no_processes_cannot_be_ended) {
  static_cast<void>(running(0));
  launcher->cannot_kill = error{errc::unavailable, "no process"};
  auto ended = ask_and_run<ack>(machine, end_hosts{});
  BOOST_TEST((ended.failure().code() == errc::unavailable));
  // It goes on as before.
  BOOST_TEST(acquire(0).get().has_value());
}

BOOST_AUTO_TEST_CASE(closing_shuts_every_host_down_and_ends_the_node) {
  static_cast<void>(running(0));
  static_cast<void>(running(1));
  auto closed = ask_and_run<ack>(machine, close_node{1000});
  closed.value();
  BOOST_TEST(*told == (lines{"shut down", "shut down"}),
             boost::test_tools::per_element());
  BOOST_TEST(launcher->closed == 1);
  BOOST_TEST(!acquire(0).get());
}

BOOST_AUTO_TEST_CASE(closing_takes_force_after_half_of_the_time) {
  auto host = running(0, true);
  auto closed = ask_and_run<ack>(machine, close_node{1000});
  BOOST_TEST((acquire(1).failure().code() == errc::unavailable));
  exited(host);
  advance_time(499ms);
  BOOST_TEST(!closed.ready());
  advance_time(1ms);
  closed.value();
  BOOST_TEST(launcher->closed == 1);
  // Who ends because we asked is no error.
  BOOST_TEST(reported().empty());
}

BOOST_AUTO_TEST_CASE(closing_fails_those_who_wait_for_a_host) {
  auto waiting = acquire(0);
  ask_and_run<ack>(machine, close_node{1000}).value();
  BOOST_TEST(waiting.count() == 1u);
  BOOST_TEST(!waiting.get());
}

// The kernel does not say whom it killed for want of memory, only that it did.
BOOST_AUTO_TEST_CASE(a_host_killed_while_memory_ran_out_says_so) {
  test::scratch scratch;
  process::oom_counter::places where{scratch.path() / "none",
                                     scratch.path() / "none",
                                     scratch.path() / "vmstat"};
  auto kills = [&](int count) {
    std::ofstream{where.machine} << "oom_kill " << count << '\n';
  };
  kills(1);
  node::node_settings settings{"job", node_id{2}, 2};
  settings.out_of_memory = process::oom_counter{where};
  machine = spawn<node::node>(settings, launcher, errors);
  auto first = running(0);
  auto second = running(1);
  exited(first, "killed by signal 9 (SIGKILL)");
  kills(2);
  exited(second, "killed by signal 9 (SIGKILL)");
  auto got = reported();
  BOOST_REQUIRE(got.size() == 2u);
  BOOST_TEST((got[0].code == errc::lost));
  BOOST_TEST(got[0].message.find("out-of-memory") == std::string::npos);
  BOOST_TEST((got[1].code == errc::exhausted));
  BOOST_TEST_INFO(got[1].message);
  BOOST_TEST(got[1].message.find("out-of-memory killer struck")
             != std::string::npos);
}

// Who exits with code 1 was not killed, whatever else was.
BOOST_AUTO_TEST_CASE(a_host_that_ends_by_itself_was_not_short_of_memory) {
  test::scratch scratch;
  process::oom_counter::places where{scratch.path() / "none",
                                     scratch.path() / "none",
                                     scratch.path() / "vmstat"};
  std::ofstream{where.machine} << "oom_kill 1\n";
  node::node_settings settings{"job", node_id{2}, 2};
  settings.out_of_memory = process::oom_counter{where};
  std::ofstream{where.machine} << "oom_kill 2\n";
  machine = spawn<node::node>(settings, launcher, errors);
  exited(running(0), "exited with code 1");
  auto got = reported();
  BOOST_REQUIRE(got.size() == 1u);
  BOOST_TEST((got[0].code == errc::lost));
}

BOOST_AUTO_TEST_SUITE_END()
