// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/node/gpu_probe.hpp"

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <sys/wait.h>

#include "support/cuda/stand_in_runtime.hpp"

using namespace troupe;
using namespace troupe::node;

namespace {

/// A shell that plays the child.
gpu_probe_settings shell(const std::string& script) {
  gpu_probe_settings x;
  x.executable = "/bin/sh";
  x.argv = {"sh", "-c", script};
  return x;
}

config::gpu_inventory two() {
  return {{{"NVIDIA \"A\"", "GPU-00", std::uint64_t{80} << 30, "9.0"},
           {"NVIDIA B", "GPU-01", 1, "10.0"}},
          {}};
}

std::string quoted(const std::string& x) {
  return fmt::format("printf '%s\\n' '{}'", x);
}

/// True if this process has a child, dead or alive.
bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

} // namespace

BOOST_AUTO_TEST_SUITE(node_gpu_probe)

BOOST_AUTO_TEST_CASE(an_inventory_survives_its_json) {
  config::gpu_inventory none{{}, "no driver"};
  auto masked = two();
  masked.mask = "1,\"0\"";
  masked.gpus[1].closed = true;
  auto hidden = two();
  hidden.mask = "";
  for (const auto& x : {two(), none, masked, hidden}) {
    auto back = parse_gpus(to_json(x));
    BOOST_REQUIRE(back.has_value());
    BOOST_TEST((*back == x));
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_read_is_no_inventory) {
  for (const auto* text : {"", "\n\n", "hello", "[]", "{}", "{\"count\":0}",
                           "{\"count\":1,\"devices\":[],\"why\":\"\"}",
                           "{\"count\":-1,\"devices\":[],\"why\":\"\"}",
                           "{\"count\":1,\"devices\":[{}],\"why\":\"\"}",
                           "{\"count\":1,\"devices\":[7],\"why\":\"\"}",
                           "{\"count\":0,\"devices\":[],\"why\":\"\"}",
                           "{\"count\":0,\"devices\":[],\"why\":\"\","
                           "\"mask\":7}",
                           "{\"count\":0,\"devices\":[],\"why\":3,"
                           "\"mask\":null}"}) {
    auto got = parse_gpus(text);
    BOOST_REQUIRE_MESSAGE(!got.has_value(), text);
    BOOST_TEST((got.error().code() == errc::corrupt));
  }
}

BOOST_AUTO_TEST_CASE(a_child_tells_and_is_gone) {
  auto got = find_gpus(shell("echo noise; " + quoted(to_json(two()))));
  BOOST_REQUIRE(got.has_value());
  BOOST_TEST((*got == two()));
  BOOST_TEST(!has_children());
}

BOOST_AUTO_TEST_CASE(a_child_that_says_nothing_of_use_is_an_error) {
  auto quiet = find_gpus(shell("exit 0"));
  BOOST_REQUIRE(!quiet.has_value());
  BOOST_TEST((quiet.error().code() == errc::corrupt));
  auto failed = find_gpus(shell("exit 3"));
  BOOST_REQUIRE(!failed.has_value());
  BOOST_TEST((failed.error().code() == errc::lost));
  BOOST_TEST(failed.error().message().find("code 3") != std::string::npos);
  auto killed = find_gpus(shell("kill -SEGV $$"));
  BOOST_REQUIRE(!killed.has_value());
  BOOST_TEST((killed.error().code() == errc::lost));
  BOOST_TEST(killed.error().message().find("signal 11") != std::string::npos);
  auto endless = find_gpus(shell("yes"));
  BOOST_REQUIRE(!endless.has_value());
  BOOST_TEST((endless.error().code() == errc::corrupt));
  auto missing = shell("");
  missing.executable = "/nowhere/troupe";
  BOOST_TEST(!find_gpus(missing).has_value());
  BOOST_TEST(!has_children());
}

BOOST_AUTO_TEST_CASE(a_child_that_hangs_is_killed_in_time) {
  auto settings = shell("exec sleep 1000");
  settings.patience = std::chrono::milliseconds{50};
  auto got = find_gpus(settings);
  BOOST_REQUIRE(!got.has_value());
  BOOST_TEST((got.error().code() == errc::timed_out));
  BOOST_TEST(!has_children());
}

BOOST_AUTO_TEST_CASE(a_runtimes_devices_are_listed_in_order) {
  test::stand_in_options options;
  options.devices = {4, 2};
  test::stand_in_runtime cuda{options};
  auto got = gpus_of(cuda);
  BOOST_REQUIRE(got.gpus.size() == 2u);
  BOOST_TEST(got.why.empty());
  BOOST_TEST(got.gpus[0].uuid.substr(0, 4) == "GPU-");
  BOOST_TEST(got.gpus[0].uuid.size() == 40u);
  BOOST_TEST(got.gpus[0].uuid != got.gpus[1].uuid);
  BOOST_TEST(got.gpus[0].memory_bytes > 0u);
}

BOOST_AUTO_TEST_CASE(what_hides_and_closes_devices_is_told) {
  test::stand_in_options options;
  options.devices = {4, 2, 3};
  using mode = comm::cuda::compute_mode;
  options.modes = {mode::shared, mode::nobody, mode::exclusive};
  test::stand_in_runtime cuda{options};
  ::setenv("CUDA_VISIBLE_DEVICES", "4,2,3", 1);
  auto got = gpus_of(cuda);
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  BOOST_TEST_REQUIRE(got.gpus.size() == 3u);
  BOOST_TEST(!got.gpus[0].closed);
  BOOST_TEST(got.gpus[1].closed);
  BOOST_TEST(!got.gpus[2].closed);
  BOOST_TEST((got.mask == std::optional<std::string>{"4,2,3"}));
  BOOST_TEST((gpus_of(cuda).mask == std::nullopt));
}

BOOST_AUTO_TEST_CASE(a_runtime_without_devices_says_why) {
  test::stand_in_options options;
  options.devices = {};
  test::stand_in_runtime cuda{options};
  auto got = gpus_of(cuda);
  BOOST_TEST(got.gpus.empty());
  BOOST_TEST(!got.why.empty());
}

BOOST_AUTO_TEST_SUITE_END()
