// SPDX-License-Identifier: Apache-2.0
// Syncs between processes over shared memory, some with a fault: links that any
// machine has, by the same means as those of devices (gpu/sync_test.cpp).
#include <boost/test/unit_test.hpp>

#include "comm/devices/process_play.hpp"
#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/factory.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

const fault_player copies = [](const fault& what) {
  return play_in_one(
    [] {
      return device_bed{{}, {}, link_kind::inproc, comm::inproc::make_link};
    },
    what);
};

const fault_player packed = [](const fault& what) {
  auto connect = [](play_side& side, std::size_t rank, pipe_end&, int socket) {
    side.kind = link_kind::shm;
    side.line = (rank == 0 ? comm::shm::make_sender(socket)
                           : comm::shm::make_receiver(socket))
                  .value();
  };
  return process_play{connect}.play(what);
};

} // namespace

BOOST_AUTO_TEST_SUITE(devices_process)

BOOST_AUTO_TEST_CASE(copies_are_right) {
  check_syncs(copies);
}

BOOST_AUTO_TEST_CASE(shared_memory_is_right) {
  check_syncs(packed);
}

BOOST_AUTO_TEST_CASE(faults_of_copies) {
  check_faults(copies, {fault_kind::abort, fault_kind::drop, fault_kind::stall,
                        fault_kind::write});
}

BOOST_AUTO_TEST_CASE(faults_of_shared_memory) {
  check_faults(packed, {fault_kind::abort, fault_kind::drop, fault_kind::stall,
                        fault_kind::corrupt});
}

BOOST_AUTO_TEST_SUITE_END()
