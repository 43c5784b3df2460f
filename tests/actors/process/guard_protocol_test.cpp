// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/guard_protocol.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/process/support.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;
namespace protocol = troupe::process::guard_protocol;

namespace {

std::vector<protocol::message> one_of_each() {
  host_command command;
  command.slot = 3;
  command.incarnation = incarnation{7};
  command.executable = "/bin/program";
  command.argv = {"program", "", "--flag"};
  command.env = {"A=1"};
  command.log_path = "log/host-3";
  return {protocol::spawn{11, command},
          protocol::kill{3, incarnation{7}, 9},
          protocol::shutdown{500},
          protocol::spawned{11, 4711},
          protocol::spawn_failed{11, error{errc::refused, "no"}},
          protocol::exited{{3, incarnation{7}, 4711, 256, 812}},
          protocol::peer{node_slot, incarnation{0}},
          protocol::peer_gone{3, incarnation{7}},
          protocol::alive{},
          protocol::begin_job{"job-1", 100, 800, 30'000, 10'000}};
}

} // namespace

BOOST_AUTO_TEST_SUITE(guard_protocol)

BOOST_AUTO_TEST_CASE(every_message_arrives_as_sent) {
  for (const auto& x : one_of_each()) {
    auto encoded = protocol::encode(x);
    auto back = protocol::decode(encoded);
    BOOST_REQUIRE(back);
    BOOST_TEST(back->index() == x.index());
    BOOST_TEST((protocol::encode(*back) == encoded));
  }
}

BOOST_AUTO_TEST_CASE(a_message_cut_anywhere_is_no_message) {
  for (const auto& x : one_of_each()) {
    auto encoded = protocol::encode(x);
    for (std::size_t size = 0; size < encoded.size(); ++size)
      BOOST_TEST(!protocol::decode(std::span{encoded}.first(size)).has_value());
    encoded.push_back(std::byte{0});
    BOOST_TEST(!protocol::decode(encoded).has_value());
  }
}

BOOST_AUTO_TEST_CASE(noise_never_decodes_into_impossible_values) {
  auto random = seeded_generator();
  auto seeds = one_of_each();
  for (int i = 0; i < 20'000; ++i) {
    auto x = protocol::decode(
      mutate(protocol::encode(seeds[random() % seeds.size()]), random));
    if (!x)
      continue;
    if (auto* y = std::get_if<protocol::spawn>(&*x)) {
      BOOST_TEST(y->command.slot >= 0);
      BOOST_TEST(y->command.slot < slots_max);
      BOOST_TEST(!y->command.argv.empty());
    }
    if (auto* y = std::get_if<protocol::kill>(&*x)) {
      BOOST_TEST(y->signal > 0);
      BOOST_TEST(y->signal <= 64);
    }
    if (auto* y = std::get_if<protocol::begin_job>(&*x))
      BOOST_TEST(is_job_id(y->job_id));
  }
}

BOOST_AUTO_TEST_SUITE_END()
