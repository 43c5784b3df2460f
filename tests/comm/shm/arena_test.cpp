// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <limits>

#include <sys/mman.h>
#include <unistd.h>

#include "troupe/comm/shm/arena.hpp"

using namespace troupe;
using comm::shm::arena;
using comm::shm::foreign_arena;

BOOST_AUTO_TEST_SUITE(shm_arena)

BOOST_AUTO_TEST_CASE(buffers_are_aligned_disjoint_and_keep_the_arena_alive) {
  auto home = arena::create(4096).value();
  auto a = home->allocate(1).value();
  auto b = home->allocate(100).value();
  home.reset();
  for (const auto& x : {a, b})
    BOOST_CHECK_EQUAL(reinterpret_cast<std::uintptr_t>(x.data())
                        % buffer::alignment,
                      0u);
  BOOST_CHECK(a.data() + a.size() <= b.data());
  b.bytes().back() = std::byte{1};
  BOOST_CHECK(b.bytes().front() == std::byte{0});
}

BOOST_AUTO_TEST_CASE(a_full_arena_is_exhausted) {
  auto home = arena::create(1).value();
  auto all = home->memory().size();
  BOOST_CHECK(!home->allocate(all + 1));
  BOOST_CHECK(home->allocate(all));
  BOOST_CHECK(home->allocate(0));
  auto more = home->allocate(1);
  BOOST_REQUIRE(!more);
  BOOST_CHECK(more.error().code() == errc::exhausted);
  auto huge = arena::create(std::numeric_limits<std::size_t>::max());
  BOOST_REQUIRE(!huge);
  BOOST_CHECK(huge.error().code() == errc::exhausted);
}

BOOST_AUTO_TEST_CASE(it_contains_what_lies_wholly_inside) {
  auto home = arena::create(4096).value();
  auto all = home->memory();
  BOOST_CHECK(home->contains(all));
  BOOST_CHECK(home->contains(all.subspan(4095, 1)));
  BOOST_CHECK(!home->contains({all.data() + 4095, 2}));
  BOOST_CHECK(!home->contains({all.data() - 1, 2}));
  std::byte local{};
  BOOST_CHECK(!home->contains({&local, 1}));
}

BOOST_AUTO_TEST_CASE(nobody_else_can_write_or_resize_it) {
  auto home = arena::create(4096).value();
  BOOST_CHECK(
    ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, home->fd(), 0)
    == MAP_FAILED);
  BOOST_CHECK(::ftruncate(home->fd(), 0) != 0);
  BOOST_CHECK(::ftruncate(home->fd(), 8192) != 0);
  auto seen = foreign_arena::map(home->fd()).value();
  home->memory()[5] = std::byte{42};
  BOOST_CHECK(seen.memory()[5] == std::byte{42});
}

BOOST_AUTO_TEST_SUITE_END()
