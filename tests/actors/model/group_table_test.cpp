// SPDX-License-Identifier: Apache-2.0
// Who waits for whom when a worker closes a group while its host's control actor
// looks in. Every wait has a deadline.
#include "troupe/actors/model/group_table.hpp"

#include <array>
#include <chrono>
#include <future>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "support/idle_group.hpp"
#include "support/stub_device.hpp"
#include "troupe/actors/process/message_socket.hpp"
#include "troupe/actors/process/peer_mesh.hpp"

using namespace troupe;

namespace {

constexpr std::chrono::seconds soon{20};

/// A door that one thread waits at and another opens.
class gate {
public:
  void open() { door_.set_value(); }

  bool wait() { return opens_.wait_for(soon) == std::future_status::ready; }

private:
  std::promise<void> door_;
  std::shared_future<void> opens_ = door_.get_future().share();
};

/// Says when somebody looks at it and when it ends, and takes its time.
struct slow_group : test::idle_group {
  gate& entered;
  gate& may_go;
  std::thread::id& ended_by;
  bool slow_end;

  slow_group(gate& in, gate& out, std::thread::id& who, bool at_the_end)
    : entered(in),
      may_go(out),
      ended_by(who),
      slow_end(at_the_end) {
    // nop
  }

  ~slow_group() override {
    ended_by = std::this_thread::get_id();
    if (slow_end)
      pause();
  }

  result<void> health() override {
    if (!slow_end)
      pause();
    return {};
  }

  void pause() {
    entered.open();
    if (!may_go.wait())
      BOOST_ERROR("nobody opened");
  }
};

struct fixture {
  gate entered;
  gate may_go;
  std::thread::id ended_by;
  comm::inproc::hub hub;
  std::shared_ptr<test::stub_device>
    device = std::make_shared<test::stub_device>(0);
  model::group_table groups{hub, nullptr, {}, {}, device};

  /// Only the table has it.
  void add(bool slow_end) {
    device->endpoint = std::make_shared<test::idle_endpoint>(
      std::make_shared<slow_group>(entered, may_go, ended_by, slow_end));
    protocol::group_seat seat;
    seat.group = "g";
    seat.backend = "gloo";
    seat.size = 1;
    BOOST_REQUIRE(groups.open(seat));
    BOOST_REQUIRE(groups.connect("g", {}, deadline::after(soon)));
    device->endpoint = nullptr;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_group_table, fixture)

BOOST_AUTO_TEST_CASE(who_looks_in_never_ends_a_group) {
  for (auto all : {false, true}) {
    fixture x;
    x.add(false);
    auto look = std::async(std::launch::async,
                           [&] { return x.groups.check().size(); });
    BOOST_REQUIRE(x.entered.wait());
    // It is looked at now: whoever closes it is also the one who ends it.
    std::thread::id closer;
    auto close = std::async(std::launch::async, [&] {
      closer = std::this_thread::get_id();
      if (all)
        x.groups.clear();
      else
        x.groups.close("g");
    });
    // The table is empty before it ends.
    auto until = deadline::after(soon);
    while (x.groups.communicator("g") && !until.passed())
      std::this_thread::yield();
    BOOST_TEST((x.ended_by == std::thread::id{}));
    x.may_go.open();
    BOOST_TEST(look.get() == 0u);
    close.get();
    BOOST_TEST((x.ended_by == closer));
  }
}

BOOST_AUTO_TEST_CASE(nobody_waits_for_a_group_that_ends) {
  for (auto all : {false, true}) {
    fixture x;
    x.add(true);
    auto close = std::async(std::launch::async, [&] {
      if (all)
        x.groups.clear();
      else
        x.groups.close("g");
    });
    BOOST_REQUIRE(x.entered.wait());
    BOOST_TEST(x.groups.check().empty());
    x.groups.abort();
    BOOST_TEST(!x.groups.link("g"));
    x.may_go.open();
    close.get();
  }
}

// A sender that fails at an earlier link never hands over its descriptor.
BOOST_AUTO_TEST_CASE(an_abort_ends_the_wait_for_a_neighbour) {
  process::peer_mesh near{0};
  process::peer_mesh far{1};
  incarnation life{1};
  auto ends = process::make_socket_pair();
  BOOST_REQUIRE(ends);
  near.add_peer(1, life, std::move(ends->first));
  far.add_peer(0, life, std::move(ends->second));
  protocol::group_seat seat;
  seat.group = "link";
  seat.backend = "shm";
  seat.size = 2;
  seat.kind = protocol::seat_kind::sender;
  model::group_table sender{hub, &far, {node_id{0}, 1, life}};
  auto there = sender.open(seat).value();
  model::group_table receiver{hub, &near, {node_id{0}, 0, life}};
  seat.kind = protocol::seat_kind::receiver;
  seat.rank = rank_id{1};
  for (auto early : {false, true}) {
    auto here = receiver.open(seat).value();
    if (early)
      receiver.abort();
    auto wait = std::async(std::launch::async, [&] {
      return receiver.connect("link", {there, here},
                              deadline::after(std::chrono::hours{1}));
    });
    if (!early)
      receiver.abort();
    BOOST_REQUIRE((wait.wait_for(soon) == std::future_status::ready));
    auto ended = wait.get();
    BOOST_REQUIRE(!ended);
    BOOST_TEST((ended.error().code() == errc::aborted));
    receiver.clear();
  }
}

// What came late for the first of them is closed, not what comes for the next.
BOOST_AUTO_TEST_CASE(a_link_to_a_neighbour_may_be_opened_again) {
  process::peer_mesh near{0};
  process::peer_mesh far{1};
  incarnation life{1};
  auto ends = process::make_socket_pair();
  BOOST_REQUIRE(ends);
  near.add_peer(1, life, std::move(ends->first));
  far.add_peer(0, life, std::move(ends->second));
  model::group_table sender{hub, &far, {node_id{0}, 1, life}};
  model::group_table receiver{hub, &near, {node_id{0}, 0, life}};
  protocol::group_seat seat;
  seat.group = "link";
  seat.backend = "shm";
  seat.size = 2;
  for (int round = 0; round < 2; ++round) {
    seat.kind = protocol::seat_kind::sender;
    seat.rank = rank_id{0};
    auto there = sender.open(seat).value();
    seat.kind = protocol::seat_kind::receiver;
    seat.rank = rank_id{1};
    auto here = receiver.open(seat).value();
    auto sending = std::async(std::launch::async, [&] {
      return sender.connect("link", {there, here}, deadline::after(soon))
        .has_value();
    });
    auto got = receiver.connect("link", {there, here}, deadline::after(soon));
    BOOST_TEST(sending.get());
    BOOST_TEST(got.has_value());
    sender.close("link");
    receiver.close("link");
  }
}

// The executor packs what the link cannot offer.
BOOST_AUTO_TEST_CASE(memory_that_cannot_be_shared_does_not_refuse_the_link) {
  process::peer_mesh near{0};
  process::peer_mesh far{1};
  auto ends = process::make_socket_pair();
  BOOST_REQUIRE(ends);
  near.add_peer(1, incarnation{1}, std::move(ends->first));
  far.add_peer(0, incarnation{1}, std::move(ends->second));
  const protocol::host_name here{node_id{0}, 0, incarnation{1}};
  const protocol::host_name there{node_id{0}, 1, incarnation{1}};
  std::array<std::byte, 16> memory{};
  auto refusal = [&](const error& sharing) {
    device->sharing = sharing;
    model::group_table source{hub, &near, here, {}, device};
    model::group_table destination{hub, &far, there, {}, device};
    source.offer({}, {std::span<std::byte>{memory}});
    protocol::group_seat seat;
    seat.group = "link";
    seat.backend = "cuda_ipc";
    seat.size = 2;
    seat.kind = protocol::seat_kind::receiver;
    seat.rank = rank_id{1};
    auto second = destination.open(seat);
    seat.kind = protocol::seat_kind::sender;
    seat.rank = rank_id{0};
    auto first = source.open(seat);
    BOOST_REQUIRE(first);
    BOOST_REQUIRE(second);
    auto made = source.connect("link", {*first, *second},
                               deadline::after(soon));
    BOOST_REQUIRE(!made);
    return made.error();
  };
  // As far as a stub goes.
  auto tried = refusal({errc::invalid, "it has no name"});
  BOOST_TEST((tried.code() == errc::unavailable));
  BOOST_TEST(tried.message().find("a stub has no links") != std::string::npos,
             tried.message());
  // What is wrong with the device itself ends it.
  auto failed = refusal({errc::failed, "the device is gone"});
  BOOST_TEST((failed.code() == errc::failed));
}

BOOST_AUTO_TEST_SUITE_END()
