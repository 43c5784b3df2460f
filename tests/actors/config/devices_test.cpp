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

namespace {

/// What `devices` means where two GPUs are seen behind that mask.
result<device_request> behind(const char* mask, const char* devices) {
  return name_devices(parse_devices(devices).value(), [mask] {
    gpu_inventory out{{{"Small", "GPU-1", 1, "8.0"},
                       {"Large", "GPU-2", 2, "9.0"}},
                      {}};
    out.mask = mask;
    return result<gpu_inventory>{out};
  });
}

} // namespace

// CUDA says nothing about the names behind one that is wrong.
BOOST_AUTO_TEST_CASE(a_mask_that_hides_more_than_it_says_is_refused) {
  for (const auto* good :
       {"0,1", "1, 0", "2,5,-1,3", "GPU-1,GPU-2", "7", "MIG-1/0/0,MIG-2",
        "MIG-1,MIG-2,MIG-3", "0,1,", "", "NoDevFiles"}) {
    auto named = behind(good, "cuda");
    BOOST_REQUIRE_MESSAGE(named.has_value(), good);
    BOOST_TEST(named->count == 2, good);
  }
  for (const auto* bad : {"0,9,1", "GPU-1,GPU-2,GPU-3", "0,1,2,-1"}) {
    auto named = behind(bad, "cuda");
    BOOST_REQUIRE_MESSAGE(!named.has_value(), bad);
    BOOST_TEST((named.error().code() == errc::invalid));
    // Who names devices gets them.
    BOOST_TEST(behind(bad, "cuda:1").has_value(), bad);
  }
  BOOST_TEST(behind("0,9,1", "cuda").error().message()
             == "--devices cuda: CUDA_VISIBLE_DEVICES is '0,9,1' and names 3 "
                "devices, of which CUDA shows 2: it hides what follows a name "
                "that is none; mend it, or name devices (cuda:0)");
}

BOOST_AUTO_TEST_CASE(a_number_behind_a_mask_is_told_with_the_mask) {
  auto named = behind("2,3", "cuda:3");
  BOOST_REQUIRE(!named.has_value());
  BOOST_TEST(named.error().message()
             == "--devices cuda:3: there is no cuda:3 here; this machine has "
                "cuda:0 (Small), cuda:1 (Large); CUDA_VISIBLE_DEVICES is "
                "'2,3': it hides the others, and numbers begin with its first");
}

BOOST_AUTO_TEST_CASE(a_gpu_that_lets_nobody_in_is_not_taken) {
  gpu_inventory seen{{{"Small", "GPU-1", 1, "8.0", true},
                      {"Large", "GPU-2", 2, "9.0"}},
                     {}};
  auto name = [&](const char* devices) {
    return name_devices(parse_devices(devices).value(),
                        [&] { return result<gpu_inventory>{seen}; });
  };
  auto all = name("cuda");
  BOOST_REQUIRE(all.has_value());
  BOOST_TEST((*all == device_request{device_kind::cuda, 1, {1}}));
  auto closed = name("cuda:1,0");
  BOOST_REQUIRE(!closed.has_value());
  BOOST_TEST((closed.error().code() == errc::unavailable));
  BOOST_TEST(closed.error().message()
             == "--devices cuda:1,0: cuda:0 (Small) lets no process in "
                "(compute mode Prohibited): open it with nvidia-smi -i GPU-1 "
                "-c DEFAULT, or name others");
  seen.gpus[1].closed = true;
  auto none = name("cuda");
  BOOST_REQUIRE(!none.has_value());
  BOOST_TEST((none.error().code() == errc::unavailable));
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
