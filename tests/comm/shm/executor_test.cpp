// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include "comm/transfer/executor_conformance.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/factory.hpp"

using namespace troupe;

namespace {

std::pair<comm::link_ptr, comm::link_ptr>
make_ends(std::vector<std::shared_ptr<comm::shm::arena>> arenas) {
  auto fds = comm::shm::make_sockets().value();
  return {comm::shm::make_sender(fds.first, std::move(arenas)).value(),
          comm::shm::make_receiver(fds.second).value()};
}

/// Sources keep their tensors in an arena: read where they stand.
const test::conformance::backend_maker in_arena = [] {
  auto home = comm::shm::arena::create(std::size_t{1} << 30).value();
  test::sync_memory memory;
  memory.source = [home](std::size_t bytes) {
    return home->allocate(bytes).value();
  };
  return test::sync_backend{link_kind::shm, memory,
                            [home] { return make_ends({home}); }};
};

/// They do not: packed into shared memory.
const test::conformance::backend_maker staged = [] {
  return test::sync_backend{link_kind::shm, {}, [] { return make_ends({}); }};
};

/// Some do.
const test::conformance::backend_maker mixed = [] {
  auto home = comm::shm::arena::create(std::size_t{1} << 30).value();
  auto count = std::make_shared<std::size_t>(0);
  test::sync_memory memory;
  memory.source = [home, count](std::size_t bytes) {
    return ++*count % 3 == 0 ? buffer::allocate(bytes)
                             : home->allocate(bytes).value();
  };
  return test::sync_backend{link_kind::shm, memory,
                            [home] { return make_ends({home}); }};
};

} // namespace

BOOST_AUTO_TEST_SUITE(shm_executor)

BOOST_AUTO_TEST_SUITE(arena)
TROUPE_EXECUTOR_CONFORMANCE(in_arena)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(packed)
TROUPE_EXECUTOR_CONFORMANCE(staged)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(some_of_each)
TROUPE_EXECUTOR_CONFORMANCE(mixed)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE_END()
