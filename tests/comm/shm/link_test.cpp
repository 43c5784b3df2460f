// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "comm/conformance.hpp"
#include "support/rank_threads.hpp"
#include "support/why.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/comm/shm/wire.hpp"

using namespace std::literals;
using namespace troupe;

namespace {

const test::conformance::link_maker staged = [] {
  auto fds = comm::shm::make_sockets().value();
  return std::make_pair(comm::shm::make_sender(fds.first).value(),
                        comm::shm::make_receiver(fds.second).value());
};

deadline ample() {
  return deadline::after(60s);
}

/// A receiving end whose other end is in the test's hands.
struct forged_sender {
  forged_sender() {
    auto fds = comm::shm::make_sockets().value();
    line = comm::socket{fds.first};
    receiver = comm::shm::make_receiver(fds.second).value();
  }

  /// What pull says to a notice of one byte, changed as told.
  errc answer(std::function<void(comm::shm::notice&)> change, int fd = -1) {
    comm::shm::notice what;
    what.length = 1;
    what.total = 1;
    change(what);
    comm::shm::wire wire{std::move(line)};
    BOOST_REQUIRE(wire.send(&what, sizeof(what), fd, ample()));
    std::byte target{};
    auto done = receiver->pull({&target, 1}, ample());
    return done ? errc{} : done.error().code();
  }

  comm::socket line;
  comm::link_ptr receiver;
};

} // namespace

BOOST_AUTO_TEST_SUITE(shm_link)

TROUPE_LINK_CONFORMANCE(staged)

BOOST_AUTO_TEST_CASE(the_backend_is_usable) {
  auto found = comm::shm::probe();
  BOOST_CHECK_MESSAGE(found.usable, found.reason);
}

BOOST_AUTO_TEST_CASE(arena_memory_is_pulled_as_it_stands) {
  auto home = comm::shm::arena::create(1 << 20).value();
  auto other = comm::shm::arena::create(1 << 20).value();
  auto fds = comm::shm::make_sockets().value();
  auto sender = comm::shm::make_sender(fds.first, {home, other}).value();
  auto receiver = comm::shm::make_receiver(fds.second).value();
  std::vector<buffer> parts;
  for (auto size : {1u, 64u, 100000u, 7u}) {
    parts.push_back(home->allocate(size).value());
    parts.push_back(other->allocate(size).value());
  }
  auto one = [&](std::size_t end, buffer& part, int value) -> result<void> {
    if (end == 0) {
      std::memset(part.data(), value, part.size());
      return sender->push(part.bytes(), ample());
    }
    std::vector<std::byte> got(part.size());
    auto done = receiver->pull(got, ample());
    auto wanted = static_cast<std::byte>(value);
    if (done && std::ranges::count(got, wanted) != std::ssize(got))
      return fail(errc::corrupt, "other bytes were pulled");
    return done;
  };
  auto codes = test::in_threads(2, [&](std::size_t end) {
    result<void> done;
    for (std::size_t round = 0; round < 3; ++round)
      for (std::size_t i = 0; i < parts.size() && done; ++i)
        done = one(end, parts[i], static_cast<int>(round * 16 + i + 1));
    return done;
  });
  for (const auto& x : codes)
    BOOST_CHECK_MESSAGE(x, test::why(x));
}

BOOST_AUTO_TEST_CASE(an_end_works_in_one_direction) {
  auto ends = staged();
  std::byte x{};
  BOOST_CHECK(ends.first->pull({&x, 1}, ample()).error().code()
              == errc::invalid);
  BOOST_CHECK(ends.second->push({&x, 1}, ample()).error().code()
              == errc::invalid);
}

BOOST_AUTO_TEST_CASE(other_sockets_are_refused) {
  int fds[2];
  BOOST_REQUIRE_EQUAL(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  BOOST_CHECK(!comm::shm::make_sender(fds[0]));
  BOOST_CHECK(!comm::shm::make_receiver(fds[1]));
  BOOST_CHECK(!comm::shm::make_receiver(-1));
}

BOOST_AUTO_TEST_CASE(forged_notices_are_corrupt) {
  auto home = comm::shm::arena::create(4096).value();
  auto fd = home->fd();
  auto answer = [](auto change, int with = -1) {
    return forged_sender{}.answer(change, with);
  };
  BOOST_CHECK(answer([](auto&) {}, fd) == errc{});
  BOOST_CHECK(answer([](auto&) {}) == errc::corrupt);
  BOOST_CHECK(answer([](auto& x) { x.magic = 0; }, fd) == errc::corrupt);
  BOOST_CHECK(answer([](auto& x) { x.sequence = 1; }, fd) == errc::corrupt);
  BOOST_CHECK(answer([](auto& x) { x.length = 0; }, fd) == errc::corrupt);
  BOOST_CHECK(answer([](auto& x) { x.length = 2; }, fd) == errc::corrupt);
  BOOST_CHECK(answer([](auto& x) { x.total = 2; }, fd) == errc::invalid);
  BOOST_CHECK(answer([](auto& x) { x.offset = 4096; }, fd) == errc::corrupt);
  BOOST_CHECK(answer([](auto& x) { x.offset = ~0ull; }, fd) == errc::corrupt);
}

BOOST_AUTO_TEST_CASE(memory_that_could_shrink_is_not_mapped) {
  comm::socket open{::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  BOOST_REQUIRE_EQUAL(::ftruncate(open.fd(), 4096), 0);
  BOOST_CHECK(forged_sender{}.answer([](auto&) {}, open.fd()) == errc::corrupt);
  comm::socket file{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
  BOOST_CHECK(forged_sender{}.answer([](auto&) {}, file.fd()) == errc::corrupt);
}

BOOST_AUTO_TEST_SUITE_END()
