// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/peer_mesh.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <future>

#include <fmt/format.h>

#include "actors/process/support.hpp"
#include "troupe/actors/process/peer_protocol.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;

namespace {

constexpr incarnation first_life{1};

/// A mesh in slot 0 and a peer in slot 1 whose messages the test writes.
struct played_peer {
  troupe::process::peer_mesh mesh{0};
  unique_fd socket;

  played_peer() { socket = introduce(first_life); }

  unique_fd introduce(incarnation life) {
    auto ends = make_socket_pair();
    BOOST_REQUIRE(ends);
    mesh.add_peer(1, life, std::move(ends->first));
    return std::move(ends->second);
  }

  /// Hands a descriptor to the mesh; false if it does not take it in time.
  bool give(const char* tag, const unique_fd& file) {
    auto message = peer_protocol::encode(peer_protocol::give{tag});
    auto until = soon();
    auto status = io_status::would_block;
    while (status == io_status::would_block && !until.passed())
      status = send_message(socket.get(), message, file.get());
    return status == io_status::done;
  }

  /// Starts a fetch and returns once its question has arrived.
  std::future<result<fetched_file>> begin_fetch(std::uint64_t& request) {
    auto call = std::async(std::launch::async, [this] {
      return mesh.fetch(1, first_life, buffer_id{5}, soon());
    });
    auto in = receive(socket, soon());
    auto asked = peer_protocol::decode(in.message, in.files.size());
    BOOST_REQUIRE(asked);
    BOOST_REQUIRE(std::holds_alternative<peer_protocol::ask>(*asked));
    request = std::get<peer_protocol::ask>(*asked).request;
    return call;
  }
};

template <class T>
errc code_of(const result<T>& x) {
  return x ? errc{} : x.error().code();
}

unique_fd event() {
  auto x = make_wake_fd();
  BOOST_REQUIRE(x);
  return std::move(*x);
}

/// Two meshes joined.
struct two_meshes {
  troupe::process::peer_mesh near{0};
  troupe::process::peer_mesh far{1};

  two_meshes() {
    auto ends = make_socket_pair();
    BOOST_REQUIRE(ends);
    near.add_peer(1, first_life, std::move(ends->first));
    far.add_peer(0, first_life, std::move(ends->second));
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(peer_mesh)

BOOST_AUTO_TEST_CASE(a_buffer_is_fetched_and_a_refusal_arrives_as_said) {
  two_meshes x;
  auto file = std::make_shared<const unique_fd>(event());
  x.far.serve([&](buffer_id id) -> result<exported_file> {
    if (id.value() == 1)
      return exported_file{file, 42};
    return fail(errc::unavailable, fmt::format("no buffer {}", id.value()));
  });
  auto got = x.near.fetch(1, first_life, buffer_id{1}, soon());
  BOOST_REQUIRE(got);
  BOOST_TEST(got->size == 42u);
  wake(file->get());
  BOOST_TEST(readable(got->file.get(), soon()));
  auto none = x.near.fetch(1, first_life, buffer_id{2}, soon());
  BOOST_REQUIRE(!none);
  BOOST_TEST((none.error() == error{errc::unavailable, "no buffer 2"}));
  x.far.serve({});
  BOOST_TEST((code_of(x.near.fetch(1, first_life, buffer_id{1}, soon()))
              == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(a_peer_that_ends_fails_what_waits_for_it_at_once) {
  played_peer x;
  std::uint64_t request = 0;
  auto call = x.begin_fetch(request);
  x.socket.reset();
  BOOST_TEST((code_of(call.get()) == errc::lost));
  // And everything later, without waiting.
  BOOST_TEST(
    (code_of(x.mesh.fetch(1, first_life, buffer_id{5}, soon())) == errc::lost));
}

BOOST_AUTO_TEST_CASE(a_peer_reported_gone_fails_what_waits_for_it_at_once) {
  played_peer x;
  std::uint64_t request = 0;
  auto call = x.begin_fetch(request);
  x.mesh.drop_peer(1, first_life);
  BOOST_TEST((code_of(call.get()) == errc::lost));
}

BOOST_AUTO_TEST_CASE(
  a_silent_peer_costs_the_deadline_and_a_late_answer_nothing) {
  played_peer x;
  auto before = open_descriptors();
  auto got = x.mesh.fetch(1, first_life, buffer_id{5},
                          deadline::after(std::chrono::milliseconds{20}));
  BOOST_TEST((code_of(got) == errc::timed_out));
  auto in = receive(x.socket, soon());
  auto asked = peer_protocol::decode(in.message, 0);
  BOOST_REQUIRE(asked);
  auto late = std::get<peer_protocol::ask>(*asked).request;
  auto file = event();
  send_message(x.socket.get(),
               peer_protocol::encode(peer_protocol::found{late, 1}),
               file.get());
  // The next answer is its own, not the late one.
  std::uint64_t request = 0;
  auto call = x.begin_fetch(request);
  BOOST_TEST(request != late);
  send_message(x.socket.get(),
               peer_protocol::encode(
                 peer_protocol::refused{request,
                                        error{errc::unavailable, "no"}}));
  BOOST_TEST((code_of(call.get()) == errc::unavailable));
  file.reset();
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(an_answer_by_another_peer_does_not_count) {
  played_peer x;
  std::uint64_t request = 0;
  auto call = x.begin_fetch(request);
  auto ends = make_socket_pair();
  BOOST_REQUIRE(ends);
  x.mesh.add_peer(2, first_life, std::move(ends->first));
  send_message(ends->second.get(),
               peer_protocol::encode(
                 peer_protocol::refused{request,
                                        error{errc::failed, "false"}}));
  // Its next message is answered, so the false one has been read.
  send_message(ends->second.get(),
               peer_protocol::encode(peer_protocol::ask{1, buffer_id{1}}));
  BOOST_TEST(!receive(ends->second, soon()).message.empty());
  send_message(x.socket.get(),
               peer_protocol::encode(
                 peer_protocol::refused{request,
                                        error{errc::unavailable, "true"}}));
  BOOST_TEST((code_of(call.get()) == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(a_fetch_waits_for_an_introduction_under_way) {
  troupe::process::peer_mesh mesh{0};
  auto call = std::async(std::launch::async, [&mesh] {
    return mesh.fetch(1, first_life, buffer_id{5}, soon());
  });
  auto ends = make_socket_pair();
  BOOST_REQUIRE(ends);
  mesh.add_peer(1, first_life, std::move(ends->first));
  auto in = receive(ends->second, soon());
  BOOST_TEST(!in.message.empty());
  ends->second.reset();
  BOOST_TEST((code_of(call.get()) == errc::lost));
}

BOOST_AUTO_TEST_CASE(an_unknown_peer_costs_the_deadline) {
  troupe::process::peer_mesh mesh{0};
  auto soon_over = deadline::after(std::chrono::milliseconds{10});
  BOOST_TEST((code_of(mesh.fetch(9, first_life, buffer_id{5}, soon_over))
              == errc::timed_out));
  BOOST_TEST(
    (code_of(mesh.await_peer(9, first_life, soon_over)) == errc::timed_out));
  BOOST_TEST((code_of(mesh.fetch(0, first_life, buffer_id{5}, soon()))
              == errc::invalid));
}

BOOST_AUTO_TEST_CASE(the_next_life_of_a_slot_replaces_the_last) {
  played_peer x;
  std::uint64_t request = 0;
  auto call = x.begin_fetch(request);
  auto fresh = x.introduce(first_life.next());
  BOOST_TEST((code_of(call.get()) == errc::lost));
  BOOST_TEST(x.mesh.await_peer(1, first_life.next(), soon()).has_value());
  BOOST_TEST((code_of(x.mesh.await_peer(1, first_life, soon())) == errc::lost));
  // An older one that comes late is not let in.
  auto late = x.introduce(first_life);
  BOOST_TEST(readable(late.get(), soon()));
  BOOST_TEST(x.mesh.await_peer(1, first_life.next(), soon()).has_value());
}

BOOST_AUTO_TEST_CASE(descriptors_are_handed_over_under_their_tags_in_order) {
  two_meshes x;
  auto one = event();
  auto two = event();
  BOOST_REQUIRE(x.near.send_fd(1, first_life, "a", one.get(), soon()));
  BOOST_REQUIRE(x.near.send_fd(1, first_life, "b", two.get(), soon()));
  BOOST_REQUIRE(x.near.send_fd(1, first_life, "a", two.get(), soon()));
  wake(one.get());
  auto first = x.far.receive_fd(0, first_life, "a", soon());
  auto second = x.far.receive_fd(0, first_life, "a", soon());
  auto other = x.far.receive_fd(0, first_life, "b", soon());
  BOOST_REQUIRE(first);
  BOOST_REQUIRE(second);
  BOOST_REQUIRE(other);
  auto now = deadline::after(duration::zero());
  BOOST_TEST(readable(first->get(), now));
  BOOST_TEST(!readable(second->get(), now));
  BOOST_TEST(!readable(other->get(), now));
  BOOST_TEST(
    (code_of(x.far.receive_fd(0, first_life, "c", now)) == errc::timed_out));
  BOOST_TEST((code_of(x.near.send_fd(1, first_life, std::string(257, 't'),
                                     one.get(), now))
              == errc::invalid));
  BOOST_TEST(
    (code_of(x.near.send_fd(1, first_life, "a", -1, now)) == errc::invalid));
}

BOOST_AUTO_TEST_CASE(who_waits_for_a_descriptor_hears_of_the_senders_end) {
  played_peer x;
  auto call = std::async(std::launch::async, [&x] {
    return x.mesh.receive_fd(1, first_life, "never", soon());
  });
  x.socket.reset();
  BOOST_TEST((code_of(call.get()) == errc::lost));
}

BOOST_AUTO_TEST_CASE(a_peer_that_sends_garbage_is_dropped_and_others_are_not) {
  auto random = seeded_generator();
  std::vector<bytes> seeds{peer_protocol::encode(
                             peer_protocol::ask{3, buffer_id{4}}),
                           peer_protocol::encode(peer_protocol::found{3, 4}),
                           peer_protocol::encode(
                             peer_protocol::refused{3, error{errc::failed,
                                                             "why"}}),
                           peer_protocol::encode(peer_protocol::give{"tag"})};
  two_meshes healthy;
  auto before = open_descriptors();
  for (int i = 0; i < 300; ++i) {
    auto message = mutate(seeds[random() % seeds.size()], random);
    auto with_file = random() % 2 == 0;
    auto good = peer_protocol::decode(message, with_file ? 1 : 0).has_value();
    auto ends = make_socket_pair();
    BOOST_REQUIRE(ends);
    auto life = incarnation{static_cast<std::uint32_t>(i + 1)};
    healthy.near.add_peer(2, life, std::move(ends->first));
    send_message(ends->second.get(), message,
                 with_file ? ends->second.get() : -1);
    if (!good) {
      // Dropped: our end sees the end.
      BOOST_TEST(readable(ends->second.get(), soon()));
      BOOST_TEST(receive(ends->second, soon()).message.empty());
    }
  }
  healthy.near.drop_peer(2, incarnation{1'000});
  healthy.far.serve([](buffer_id) -> result<exported_file> {
    return fail(errc::unavailable, "healthy");
  });
  BOOST_TEST((code_of(healthy.near.fetch(1, first_life, buffer_id{1}, soon()))
              == errc::unavailable));
  // The mesh's thread holds whom it has dropped until its next turn.
  BOOST_TEST(await_descriptors(before) == before);
}

BOOST_AUTO_TEST_CASE(a_message_that_is_too_long_drops_the_peer) {
  played_peer x;
  send_message(x.socket.get(), bytes(peer_protocol::message_bytes_max + 1));
  BOOST_TEST(readable(x.socket.get(), soon()));
  BOOST_TEST((code_of(x.mesh.await_peer(1, first_life, soon())) == errc::lost));
}

BOOST_AUTO_TEST_CASE(who_waits_may_be_told_to_give_up) {
  played_peer x;
  for (auto introduced : {true, false}) {
    std::atomic<bool> given_up{false};
    auto wait = std::async(std::launch::async, [&] {
      auto until = deadline::after(std::chrono::hours{1});
      return introduced
               ? code_of(
                 x.mesh.receive_fd(1, first_life, "link", until, &given_up))
               : code_of(x.mesh.await_peer(2, first_life, until, &given_up));
    });
    given_up = true;
    x.mesh.wake_waiters();
    BOOST_REQUIRE((wait.wait_for(soon().left()) == std::future_status::ready));
    BOOST_TEST((wait.get() == errc::aborted));
    // That was before.
    BOOST_TEST(
      (code_of(x.mesh.receive_fd(1, first_life, "link", soon(), &given_up))
       == errc::aborted));
  }
}

BOOST_AUTO_TEST_CASE(what_nobody_will_ask_for_is_closed) {
  played_peer x;
  auto before = open_descriptors();
  auto file = event();
  for (const auto* tag : {"old", "old", "new"})
    BOOST_REQUIRE(
      (send_message(x.socket.get(),
                    peer_protocol::encode(peer_protocol::give{tag}), file.get())
       == io_status::done));
  // All are there once the last is.
  BOOST_TEST(x.mesh.receive_fd(1, first_life, "new", soon()).has_value());
  BOOST_TEST(open_descriptors() == before + 3);
  x.mesh.discard("old");
  x.mesh.discard("never seen");
  BOOST_TEST(open_descriptors() == before + 1);
}

BOOST_AUTO_TEST_CASE(what_comes_late_is_closed_and_counts_for_nothing) {
  played_peer x;
  x.mesh.discard("old");
  auto before = open_descriptors();
  auto file = event();
  // More than anybody may leave in a mailbox.
  for (std::size_t i = 0; i < 2 * troupe::process::peer_mesh::mailbox_max; ++i)
    BOOST_REQUIRE(x.give("old", file));
  BOOST_REQUIRE(x.give("new", file));
  BOOST_TEST(x.mesh.receive_fd(1, first_life, "new", soon()).has_value());
  BOOST_TEST(open_descriptors() == before + 1);
}

BOOST_AUTO_TEST_CASE(a_discarded_tag_may_be_used_again) {
  played_peer x;
  auto file = event();
  x.mesh.expect("link");
  for (int i = 0; i < 2; ++i) {
    x.mesh.discard("link");
    x.mesh.expect("link");
    BOOST_REQUIRE(x.give("link", file));
    BOOST_TEST(x.mesh.receive_fd(1, first_life, "link", soon()).has_value());
  }
}

BOOST_AUTO_TEST_CASE(discarded_tags_are_remembered_up_to_a_bound) {
  using mesh = troupe::process::peer_mesh;
  played_peer x;
  x.mesh.discard("first");
  for (std::size_t i = 1; i < mesh::discarded_max; ++i)
    x.mesh.discard(fmt::format("{}", i));
  auto before = open_descriptors();
  auto file = event();
  for (auto kept : {false, true}) {
    BOOST_REQUIRE(x.give("first", file));
    BOOST_REQUIRE(x.give("mark", file));
    BOOST_TEST(x.mesh.receive_fd(1, first_life, "mark", soon()).has_value());
    BOOST_TEST(open_descriptors() == before + (kept ? 2 : 1));
    x.mesh.discard("one more");
  }
}

BOOST_AUTO_TEST_CASE(a_mailbox_has_a_bound) {
  played_peer x;
  auto file = event();
  auto message = peer_protocol::encode(peer_protocol::give{"flood"});
  auto until = soon();
  auto status = io_status::done;
  while (status != io_status::closed && !until.passed())
    status = send_message(x.socket.get(), message, file.get());
  BOOST_TEST((status == io_status::closed));
}

BOOST_AUTO_TEST_CASE(a_peer_that_asks_and_never_reads_is_dropped) {
  played_peer x;
  auto message = peer_protocol::encode(peer_protocol::ask{1, buffer_id{1}});
  auto until = soon();
  auto status = io_status::done;
  while (status != io_status::closed && !until.passed())
    status = send_message(x.socket.get(), message);
  BOOST_TEST((status == io_status::closed));
}

BOOST_AUTO_TEST_CASE(destruction_leaves_no_descriptor_open) {
  auto before = open_descriptors();
  {
    two_meshes x;
    auto file = event();
    for (int i = 0; i < 10; ++i)
      BOOST_REQUIRE(
        x.near.send_fd(1, first_life, "unread", file.get(), soon()));
  }
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_SUITE_END()
