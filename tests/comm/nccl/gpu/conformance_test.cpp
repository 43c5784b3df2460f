// SPDX-License-Identifier: Apache-2.0
// The communicator's suite over NCCL itself, all ranks on one device, each in a
// process of its own (one_device.hpp). Groups are as the suite's cases make
// them: 2, 3 and 4 ranks, and of 1 to 5 where all operations are checked.
// Memory is the host's; ranks_test.cpp has the device's.
#include <boost/test/unit_test.hpp>

#include <algorithm>

#include "comm/conformance.hpp"
#include "comm/nccl/gpu/one_device.hpp"
#include "support/remote_ranks.hpp"
#include "troupe/comm/nccl/endpoint.hpp"

using namespace troupe;
namespace nccl = troupe::comm::nccl;

namespace {

/// The suite's largest group.
constexpr std::size_t ranks = 5;

/// In the rank's process, of which CUDA and NCCL are the same for all groups.
result<comm::endpoint_ptr>
make_endpoint(rank_id rank, std::int32_t size,
              const comm::collective_options& collectives) {
  static const auto settings = test::settings_on_one_device(
    static_cast<std::size_t>(rank.value()));
  if (!settings)
    return fail(settings.error());
  auto config = *settings;
  // With small segments host memory goes over in many chunks.
  config.chunk_bytes = std::min(config.chunk_bytes,
                                16 * collectives.segment_bytes);
  return nccl::make_endpoint(rank, size, config);
}

/// The processes stand as long as the suite runs, and no longer: other suites
/// fork, which is for a program without threads. Whether there is a device has
/// been asked before (device_or_skip).
struct rank_processes {
  rank_processes() { here = &all; }

  ~rank_processes() { here = nullptr; }

  test::remote_ranks all{ranks, make_endpoint};
  static inline test::remote_ranks* here = nullptr;
};

const test::conformance::backend subject{
  [](std::int32_t size, const comm::collective_options& collectives) {
    return rank_processes::here->make_endpoints(size, collectives);
  }};

} // namespace

BOOST_AUTO_TEST_SUITE(nccl_gpu_conformance,
                      *boost::unit_test::fixture<rank_processes>())

TROUPE_COMMUNICATOR_CONFORMANCE(subject)

BOOST_AUTO_TEST_CASE(nobody_wrote_to_memory_of_a_failed_call) {
  BOOST_CHECK_EQUAL(rank_processes::here->late_writes(), 0u);
}

BOOST_AUTO_TEST_SUITE_END()
