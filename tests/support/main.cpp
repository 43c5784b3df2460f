// SPDX-License-Identifier: Apache-2.0
// One per test binary.
#define BOOST_TEST_MODULE troupe
#include <boost/test/unit_test.hpp>
