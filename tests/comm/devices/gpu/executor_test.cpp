// SPDX-License-Identifier: Apache-2.0
// Colocated ranks on a real device. Everything is in this process, so nothing
// of this program forks once the first case has begun.
#include <boost/test/unit_test.hpp>

#include "comm/devices/gpu/device_here.hpp"
#include "comm/nccl/gpu/one_device.hpp"
#include "comm/transfer/executor_conformance.hpp"

using namespace troupe;

namespace {

/// All cases use the same device: what one leaves behind, the next one meets.
const test::conformance::backend_maker subject = [] {
  static const auto bed = test::bed_here();
  return bed.backend();
};

} // namespace

using test::device_or_skip;
BOOST_GLOBAL_FIXTURE(device_or_skip);

BOOST_AUTO_TEST_SUITE(devices_gpu_executor)

TROUPE_EXECUTOR_CONFORMANCE(subject)

BOOST_AUTO_TEST_SUITE_END()
