// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include "comm/devices/stand_in_beds.hpp"
#include "comm/transfer/executor_conformance.hpp"

using namespace troupe;

namespace {

/// All cases use the same device: what one leaves behind, the next one meets.
const test::devices_ptr& devices() {
  static const auto out = std::make_shared<test::stand_in_devices>();
  return out;
}

const test::conformance::backend_maker subject = [] {
  return test::cuda_bed(devices()).backend();
};

} // namespace

BOOST_AUTO_TEST_SUITE(devices_cuda)

TROUPE_EXECUTOR_CONFORMANCE(subject)

BOOST_AUTO_TEST_CASE(nothing_was_done_wrong_in_all_that) {
  test::check_clean(*devices());
}

BOOST_AUTO_TEST_SUITE_END()
