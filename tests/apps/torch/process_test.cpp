// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/process.hpp"

#include <ATen/Parallel.h>
#include <boost/test/unit_test.hpp>

using namespace troupe::torch;

BOOST_AUTO_TEST_SUITE(torch_process)

BOOST_AUTO_TEST_CASE(the_process_gets_the_threads_it_asked_for) {
  init_process(2);
  BOOST_TEST(at::get_num_threads() == 2);
  init_process(0);
  BOOST_TEST(at::get_num_threads() == 1);
}

BOOST_AUTO_TEST_CASE(the_blas_library_is_named) {
  BOOST_TEST_MESSAGE(blas_name() << ", " << torch_version());
  BOOST_TEST(blas_name() != "unknown");
  BOOST_TEST(torch_version().starts_with("libtorch "));
}

BOOST_AUTO_TEST_SUITE_END()
