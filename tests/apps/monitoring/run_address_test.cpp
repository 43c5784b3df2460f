// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/monitoring/run_address.hpp"

#include <boost/test/unit_test.hpp>

#include <fstream>

#include "support/scratch.hpp"

using namespace troupe;
using monitoring::find_address;
using monitoring::parse_address;

namespace {

struct fixture {
  test::scratch scratch;

  void run(const std::string& name, const std::string& address) {
    std::filesystem::create_directories(scratch.path() / name);
    std::ofstream{scratch.path() / name / "config.yaml"} << "app: demo\n";
    std::ofstream{scratch.path() / name / "monitor.address"} << address;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(run_address, fixture)

BOOST_AUTO_TEST_CASE(an_address_is_a_host_and_a_port) {
  auto got = parse_address("127.0.0.1:4100");
  BOOST_REQUIRE(got);
  BOOST_TEST(to_string(*got) == "127.0.0.1:4100");
  BOOST_TEST(to_string(parse_address("localhost:1").value()) == "127.0.0.1:1");
  BOOST_TEST(parse_address("10.0.0.7:65535").value().port == 65535u);
}

BOOST_AUTO_TEST_CASE(what_is_no_address_is_refused_with_a_sentence) {
  for (const auto* text :
       {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1:4100x", "127.0.0.1: 4100", ":4100",
        "example.org:4100", "1.2.3:4100", "::1:4100", "\x1b[2J:4100"}) {
    auto got = parse_address(text);
    BOOST_REQUIRE_MESSAGE(!got, text);
    BOOST_TEST((got.error().code() == errc::invalid));
    BOOST_TEST(got.error().message().find("expected HOST:PORT")
               != std::string::npos);
    BOOST_TEST(got.error().message().find('\x1b') == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_run_is_found_by_its_name_or_its_folder) {
  run("first", "127.0.0.1:4100\n");
  auto folder = scratch.path();
  auto by_name = find_address("first", folder);
  BOOST_REQUIRE(by_name);
  BOOST_TEST(by_name->port == 4100u);
  BOOST_TEST(find_address((folder / "first").string(), "elsewhere")->port
             == 4100u);
  BOOST_TEST(find_address("127.0.0.1:7", folder)->port == 7u);
}

BOOST_AUTO_TEST_CASE(a_run_that_does_not_go_on_or_is_not_there_says_so) {
  auto missing = find_address("first", scratch.path());
  BOOST_REQUIRE(!missing);
  BOOST_TEST((missing.error().code() == errc::invalid));
  run("first", "");
  auto over = find_address("first", scratch.path());
  BOOST_REQUIRE(!over);
  BOOST_TEST((over.error().code() == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(what_a_file_says_is_checked) {
  run("first", std::string(100'000, 'x'));
  BOOST_TEST(!find_address("first", scratch.path()));
  run("second", "127.0.0.1:99999\n");
  BOOST_TEST(!find_address("second", scratch.path()));
}

BOOST_AUTO_TEST_SUITE_END()
