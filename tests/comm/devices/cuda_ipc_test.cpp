// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include "comm/devices/stand_in_beds.hpp"
#include "comm/transfer/executor_conformance.hpp"

using namespace troupe;
using test::ipc_memory;

namespace {

/// All cases use the same device: what one leaves behind, the next one meets.
const test::devices_ptr& devices() {
  static const auto out = std::make_shared<test::stand_in_devices>();
  return out;
}

test::conformance::backend_maker from(ipc_memory memory) {
  return [memory] { return test::cuda_ipc_bed(devices(), memory).backend(); };
}

const auto exported = from(ipc_memory::exported);
const auto unnamed = from(ipc_memory::unnamed);
const auto mixed = from(ipc_memory::mixed);
const auto given = from(ipc_memory::given);

} // namespace

BOOST_AUTO_TEST_SUITE(devices_cuda_ipc)

BOOST_AUTO_TEST_SUITE(read_in_place)
TROUPE_EXECUTOR_CONFORMANCE(exported)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(packed)
TROUPE_EXECUTOR_CONFORMANCE(unnamed)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(some_of_each)
TROUPE_EXECUTOR_CONFORMANCE(mixed)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(of_somebody_else)
TROUPE_EXECUTOR_CONFORMANCE(given)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(nothing_was_done_wrong_in_all_that) {
  test::check_clean(*devices());
}

BOOST_AUTO_TEST_SUITE_END()
