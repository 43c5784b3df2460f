// SPDX-License-Identifier: Apache-2.0
// Two models on the same two devices, whose ranks are asked in opposite orders:
// what leases of devices are for. Devices and NCCL are stood in for; a device
// does one kernel at a time, in the order of the launches.
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <latch>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>

#include "comm/nccl/stand_in_ranks.hpp"
#include "troupe/actors/call/caller.hpp"
#include "troupe/actors/call/device_lease.hpp"
#include "troupe/actors/model/device_desk.hpp"
#include "troupe/actors/node/system_config.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::test;

namespace {

/// Errors of an operation's two ranks as numbers; 0: none.
using outcome = std::pair<std::int32_t, std::int32_t>;

constexpr auto timed_out = static_cast<std::int32_t>(errc::timed_out);

/// Beyond the patience of all who work.
constexpr std::chrono::minutes question_timeout{3};

struct user_parts {
  std::string name;
  protocol::device_desk_actor desk;
  nccl_group ranks;
  /// The rank that is asked first.
  std::size_t first = 0;
  std::chrono::milliseconds patience{60000};
  /// Called between the two.
  std::function<void()> between = [] {};
};

/// A model, as its driver sees it: asks for the devices of its ranks, then asks
/// the ranks, and keeps the devices until all have answered.
class device_user : public caf::event_based_actor {
public:
  device_user(caf::actor_config& config, user_parts parts)
    : caf::event_based_actor(config),
      calls_(this),
      parts_(std::move(parts)) {
    // nop
  }

  const char* name() const override { return "device_user"; }

  /// Not when the last handle is gone: the test looks for what is left.
  void on_exit() override { parts_.ranks.clear(); }

  caf::behavior make_behavior() override {
    return {[this](caf::get_atom) {
      auto out = make_response_promise<std::int32_t, std::int32_t>();
      // Whoever comes first names them in its own order.
      std::vector<std::string> devices{"GPU-0", "GPU-1"};
      if (parts_.first == 1)
        std::swap(devices[0], devices[1]);
      call::lease_devices(calls_, parts_.desk, parts_.name, devices,
                          call::lease_turn::last, parts_.patience,
                          [this, out](
                            const result<call::device_lease>& lease) mutable {
                            auto done = lease ? use() : outcome{-1, -1};
                            out.deliver(done.first, done.second);
                          });
      return out;
    }};
  }

private:
  outcome use() {
    auto until = deadline::after(parts_.patience);
    auto ask = [&](std::size_t rank) {
      return static_cast<std::int32_t>(
        code_of(parts_.ranks[rank]->barrier(until)));
    };
    outcome out;
    std::thread first{[&] { out.first = ask(parts_.first); }};
    parts_.between();
    out.second = ask(1 - parts_.first);
    first.join();
    return out;
  }

  call::caller<device_user> calls_;
  user_parts parts_;
};

struct fixture {
  stand_in_machine machine{2, {.one_kernel_at_a_time = true}};
  node::system_config config{false};
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  std::vector<caf::actor> users;

  /// It blocks while its ranks work, so it has a thread of its own.
  void add(user_parts parts) {
    users.push_back(system.spawn<device_user, caf::detached>(std::move(parts)));
  }

  /// Asks both at the same time, `first` a little earlier.
  std::vector<outcome> ask_both(std::size_t first) {
    std::vector<outcome> out;
    auto a = self->request(users[first], question_timeout, caf::get_atom_v);
    auto b = self->request(users[1 - first], question_timeout, caf::get_atom_v);
    auto got = [&](std::int32_t x, std::int32_t y) { out.emplace_back(x, y); };
    auto lost = [&](const caf::error&) { out.emplace_back(-2, -2); };
    a.receive(got, lost);
    b.receive(got, lost);
    return out;
  }

  void end() {
    for (auto& x : users) {
      caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
      self->wait_for(x);
    }
    users.clear();
    machine.check_clean();
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_launch_order, fixture)

BOOST_AUTO_TEST_CASE(opposite_orders_with_leases_finish) {
  auto desk = system.spawn<model::device_desk>();
  add({"policy", desk, make_group(machine, 2), 0});
  add({"reward", desk, make_group(machine, 2), 1});
  for (std::size_t round = 0; round < 200; ++round)
    for (const auto& x : ask_both(round % 2))
      BOOST_REQUIRE(x == outcome{});
  end();
}

// Shows what the leases are for, and that the devices here are such.
BOOST_AUTO_TEST_CASE(opposite_orders_without_leases_wait_for_the_deadline) {
  std::latch both{2};
  for (auto rank : {0, 1}) {
    user_parts parts{rank == 0 ? "policy" : "reward",
                     {},
                     make_group(machine, 2),
                     static_cast<std::size_t>(rank),
                     500ms};
    parts.between = [&, rank] {
      (void) machine.library->await_launches(rank, 1, ample());
      both.arrive_and_wait();
    };
    add(std::move(parts));
  }
  // The deadline of one may let the other through.
  auto late = 0;
  for (const auto& x : ask_both(0))
    if (x.first == timed_out || x.second == timed_out)
      ++late;
  BOOST_CHECK_GE(late, 1);
  end();
}

BOOST_AUTO_TEST_SUITE_END()
