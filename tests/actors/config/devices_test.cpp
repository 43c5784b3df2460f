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

namespace {

/// Two GPUs, and how often somebody asked for them.
struct two_gpus {
  gpu_finder finder() {
    return [this]() -> result<gpu_inventory> {
      ++asked;
      return gpu_inventory{{{"Small", "GPU-1", 1, "8.0"},
                            {"Large", "GPU-2", 2, "9.0"}},
                           {}};
    };
  }

  int asked = 0;
};

} // namespace

BOOST_AUTO_TEST_CASE(all_gpus_are_named_and_those_asked_for_keep_their_order) {
  two_gpus machine;
  auto all = name_devices(parse_devices("cuda").value(), machine.finder());
  BOOST_REQUIRE(all.has_value());
  BOOST_TEST((*all == device_request{device_kind::cuda, 2, {0, 1}}));
  auto turned = name_devices(parse_devices("cuda:1,0").value(),
                             machine.finder());
  BOOST_REQUIRE(turned.has_value());
  BOOST_TEST((*turned == device_request{device_kind::cuda, 2, {1, 0}}));
  auto one = name_devices(parse_devices("cuda:1").value(), machine.finder());
  BOOST_REQUIRE(one.has_value());
  BOOST_TEST((*one == device_request{device_kind::cuda, 1, {1}}));
  BOOST_TEST(machine.asked == 3);
}

BOOST_AUTO_TEST_CASE(nobody_looks_for_gpus_where_none_were_asked_for) {
  two_gpus machine;
  for (const auto* text : {"cpu:2", "inproc:3"}) {
    auto request = parse_devices(text).value();
    auto named = name_devices(request, machine.finder());
    BOOST_REQUIRE(named.has_value());
    BOOST_TEST((*named == request));
  }
  BOOST_TEST(machine.asked == 0);
}

BOOST_AUTO_TEST_CASE(a_gpu_that_is_not_there_is_told_with_those_that_are) {
  two_gpus machine;
  auto named = name_devices(parse_devices("cuda:1,5").value(),
                            machine.finder());
  BOOST_REQUIRE(!named.has_value());
  BOOST_TEST((named.error().code() == errc::invalid));
  BOOST_TEST(named.error().message()
             == "--devices cuda:1,5: there is no cuda:5 here; this machine has "
                "cuda:0 (Small), cuda:1 (Large)");
}

BOOST_AUTO_TEST_CASE(without_gpus_the_reason_is_told_and_what_to_do) {
  auto none = [](const char* why) {
    return name_devices(parse_devices("cuda").value(), [why] {
      return result<gpu_inventory>{gpu_inventory{{}, why}};
    });
  };
  auto named = none("this build has no CUDA");
  BOOST_REQUIRE(!named.has_value());
  BOOST_TEST((named.error().code() == errc::unavailable));
  BOOST_TEST(named.error().message()
             == "--devices cuda: no GPU can be used: this build has no CUDA; "
                "or use --devices cpu:N");
  BOOST_TEST(!none("").has_value());
  auto lost = name_devices(parse_devices("cuda:0").value(), [] {
    return result<gpu_inventory>{fail(errc::timed_out, "no answer")};
  });
  BOOST_REQUIRE(!lost.has_value());
  BOOST_TEST((lost.error().code() == errc::timed_out));
  BOOST_TEST(lost.error().message() == "--devices cuda:0: no answer");
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
