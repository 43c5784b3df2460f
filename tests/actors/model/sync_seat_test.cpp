// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/sync_seat.hpp"

#include <latch>
#include <memory>
#include <new>
#include <thread>

#include <boost/test/unit_test.hpp>

#include "support/one_channel.hpp"
#include "support/stub_device.hpp"
#include "troupe/actors/protocol/program_codec.hpp"
#include "troupe/comm/transfer/copy_engine.hpp"

using namespace troupe;
using model::sync_seat;
using protocol::transfer_mode;

namespace {

class full_device : public comm::transfer::copy_engine_maker {
public:
  [[nodiscard]] result<std::unique_ptr<comm::transfer::copy_engine>>
  make() const override {
    throw std::bad_alloc{};
  }
};

/// A device that answers nothing until it is let go.
class stuck_device : public comm::transfer::copy_engine_maker {
public:
  [[nodiscard]] result<std::unique_ptr<comm::transfer::copy_engine>>
  make() const override {
    entered.count_down();
    let_go.wait();
    return fail(errc::failed, "was let go");
  }

  mutable std::latch entered{1};
  mutable std::latch let_go{1};
};

/// Two ranks of one process with one tensor each, joined by an inproc link.
struct fixture {
  comm::inproc::hub hub;
  model::group_table source_groups{hub};
  model::group_table destination_groups{hub};
  std::vector<float> from = {1, 2, 3, 4};
  std::vector<float> to = {0, 0, 0, 0};
  std::shared_ptr<test::stub_device> gpu = std::make_shared<test::stub_device>(
    3);
  sync_seat source{"t2p"};
  sync_seat destination{"t2p"};
  protocol::worker_name a{"trainer", {}, {}};
  protocol::worker_name b{"policy", {}, {}};

  fixture() {
    install(source, test::sending(4), a);
    install(destination, test::receiving(4), b);
    BOOST_REQUIRE(source.bind(one("w", from)));
    BOOST_REQUIRE(destination.bind(one("w", to)));
    link(1);
  }

  static parameter_list one(const std::string& name, std::vector<float>& x) {
    parameter p;
    p.name = name;
    p.extents = {static_cast<std::int64_t>(x.size())};
    p.memory = std::as_writable_bytes(std::span{x});
    return {p};
  }

  static void install(sync_seat& seat, const rank_program& program,
                      const protocol::worker_name& to) {
    protocol::install_programs request;
    request.buffer_bytes_max = request.staging_bytes_max = 1 << 20;
    request.timeout_ms = 60'000;
    for (const auto& piece : protocol::encode(program, to))
      BOOST_REQUIRE(seat.install(request, piece));
  }

  /// Makes `seat` one that sends what lies on `gpu`.
  void send_from_device(sync_seat& seat) {
    install(seat, test::sending(4), a);
    auto parameters = one("w", from);
    parameters.front().device = gpu->where();
    BOOST_REQUIRE(seat.bind(parameters));
  }

  void link(std::uint32_t generation) {
    auto name = protocol::link_name("t2p", generation, rank_id{}, rank_id{});
    protocol::group_seat seat;
    seat.group = name;
    seat.backend = "inproc";
    seat.size = 2;
    seat.kind = protocol::seat_kind::sender;
    BOOST_REQUIRE(source_groups.open(seat));
    seat.kind = protocol::seat_kind::receiver;
    seat.rank = rank_id{1};
    BOOST_REQUIRE(destination_groups.open(seat));
  }

  using answer = result<std::vector<protocol::transfer_report>>;

  /// Both ends at once.
  std::pair<answer, answer> run(transfer_mode mode,
                                std::uint32_t generation = 1) {
    protocol::transfer request;
    request.program = "t2p";
    request.mode = mode;
    request.links = generation;
    request.timeout_ms = 10'000;
    answer sent;
    std::thread other{[&] { sent = source.run(request, source_groups, a); }};
    auto got = destination.run(request, destination_groups, b);
    other.join();
    return {std::move(sent), std::move(got)};
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_sync_seat, fixture)

BOOST_AUTO_TEST_CASE(in_place_writes_and_reports_both_ends) {
  auto [sent, got] = run(transfer_mode::in_place);
  BOOST_REQUIRE_MESSAGE(sent, to_string(sent ? error{} : sent.error()));
  BOOST_REQUIRE_MESSAGE(got, to_string(got ? error{} : got.error()));
  BOOST_TEST(to == from, boost::test_tools::per_element());
  BOOST_REQUIRE(sent->size() == 1u);
  BOOST_REQUIRE(got->size() == 1u);
  BOOST_TEST(sent->front().sends);
  BOOST_TEST(!got->front().sends);
  BOOST_TEST(sent->front().bytes == 16u);
  BOOST_TEST(got->front().bytes == 16u);
  BOOST_TEST(destination.check_whole().has_value());
  // The old version is gone.
  BOOST_TEST((destination.discard().error().code() == errc::refused));
  destination.committed();
  BOOST_TEST(destination.discard().has_value());
}

BOOST_AUTO_TEST_CASE(ws_1_staged_writes_nothing_before_the_swap) {
  auto [sent, got] = run(transfer_mode::staged);
  BOOST_REQUIRE_MESSAGE(got, to_string(got ? error{} : got.error()));
  BOOST_TEST(to == std::vector<float>(4), boost::test_tools::per_element());
  BOOST_TEST((destination.check_whole().error().code() == errc::refused));
  BOOST_REQUIRE(destination.swap());
  BOOST_TEST(to == from, boost::test_tools::per_element());
  BOOST_TEST(destination.check_whole().has_value());
}

BOOST_AUTO_TEST_CASE(what_was_staged_can_be_dropped) {
  BOOST_REQUIRE(run(transfer_mode::staged).second);
  BOOST_REQUIRE(destination.discard());
  BOOST_TEST(!destination.swap());
  BOOST_TEST(to == std::vector<float>(4), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(comparing_names_the_first_difference) {
  BOOST_REQUIRE(run(transfer_mode::in_place).second);
  BOOST_TEST(run(transfer_mode::compare).second->front().difference.empty());
  to[2] = 7;
  auto got = run(transfer_mode::compare).second;
  BOOST_REQUIRE(got);
  for (const auto* word : {"'w'", "element 2", "7", "3"})
    BOOST_TEST(got->front().difference.find(word) != std::string::npos);
  BOOST_TEST(to[2] == 7);
}

BOOST_AUTO_TEST_CASE(memory_may_move_between_runs_and_needs_new_links_then) {
  BOOST_REQUIRE(run(transfer_mode::in_place).second);
  BOOST_TEST(!destination.bind(one("w", to)).value());
  std::vector<float> elsewhere(4);
  BOOST_TEST(destination.bind(one("w", elsewhere)).value());
  link(2);
  auto got = run(transfer_mode::in_place, 2).second;
  BOOST_REQUIRE_MESSAGE(got, to_string(got ? error{} : got.error()));
  BOOST_TEST(elsewhere == from, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_link_that_was_never_opened_is_named) {
  protocol::transfer request;
  request.links = 9;
  request.timeout_ms = 1000;
  auto got = source.run(request, source_groups, a);
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::invalid));
  BOOST_TEST(got.error().message().find("t2p#9:0>0") != std::string::npos);
}

// WS-5: a rank that gives up takes its links with it.
BOOST_AUTO_TEST_CASE(ws_5_a_rank_that_fails_does_not_keep_its_peer_waiting) {
  protocol::transfer request;
  request.program = "t2p";
  request.links = 1;
  request.timeout_ms = 60'000;
  auto hasty = request;
  hasty.timeout_ms = 1;
  fixture::answer got;
  std::thread other{
    [&] { got = destination.run(request, destination_groups, b); }};
  // Either it is too late at once, or both are done.
  auto sent = source.run(hasty, source_groups, a);
  other.join();
  BOOST_TEST((!got || sent));
  // The next generation works.
  link(2);
  auto again = run(transfer_mode::in_place, 2);
  BOOST_REQUIRE_MESSAGE(again.second,
                        to_string(again.second ? error{}
                                               : again.second.error()));
  BOOST_TEST(to == from, boost::test_tools::per_element());
}

// A sync that chose to stage goes in place then.
BOOST_AUTO_TEST_CASE(memory_that_runs_out_on_the_way_is_told_as_such) {
  gpu->maker = std::make_shared<full_device>();
  sync_seat seat{"t2p", gpu};
  send_from_device(seat);
  protocol::transfer request;
  request.links = 1;
  request.timeout_ms = 10'000;
  auto sent = seat.run(request, source_groups, a);
  BOOST_REQUIRE(!sent);
  BOOST_TEST((sent.error().code() == errc::exhausted));
  BOOST_TEST(sent.error().message().starts_with("sync t2p: "));
  // Its peer does not wait for it.
  request.timeout_ms = 60'000;
  auto got = destination.run(request, destination_groups, b);
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() != errc::timed_out), got.error().message());
}

BOOST_AUTO_TEST_CASE(links_that_are_left_are_given_back) {
  BOOST_REQUIRE(run(transfer_mode::in_place).second);
  auto name = protocol::link_name("t2p", 1, rank_id{}, rank_id{});
  std::weak_ptr<comm::link> link = destination_groups.link(name);
  destination.leave("another link");
  destination_groups.close(name);
  BOOST_TEST(!link.expired());
  destination.leave(name);
  BOOST_TEST(link.expired());
}

BOOST_AUTO_TEST_CASE(closing_ends_a_run_that_waits) {
  protocol::transfer request;
  request.program = "t2p";
  request.links = 1;
  request.timeout_ms = 60'000;
  fixture::answer got;
  std::thread other{
    [&] { got = destination.run(request, destination_groups, b); }};
  auto until = deadline::after(std::chrono::seconds{30});
  while (destination.progress().empty() && !until.passed())
    std::this_thread::yield();
  BOOST_TEST(!destination.progress().empty());
  destination.close();
  other.join();
  BOOST_TEST(!got);
}

BOOST_AUTO_TEST_CASE(a_new_program_ends_a_run_that_was_left_over) {
  protocol::transfer request;
  request.program = "t2p";
  request.links = 1;
  request.timeout_ms = 60'000;
  fixture::answer got;
  std::thread other{
    [&] { got = destination.run(request, destination_groups, b); }};
  auto until = deadline::after(std::chrono::seconds{30});
  while (destination.progress().empty() && !until.passed())
    std::this_thread::yield();
  install(destination, test::receiving(4), b);
  other.join();
  BOOST_TEST(!got);
  BOOST_TEST(!until.passed());
}

BOOST_AUTO_TEST_CASE(a_run_that_cannot_be_ended_is_waited_for_in_vain) {
  auto stuck = std::make_shared<stuck_device>();
  gpu->maker = stuck;
  sync_seat seat{"t2p", gpu};
  send_from_device(seat);
  protocol::transfer request;
  request.links = 1;
  request.timeout_ms = 60'000;
  fixture::answer sent;
  std::thread other{[&] { sent = seat.run(request, source_groups, a); }};
  auto until = deadline::after(std::chrono::seconds{30});
  while (!stuck->entered.try_wait() && !until.passed())
    std::this_thread::yield();
  protocol::install_programs later;
  later.timeout_ms = 20;
  auto pieces = protocol::encode(test::sending(4), a);
  auto done = seat.install(later, pieces.front());
  stuck->let_go.count_down();
  other.join();
  BOOST_TEST(!until.passed());
  BOOST_TEST(!sent);
  BOOST_REQUIRE(!done);
  BOOST_TEST((done.error().code() == errc::timed_out));
  BOOST_TEST(done.error().message()
             == "an earlier run of sync t2p was given up and has not ended");
  // And then it is as if nothing had been.
  install(seat, test::sending(4), a);
}

BOOST_AUTO_TEST_CASE(pieces_out_of_order_are_refused) {
  protocol::install_programs request;
  protocol::program_chunk piece;
  piece.index = 1;
  piece.count = 3;
  BOOST_TEST((source.install(request, piece).error().code() == errc::invalid));
  piece.index = 0;
  BOOST_TEST(source.install(request, piece).has_value());
  piece.index = 2;
  BOOST_TEST(!source.install(request, piece));
}

BOOST_AUTO_TEST_CASE(a_program_that_is_none_is_refused) {
  protocol::install_programs request;
  protocol::program_chunk piece;
  piece.bytes = {1, 2, 3};
  BOOST_TEST((source.install(request, piece).error().code() == errc::corrupt));
}

BOOST_AUTO_TEST_SUITE_END()
