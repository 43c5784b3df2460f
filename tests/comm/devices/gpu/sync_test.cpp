// SPDX-License-Identifier: Apache-2.0
// Syncs on one real device, random ones and some in which something goes wrong.
// Ranks are processes, forked from one that never touches CUDA. TROUPE_SEED
// repeats a run that was printed.
#include <boost/test/unit_test.hpp>

#include <stdexcept>

#include "comm/devices/gpu/device_here.hpp"
#include "comm/devices/process_play.hpp"
#include "comm/nccl/gpu/one_device.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// Of a source's tensors over CUDA IPC, all together.
constexpr std::size_t area_bytes = std::size_t{64} << 20;

const fault_player copies = [](const fault& what) {
  return play_in_one(bed_here, what);
};

process_play::connector by_ipc(bool in_place) {
  return [=](play_side& side, std::size_t rank, pipe_end&, int socket) {
    side.kind = link_kind::cuda_ipc;
    side.place = device_here();
    if (rank != 0) {
      side.line = side.place.device->make_receiver(socket).value();
      return;
    }
    std::vector<std::shared_ptr<comm::shared_memory>> memories;
    if (in_place) {
      auto area = std::make_shared<shared_area>(side.place, area_bytes, false);
      memories.push_back(area->memory());
      side.source_memory = [area](std::size_t x) { return area->allocate(x); };
    }
    side.line = side.place.device->make_sender(socket, memories).value();
  };
}

fault_player over_ipc(bool in_place) {
  return [play = process_play{by_ipc(in_place)}](const fault& what) {
    return play.play(what);
  };
}

const fault_player over_nccl = [](const fault& what) {
  auto connect = [](play_side& side, std::size_t rank, pipe_end& parent, int) {
    auto at = join_on_one_device(rank, 2, parent);
    if (!at.group)
      throw std::runtime_error{"no NCCL"};
    side.kind = link_kind::nccl;
    side.place = device_here();
    std::vector<comm::communicator_ptr> all(2, at.group);
    auto ends = link_over(all, "nccl");
    side.line = rank == 0 ? ends.first : ends.second;
  };
  return process_play{connect, false}.play(what);
};

// What a device does wrong is not tried on one that others may use.
const std::vector<fault_kind> in_place{fault_kind::abort, fault_kind::drop,
                                       fault_kind::stall, fault_kind::write};
const std::vector<fault_kind> packed{fault_kind::abort, fault_kind::drop,
                                     fault_kind::stall, fault_kind::corrupt};

} // namespace

BOOST_GLOBAL_FIXTURE(device_or_skip);

BOOST_AUTO_TEST_SUITE(devices_gpu_sync)

BOOST_AUTO_TEST_CASE(copies_are_right) {
  check_syncs(copies);
}

BOOST_AUTO_TEST_CASE(ipc_in_place_is_right) {
  check_syncs(over_ipc(true));
}

BOOST_AUTO_TEST_CASE(ipc_packed_is_right) {
  check_syncs(over_ipc(false));
}

BOOST_AUTO_TEST_CASE(nccl_is_right) {
  check_syncs(over_nccl);
}

BOOST_AUTO_TEST_CASE(faults_of_copies) {
  check_faults(copies, in_place);
}

BOOST_AUTO_TEST_CASE(faults_of_ipc_in_place) {
  check_faults(over_ipc(true), in_place);
}

BOOST_AUTO_TEST_CASE(faults_of_ipc_packed) {
  check_faults(over_ipc(false), packed);
}

BOOST_AUTO_TEST_CASE(faults_of_nccl) {
  check_faults(over_nccl, packed);
}

BOOST_AUTO_TEST_SUITE_END()
