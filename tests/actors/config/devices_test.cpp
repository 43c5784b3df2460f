// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/devices.hpp"

#include <boost/test/unit_test.hpp>

using namespace troupe;
using namespace troupe::config;

BOOST_AUTO_TEST_SUITE(devices)

BOOST_AUTO_TEST_CASE(every_form_is_read_and_written_back) {
  struct row {
    const char* text;
    device_request want;
    const char* back;
  };
  std::vector<row> rows{
    {"cpu", {device_kind::cpu, 1, {}}, "cpu:1"},
    {"cpu:2", {device_kind::cpu, 2, {}}, "cpu:2"},
    {"inproc:3", {device_kind::inproc, 3, {}}, "inproc:3"},
    {"cuda", {device_kind::cuda, 0, {}}, "cuda"},
    {"cuda:0", {device_kind::cuda, 1, {0}}, "cuda:0"},
    {"cuda:1,0", {device_kind::cuda, 2, {1, 0}}, "cuda:1,0"},
  };
  for (const auto& row : rows) {
    auto request = parse_devices(row.text);
    BOOST_REQUIRE_MESSAGE(request.has_value(), row.text);
    BOOST_TEST((*request == row.want), row.text);
    BOOST_TEST(to_string(*request) == row.back);
  }
}

BOOST_AUTO_TEST_CASE(wrong_forms_are_refused_with_what_is_allowed) {
  constexpr const char*
    allowed = "; allowed: cpu:N, inproc:N, cuda, cuda:ID,ID...";
  struct row {
    const char* text;
    const char* why;
  };
  std::vector<row> rows{
    {"", "unknown kind ''"},
    {"gpu", "unknown kind 'gpu' (did you mean 'cpu'?)"},
    {"cudda:1", "unknown kind 'cudda' (did you mean 'cuda'?)"},
    {"cpu:", "the number of devices must be from 1 to 1024"},
    {"cpu:0", "the number of devices must be from 1 to 1024"},
    {"cpu:-1", "the number of devices must be from 1 to 1024"},
    {"cpu:2x", "the number of devices must be from 1 to 1024"},
    {"cpu:99999999999999", "the number of devices must be from 1 to 1024"},
    {"cuda:", "device numbers must be from 0 to 1023, with commas between "
              "them"},
    {"cuda:0,", "device numbers must be from 0 to 1023, with commas between "
                "them"},
    {"cuda:1,1", "device 1 is named twice"},
  };
  for (const auto& row : rows) {
    auto request = parse_devices(row.text);
    BOOST_REQUIRE_MESSAGE(!request.has_value(), row.text);
    BOOST_TEST((request.error().code() == errc::invalid));
    BOOST_TEST(request.error().message()
               == "--devices '" + std::string{row.text} + "': " + row.why
                    + allowed);
  }
}

BOOST_AUTO_TEST_CASE(too_few_devices_name_both_numbers) {
  device_request two{device_kind::cpu, 2, {}};
  BOOST_TEST(check_devices(2, 2, two).has_value());
  auto refused = check_devices(6, 2, two);
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST((refused.error().code() == errc::exhausted));
  BOOST_TEST(refused.error().message()
             == "the job requires 6 devices, --devices cpu:2 makes 2 "
                "available; ask for cpu:6 or let more models share devices "
                "(runtime.colocation)");
  refused = check_devices(1, 0, {device_kind::cuda, 0, {}});
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().message()
             == "the job requires 1 device, --devices cuda makes 0 available; "
                "lower num_gpu or let more models share devices "
                "(runtime.colocation)");
}

BOOST_AUTO_TEST_SUITE_END()
