// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include "comm/gloo/link_ends.hpp"
#include "comm/transfer/executor_conformance.hpp"

using namespace troupe;

namespace {

const test::conformance::backend_maker subject = [] {
  return test::sync_backend{link_kind::gloo, {}, test::make_gloo_ends};
};

} // namespace

BOOST_AUTO_TEST_SUITE(gloo_executor)

TROUPE_EXECUTOR_CONFORMANCE(subject)

BOOST_AUTO_TEST_SUITE_END()
