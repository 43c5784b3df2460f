// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/nccl/network.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <boost/test/unit_test.hpp>

#include "support/scratch.hpp"

using namespace troupe;
using namespace troupe::comm;

namespace {

constexpr auto variable = "NCCL_SOCKET_IFNAME";

struct fixture {
  fixture() {
    ::unsetenv(variable);
    ::setenv("NCCL_CONF_FILE", file.c_str(), 1);
  }

  ~fixture() {
    ::unsetenv(variable);
    ::unsetenv("NCCL_CONF_FILE");
  }

  /// Empty if it is not set.
  static std::string chosen() {
    const auto* value = ::getenv(variable);
    return value == nullptr ? std::string{} : std::string{value};
  }

  test::scratch folder;
  std::filesystem::path file = folder.path() / "nccl.conf";
};

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(nccl_network, fixture)

BOOST_AUTO_TEST_CASE(sockets_are_on_the_network_of_the_nodes_address) {
  auto said = nccl::use_network_of("127.0.0.1");
  BOOST_CHECK_EQUAL(chosen(), "=lo");
  BOOST_CHECK(contains(said, "on lo, which has this node's address 127.0.0.1"));
}

BOOST_AUTO_TEST_CASE(an_address_of_nobody_here_leaves_the_choice_to_nccl) {
  // For documentation: no machine has it (RFC 5737).
  auto said = nccl::use_network_of("192.0.2.1");
  BOOST_CHECK_EQUAL(chosen(), "");
  BOOST_CHECK(contains(said, "no network interface"));
  BOOST_CHECK(contains(said, "192.0.2.1"));
  // One machine alone.
  BOOST_CHECK_EQUAL(nccl::use_network_of(""), "");
  BOOST_CHECK_EQUAL(chosen(), "");
}

// As in hosts files for a machine's own name.
BOOST_AUTO_TEST_CASE(a_name_of_the_loopback_leaves_the_choice_to_nccl) {
  auto said = nccl::use_network_of("localhost");
  BOOST_CHECK_EQUAL(chosen(), "");
  BOOST_CHECK(contains(said, "no network interface"));
}

BOOST_AUTO_TEST_CASE(the_users_choice_stays) {
  ::setenv(variable, "eth7", 1);
  BOOST_CHECK_EQUAL(nccl::use_network_of("127.0.0.1"), "");
  BOOST_CHECK_EQUAL(chosen(), "eth7");
  ::unsetenv(variable);
  std::ofstream{file} << "NCCL_DEBUG=WARN\nNCCL_SOCKET_IFNAME=eth8\n";
  BOOST_CHECK_EQUAL(nccl::use_network_of("127.0.0.1"), "");
  BOOST_CHECK_EQUAL(chosen(), "");
  // A comment chooses nothing.
  std::ofstream{file} << "# NCCL_SOCKET_IFNAME=eth8\n";
  BOOST_CHECK_NE(nccl::use_network_of("127.0.0.1"), "");
  BOOST_CHECK_EQUAL(chosen(), "=lo");
}

BOOST_AUTO_TEST_SUITE_END()
