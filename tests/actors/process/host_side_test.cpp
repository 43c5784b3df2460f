// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/host_side.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <future>

#include <fmt/format.h>
#include <signal.h>

#include "actors/process/harness.hpp"
#include "troupe/actors/process/guard_protocol.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;

namespace {

/// A host's side of a guard that the test plays itself.
struct played_guard {
  unique_fd socket;
  std::promise<void> lost;
  std::unique_ptr<troupe::process::host_side> side;

  played_guard() {
    auto ends = make_socket_pair();
    BOOST_REQUIRE(ends);
    socket = std::move(ends->first);
    ::setenv("TROUPE_GUARD_FD",
             fmt::format("{}", ends->second.release()).c_str(), 1);
    ::setenv("TROUPE_JOB_ID", "played", 1);
    ::setenv("TROUPE_SLOT", "4", 1);
    ::setenv("TROUPE_INCARNATION", "9", 1);
    auto made = troupe::process::host_side::from_environment(
      [this] { lost.set_value(); });
    BOOST_REQUIRE(made);
    side = std::move(*made);
  }

  [[nodiscard]] bool is_lost() {
    return lost.get_future().wait_for(std::chrono::seconds{20})
           == std::future_status::ready;
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(host_side)

BOOST_AUTO_TEST_CASE(a_process_no_guard_started_is_told_so) {
  BOOST_TEST(!troupe::process::host_side::present());
  auto none = troupe::process::host_side::from_environment();
  BOOST_REQUIRE(!none);
  BOOST_TEST((none.error().code() == errc::invalid));
  ::setenv("TROUPE_GUARD_FD", "1", 1);
  ::setenv("TROUPE_JOB_ID", "job", 1);
  ::setenv("TROUPE_SLOT", "0", 1);
  ::setenv("TROUPE_INCARNATION", "0", 1);
  BOOST_TEST(!troupe::process::host_side::from_environment().has_value());
  ::setenv("TROUPE_GUARD_FD", "99999", 1);
  BOOST_TEST(!troupe::process::host_side::from_environment().has_value());
  for (auto* x : {"TROUPE_GUARD_FD", "TROUPE_JOB_ID", "TROUPE_SLOT",
                  "TROUPE_INCARNATION"})
    ::unsetenv(x);
}

BOOST_AUTO_TEST_CASE(a_host_knows_who_it_is_and_its_children_do_not) {
  played_guard guard;
  BOOST_TEST(guard.side->identity().job_id == "played");
  BOOST_TEST(guard.side->identity().slot == 4);
  BOOST_TEST(guard.side->identity().incarnation.value() == 9u);
  BOOST_TEST(!troupe::process::host_side::present());
}

BOOST_AUTO_TEST_CASE(a_host_learns_of_peers_and_of_their_end) {
  played_guard guard;
  auto link = make_socket_pair();
  BOOST_REQUIRE(link);
  send_message(guard.socket.get(),
               guard_protocol::encode(guard_protocol::peer{1, incarnation{3}}),
               link->first.get());
  auto& mesh = guard.side->mesh();
  BOOST_TEST(mesh.await_peer(1, incarnation{3}, soon()).has_value());
  send_message(guard.socket.get(),
               guard_protocol::encode(
                 guard_protocol::peer_gone{1, incarnation{3}}));
  auto fetched = mesh.fetch(1, incarnation{3}, buffer_id{1}, soon());
  BOOST_REQUIRE(!fetched);
  BOOST_TEST((fetched.error().code() == errc::lost));
}

BOOST_AUTO_TEST_CASE(the_end_of_the_guard_is_noticed) {
  played_guard guard;
  guard.socket.reset();
  BOOST_TEST(guard.is_lost());
}

BOOST_AUTO_TEST_CASE(a_guard_that_sends_garbage_is_no_guard) {
  auto random = seeded_generator();
  auto seed = guard_protocol::encode(
    guard_protocol::peer_gone{1, incarnation{1}});
  for (int i = 0; i < 50; ++i) {
    played_guard guard;
    auto message = mutate(seed, random);
    auto decoded = guard_protocol::decode(message);
    if (decoded && std::holds_alternative<guard_protocol::peer_gone>(*decoded))
      continue;
    send_message(guard.socket.get(), message);
    BOOST_TEST(guard.is_lost());
  }
}

BOOST_AUTO_TEST_CASE(a_peer_message_without_its_socket_is_refused) {
  played_guard guard;
  send_message(guard.socket.get(),
               guard_protocol::encode(guard_protocol::peer{1, incarnation{}}));
  BOOST_TEST(guard.is_lost());
}

BOOST_AUTO_TEST_CASE(every_host_gets_a_socket_to_every_other_and_to_the_node) {
  node_harness node;
  for (std::int32_t slot = 0; slot < 4; ++slot)
    BOOST_REQUIRE(node.start(slot));
  for (std::int32_t owner = 0; owner < 4; ++owner) {
    auto answer = node.call(owner, put_order(10'000, 1));
    batch_part part;
    decoder in{answer.message};
    BOOST_REQUIRE(get(in, part));
    BOOST_TEST(part.slot == owner);
    for (std::int32_t reader = 0; reader < 4; ++reader) {
      auto said = node.call(reader, get_order(part)).message;
      BOOST_REQUIRE(said.size() == 2u);
      BOOST_TEST(static_cast<int>(said[0]) == 0);
      BOOST_TEST(static_cast<int>(said[1]) == 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(sockets_of_the_dead_do_not_pile_up_in_the_living) {
  node_harness node;
  BOOST_REQUIRE(node.start(0));
  BOOST_REQUIRE(node.start(1, 1));
  auto count = [&node] {
    auto answer = node.call(0, simple_order(order::count_descriptors));
    decoder in{answer.message};
    std::uint64_t n = 0;
    BOOST_REQUIRE(in.get(n));
    return n;
  };
  // Asking for a buffer makes sure the new peer has been introduced.
  auto meet = [&node](std::uint32_t life) {
    batch_part part;
    part.slot = 1;
    part.incarnation = incarnation{life};
    part.buffer = buffer_id{77};
    auto said = node.call(0, get_order(part)).message;
    BOOST_REQUIRE(said.size() == 2u);
    BOOST_TEST(static_cast<int>(said[0])
               == static_cast<int>(errc::unavailable));
  };
  meet(1);
  auto before = count();
  for (std::uint32_t life = 2; life <= 6; ++life) {
    BOOST_REQUIRE(node.guard->kill(1, SIGKILL));
    BOOST_REQUIRE(node.next_exit(soon()));
    BOOST_REQUIRE(node.start(1, life));
    meet(life);
  }
  BOOST_TEST(count() == before);
}

BOOST_AUTO_TEST_SUITE_END()
