// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/message_socket.hpp"

#include <boost/test/unit_test.hpp>

#include <cstring>

#include <sys/socket.h>
#include <unistd.h>

#include "actors/process/support.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;

BOOST_AUTO_TEST_SUITE(message_socket)

BOOST_AUTO_TEST_CASE(messages_keep_their_borders_and_carry_a_descriptor) {
  auto ends = make_socket_pair();
  BOOST_REQUIRE(ends);
  bytes first(3, std::byte{1});
  bytes second(5, std::byte{2});
  auto event = make_wake_fd();
  BOOST_REQUIRE(event);
  BOOST_TEST((send_message(ends->first.get(), first) == io_status::done));
  BOOST_TEST(
    (send_message(ends->first.get(), second, event->get()) == io_status::done));
  incoming in;
  BOOST_TEST((receive_message(ends->second.get(), 64, in) == io_status::done));
  BOOST_TEST((in.message == first));
  BOOST_TEST(in.files.empty());
  BOOST_TEST((receive_message(ends->second.get(), 64, in) == io_status::done));
  BOOST_TEST((in.message == second));
  BOOST_REQUIRE(in.files.size() == 1);
  // The same event counter, by another number.
  wake(event->get());
  BOOST_TEST(readable(in.files[0].get(), soon()));
  BOOST_TEST(
    (receive_message(ends->second.get(), 64, in) == io_status::would_block));
}

BOOST_AUTO_TEST_CASE(a_message_longer_than_the_bound_is_malformed) {
  auto ends = make_socket_pair();
  BOOST_REQUIRE(ends);
  send_message(ends->first.get(), bytes(65));
  incoming in;
  BOOST_TEST(
    (receive_message(ends->second.get(), 64, in) == io_status::malformed));
}

BOOST_AUTO_TEST_CASE(too_many_descriptors_are_malformed_and_all_are_closed) {
  auto ends = make_socket_pair();
  BOOST_REQUIRE(ends);
  auto before = open_descriptors();
  constexpr int count = 20;
  int files[count];
  for (auto& x : files)
    x = ends->first.get();
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(files))] = {};
  char one = 1;
  iovec part{&one, 1};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  auto* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(files));
  std::memcpy(CMSG_DATA(rights), files, sizeof(files));
  BOOST_REQUIRE(::sendmsg(ends->first.get(), &header, 0) == 1);
  {
    incoming in;
    BOOST_TEST(
      (receive_message(ends->second.get(), 64, in) == io_status::malformed));
  }
  BOOST_TEST(open_descriptors() == before);
}

BOOST_AUTO_TEST_CASE(a_reader_that_stops_makes_the_sender_would_block) {
  auto ends = make_socket_pair();
  BOOST_REQUIRE(ends);
  bytes message(4096);
  auto status = io_status::done;
  for (int i = 0; i < 10'000 && status == io_status::done; ++i)
    status = send_message(ends->first.get(), message);
  BOOST_TEST((status == io_status::would_block));
}

BOOST_AUTO_TEST_CASE(the_end_of_the_other_side_is_closed_in_both_directions) {
  auto ends = make_socket_pair();
  BOOST_REQUIRE(ends);
  ends->first.reset();
  incoming in;
  BOOST_TEST(
    (receive_message(ends->second.get(), 64, in) == io_status::closed));
  BOOST_TEST((send_message(ends->second.get(), bytes(1)) == io_status::closed));
}

BOOST_AUTO_TEST_SUITE_END()
