// SPDX-License-Identifier: Apache-2.0
// Syncs on one real device, random ones and some in which something goes wrong.
// Ranks are processes, forked from one that never touches CUDA. TROUPE_SEED
// repeats a run that was printed.
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "comm/devices/fault_play.hpp"
#include "comm/devices/gpu/device_here.hpp"
#include "comm/nccl/gpu/one_device.hpp"
#include "support/forked_ranks.hpp"
#include "support/random_seed.hpp"
#include "troupe/comm/shm/factory.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::test;

namespace {

/// Of a source's tensors over CUDA IPC, all together.
constexpr std::size_t area_bytes = std::size_t{64} << 20;

/// What a pair of ranks is joined by.
enum class join_by : std::uint8_t {
  /// One process.
  copies = 1,
  ipc_in_place,
  ipc_packed,
  nccl,
};

/// Device, context and communicator are made anew for each play.
deadline ample() {
  return deadline::after(120s);
}

struct played {
  std::string wrong;
  bool fired = false;
};

// -- one process ---------------------------------------------------------------

played play_in_one(const fault& what) {
  forked_ranks group{1, [&](std::size_t, pipe_end& parent) {
                       auto seen = play_both(bed_here(), nullptr, nullptr,
                                             what);
                       bytes message;
                       encoder to{message};
                       to.put(std::uint8_t{seen.fired});
                       to.put(std::string_view{seen.wrong});
                       return parent.say(message) ? 0 : 90;
                     }};
  auto said = group.to(0).hear(ample());
  std::uint8_t fired = 0;
  played out;
  if (!said)
    return {"the process is gone", false};
  decoder from{*said};
  if (!from.get(fired) || !from.get(out.wrong))
    return {"the process does not say what it saw", false};
  out.fired = fired != 0;
  return out;
}

// -- two processes -------------------------------------------------------------

/// A rank's end of the link, and where a source's tensors lie.
void connect(play_side& side, join_by how, std::size_t rank, pipe_end& parent,
             std::optional<std::pair<int, int>> sockets) {
  if (how == join_by::nccl) {
    auto at = join_on_one_device(rank, 2, parent);
    if (!at.group)
      throw std::runtime_error{"no NCCL"};
    side.kind = link_kind::nccl;
    std::vector<comm::communicator_ptr> all(2, at.group);
    auto ends = link_over(all, "nccl");
    side.line = rank == 0 ? ends.first : ends.second;
    return;
  }
  side.kind = link_kind::cuda_ipc;
  auto [mine, other] = *sockets;
  if (rank != 0)
    std::swap(mine, other);
  // Or nobody would learn that the other one is gone.
  ::close(other);
  if (rank != 0) {
    side.line = side.place.device->make_receiver(mine).value();
    return;
  }
  std::vector<std::shared_ptr<comm::shared_memory>> memories;
  if (how == join_by::ipc_in_place) {
    auto area = std::make_shared<shared_area>(side.place, area_bytes, false);
    memories.push_back(area->memory());
    side.source_memory = [area](std::size_t x) { return area->allocate(x); };
  }
  side.line = side.place.device->make_sender(mine, memories).value();
}

int run_rank(std::size_t rank, pipe_end& parent, join_by how, const fault& what,
             std::optional<std::pair<int, int>> sockets) {
  play_side side;
  side.side = rank == 0 ? sync_side::source : sync_side::destination;
  side.place = device_here();
  side.vanish = [] { ::raise(SIGKILL); };
  connect(side, how, rank, parent, sockets);
  auto seen = play(std::move(side), what);
  return parent.say(seen.encode()) ? 0 : 90;
}

played play_in_two(join_by how, const fault& what) {
  std::optional<std::pair<int, int>> sockets;
  if (how != join_by::nccl)
    sockets = comm::shm::make_sockets().value();
  forked_ranks group{2, [&](std::size_t rank, pipe_end& parent) {
                       return run_rank(rank, parent, how, what, sockets);
                     }};
  if (sockets) {
    ::close(sockets->first);
    ::close(sockets->second);
  } else if (!exchange(group, 2, ample())) {
    return {"a rank did not come", false};
  }
  std::optional<side_report> seen[2];
  for (std::size_t rank = 0; rank < 2; ++rank) {
    auto killed = what.kind == fault_kind::drop
                  && rank == static_cast<std::size_t>(what.side);
    auto said = group.to(rank).hear(ample());
    if (said)
      seen[rank] = side_report::decode(*said);
    else if (!killed)
      return {"a rank is gone", false};
  }
  auto of = [&](std::size_t rank) {
    return seen[rank] ? &*seen[rank] : nullptr;
  };
  auto fired = !seen[0] || !seen[1] || seen[0]->fired || seen[1]->fired;
  return {judge(what, of(0), of(1)), fired};
}

// -- many ----------------------------------------------------------------------

std::size_t check_all(join_by how, std::size_t count,
                      const std::vector<fault_kind>& kinds) {
  auto seed = random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::size_t fired = 0;
  for (const auto& what : make_faults(seed, count, kinds)) {
    BOOST_TEST_MESSAGE(what.text());
    auto seen = how == join_by::copies ? play_in_one(what)
                                       : play_in_two(how, what);
    BOOST_CHECK_MESSAGE(seen.wrong.empty(), what.text() << ": " << seen.wrong);
    fired += seen.fired ? 1 : 0;
  }
  return fired;
}

void check_syncs(join_by how) {
  check_all(how, 10, {fault_kind::none});
}

/// Half as many more, because not all of them find their moment.
void check_faults(join_by how, const std::vector<fault_kind>& kinds) {
  constexpr std::size_t at_least = 20;
  auto fired = check_all(how, at_least * 3 / 2, kinds);
  BOOST_CHECK_MESSAGE(fired >= at_least, fired << " faults");
}

// What a device does wrong is not tried on one that others may use.
const std::vector<fault_kind> in_place{fault_kind::abort, fault_kind::drop,
                                       fault_kind::stall, fault_kind::write};
const std::vector<fault_kind> packed{fault_kind::abort, fault_kind::drop,
                                     fault_kind::stall, fault_kind::corrupt};

} // namespace

BOOST_GLOBAL_FIXTURE(device_or_skip);

BOOST_AUTO_TEST_SUITE(devices_gpu_sync)

BOOST_AUTO_TEST_CASE(copies_are_right) {
  check_syncs(join_by::copies);
}

BOOST_AUTO_TEST_CASE(ipc_in_place_is_right) {
  check_syncs(join_by::ipc_in_place);
}

BOOST_AUTO_TEST_CASE(ipc_packed_is_right) {
  check_syncs(join_by::ipc_packed);
}

BOOST_AUTO_TEST_CASE(nccl_is_right) {
  check_syncs(join_by::nccl);
}

BOOST_AUTO_TEST_CASE(faults_of_copies) {
  check_faults(join_by::copies, in_place);
}

BOOST_AUTO_TEST_CASE(faults_of_ipc_in_place) {
  check_faults(join_by::ipc_in_place, in_place);
}

BOOST_AUTO_TEST_CASE(faults_of_ipc_packed) {
  check_faults(join_by::ipc_packed, packed);
}

BOOST_AUTO_TEST_CASE(faults_of_nccl) {
  check_faults(join_by::nccl, packed);
}

BOOST_AUTO_TEST_SUITE_END()
