// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/host_types.hpp"

#include <boost/test/unit_test.hpp>

using namespace troupe;
using namespace troupe::process;

BOOST_AUTO_TEST_SUITE(host_types)

BOOST_AUTO_TEST_CASE(an_exit_describes_itself) {
  auto text = [](int status) {
    return host_exit{0, {}, 1, status, 0}.describe();
  };
  BOOST_TEST(text(0) == "exited with code 0");
  BOOST_TEST(text(3 << 8) == "exited with code 3");
  BOOST_TEST(text(9) == "killed by signal 9 (SIGKILL)");
  BOOST_TEST(text(11 | 0x80) == "killed by signal 11 (SIGSEGV)");
  BOOST_TEST(text(40) == "killed by signal 40");
  auto silent = [](int status) {
    return host_exit{0, {}, 1, status, 900}.describe();
  };
  BOOST_TEST(silent(9).starts_with("frozen: no sign of life for 900 ms"));
  // Its core was being written.
  BOOST_TEST(silent(11 | 0x80) == "killed by signal 11 (SIGSEGV)");
  BOOST_TEST(silent(11)
             == "killed by signal 11 (SIGSEGV); its core dump, if any, was "
                "cut after 900 ms without a sign of life");
}

BOOST_AUTO_TEST_CASE(a_job_id_cannot_lead_a_path_astray) {
  BOOST_TEST(is_job_id("run_7-a"));
  BOOST_TEST(is_job_id(std::string(64, 'x')));
  BOOST_TEST(!is_job_id(std::string(65, 'x')));
  for (auto* x : {"", ".", "..", "a/b", "a.b", "a b", "a\n"})
    BOOST_TEST(!is_job_id(x));
}

BOOST_AUTO_TEST_SUITE_END()
