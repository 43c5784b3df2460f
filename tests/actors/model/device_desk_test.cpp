// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/device_desk.hpp"

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"
#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/device_lease.hpp"

using namespace troupe;
using namespace troupe::protocol;
using namespace std::chrono_literals;

namespace {

/// What a model or a sync does: asks, keeps, gives back.
class customer : public caf::event_based_actor {
public:
  customer(caf::actor_config& config, device_desk_actor desk, std::string name)
    : caf::event_based_actor(config),
      calls_(this),
      desk_(std::move(desk)),
      name_(std::move(name)) {
    // nop
  }

  const char* name() const override { return "customer"; }

  /// Told what to ask for, and how many milliseconds to wait.
  caf::behavior make_behavior() override {
    return {[this](const lease_devices& x) {
      ask(x.devices, std::chrono::milliseconds{x.number});
    }};
  }

  void ask(const std::vector<std::string>& devices,
           std::chrono::milliseconds timeout) {
    call::lease_devices(calls_, desk_, name_, devices, turn, timeout,
                        [this](result<call::device_lease> x) {
                          if (x)
                            leases.push_back(*x);
                          else
                            failures.push_back(x.error());
                        });
  }

  call::lease_turn turn = call::lease_turn::last;
  std::vector<call::device_lease> leases;
  std::vector<error> failures;

private:
  call::caller<customer> calls_;
  device_desk_actor desk_;
  std::string name_;
};

struct fixture : test::actor_fixture {
  device_desk_actor desk = spawn<model::device_desk>();
  caf::actor first = spawn<customer>(desk, "policy");
  caf::actor second = spawn<customer>(desk, "reward");

  customer& of(const caf::actor& x) { return object_of<customer>(x); }

  void ask(const caf::actor& who, std::vector<std::string> devices,
           std::chrono::milliseconds timeout = 10s) {
    tell(who, lease_devices{static_cast<std::uint64_t>(timeout.count()), "",
                            std::move(devices)});
  }

  ~fixture() override {
    of(first).leases.clear();
    of(second).leases.clear();
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_device_desk, fixture)

BOOST_AUTO_TEST_CASE(the_second_waits_for_the_first) {
  ask(first, {"a", "b"});
  ask(second, {"b", "a"});
  BOOST_TEST(of(first).leases.size() == 1u);
  BOOST_TEST(of(second).leases.empty());
  of(first).leases.clear();
  run_jobs();
  BOOST_TEST(of(second).leases.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_repair_goes_before_those_who_wait) {
  auto third = spawn<customer>(desk, "value");
  ask(first, {"a"});
  ask(second, {"a"});
  of(third).turn = call::lease_turn::first;
  ask(third, {"a"});
  BOOST_TEST(of(third).leases.empty());
  of(first).leases.clear();
  run_jobs();
  BOOST_TEST(of(third).leases.size() == 1u);
  BOOST_TEST(of(second).leases.empty());
  of(third).leases.clear();
  run_jobs();
  BOOST_TEST(of(second).leases.size() == 1u);
}

BOOST_AUTO_TEST_CASE(nothing_is_asked_for_nothing) {
  ask(first, {});
  BOOST_TEST(of(first).leases.size() == 1u);
  BOOST_TEST((of(first).leases.front() == nullptr));
}

BOOST_AUTO_TEST_CASE(who_waits_too_long_says_so_and_loses_its_place) {
  ask(first, {"a"});
  ask(second, {"a"}, 100ms);
  advance_time(200ms);
  BOOST_REQUIRE(of(second).failures.size() == 1u);
  const auto& why = of(second).failures.front();
  BOOST_TEST((why.code() == errc::timed_out));
  BOOST_TEST(why.message()
             == "reward waited 100 ms for devices that policy had first");
  // It does not come back for what it did not wait for.
  of(first).leases.clear();
  run_jobs();
  ask(first, {"a"});
  BOOST_TEST(of(first).leases.size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_a_dead_actor_had_is_free) {
  auto third = spawn<customer>(desk, "value");
  ask(third, {"a"});
  auto kept = of(third).leases;
  ask(second, {"a"});
  BOOST_TEST(of(second).leases.empty());
  caf::anon_send_exit(third, caf::exit_reason::kill);
  run_jobs();
  BOOST_TEST(of(second).leases.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_number_in_use_is_refused) {
  ask_and_run<ack>(desk, lease_devices{~0ull, "x", {"a"}}).value();
  auto again = ask_and_run<ack>(desk, lease_devices{~0ull, "x", {"a"}});
  BOOST_TEST((again.failure().code() == errc::invalid));
}

BOOST_AUTO_TEST_CASE(a_desk_that_is_gone_is_lost) {
  caf::anon_send_exit(desk, caf::exit_reason::kill);
  run_jobs();
  ask(first, {"a"});
  BOOST_REQUIRE(of(first).failures.size() == 1u);
  BOOST_TEST((of(first).failures.front().code() == errc::lost));
}

BOOST_AUTO_TEST_SUITE_END()
