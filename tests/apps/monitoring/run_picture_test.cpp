// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/monitoring/run_picture.hpp"

#include <boost/test/unit_test.hpp>

#include <limits>
#include <random>

#include "support/random_seed.hpp"
#include "troupe/actors/monitor/status_json.hpp"

using namespace troupe;
using monitoring::parse_hello;
using monitoring::parse_status;

namespace {

std::string hello(const std::string& version = "1.2") {
  return monitor::hello_line({version, "abc", "demo", "first", "job", 42});
}

protocol::run_status sample() {
  protocol::run_status x;
  x.app = "demo";
  x.run = "first";
  x.progress.phase = "generation";
  x.progress.done = 3;
  x.progress.total = 9;
  x.progress.phase_ms = 1200;
  x.progress.episode = 3;
  x.progress.num_episode = 9;
  x.progress.metrics = {{"loss", std::numeric_limits<double>::quiet_NaN()},
                        {"reward", 0.5}};
  protocol::host_info host;
  host.host = {node_id{0}, 1, incarnation{2}};
  host.device = "cpu:1";
  host.pid = 77;
  host.alive = true;
  host.workers = {{"policy", replica_id{1}, rank_id{0}}};
  x.nodes.push_back({node_id{0}, {host}});
  x.models.push_back({"policy", 2, 1, true});
  protocol::worker_status worker;
  worker.worker = host.workers[0];
  worker.operation = "generate";
  worker.age_ms = 5;
  worker.silent = true;
  x.workers.push_back(worker);
  x.errors.errors = 4;
  x.errors.warnings = 1;
  protocol::error_report report;
  report.id = 3;
  report.level = protocol::severity::warning;
  report.code = errc::timed_out;
  report.model = "policy";
  report.replica = replica_id{1};
  report.message = "slow";
  report.cause = 2;
  x.errors.items = {report};
  x.silent = {"node 3"};
  return x;
}

} // namespace

BOOST_AUTO_TEST_SUITE(run_picture)

BOOST_AUTO_TEST_CASE(what_a_run_tells_comes_back) {
  auto got = parse_status(monitor::status_line(sample()));
  BOOST_REQUIRE(got);
  BOOST_TEST(got->app == "demo");
  BOOST_TEST(got->phase == "generation");
  BOOST_TEST(got->phase_done == 3);
  BOOST_TEST(got->phase_ms == 1200);
  BOOST_TEST(got->num_episode == 9);
  BOOST_REQUIRE(got->metrics.size() == 2u);
  BOOST_TEST(!got->metrics[0].second);
  BOOST_TEST(got->metrics[1].second.value() == 0.5);
  BOOST_REQUIRE(got->hosts.size() == 1u);
  BOOST_TEST(got->hosts[0].device == "cpu:1");
  BOOST_TEST(got->hosts[0].pid == 77);
  BOOST_TEST(got->hosts[0].alive);
  BOOST_TEST(got->hosts[0].life == 2);
  BOOST_TEST(got->hosts[0].workers.front() == "policy/1/0");
  BOOST_REQUIRE(got->models.size() == 1u);
  BOOST_TEST(got->models[0].trainable);
  // Its only worker does not answer.
  BOOST_TEST(!got->models[0].version);
  BOOST_REQUIRE(got->workers.size() == 1u);
  BOOST_TEST(!got->workers[0].answers);
  BOOST_TEST(got->errors == 4);
  BOOST_TEST(got->warnings == 1);
  BOOST_REQUIRE(got->reports.size() == 1u);
  BOOST_TEST((got->reports[0].level == protocol::severity::warning));
  BOOST_TEST((got->reports[0].code == errc::timed_out));
  BOOST_TEST(got->reports[0].cause == 2u);
  BOOST_TEST(got->reports[0].rank.value() == -1);
  BOOST_TEST(got->silent.front() == "node 3");
}

BOOST_AUTO_TEST_CASE(a_run_of_the_same_version_is_welcome) {
  auto got = parse_hello(hello(), "1.2");
  BOOST_REQUIRE(got);
  BOOST_TEST(got->app == "demo");
  BOOST_TEST(got->run == "first");
}

BOOST_AUTO_TEST_CASE(another_version_is_refused_with_both) {
  auto got = parse_hello(hello("1.3"), "1.2");
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::refused));
  BOOST_TEST_INFO(got.error().message());
  BOOST_TEST(got.error().message().find("Troupe 1.3") != std::string::npos);
  BOOST_TEST(got.error().message().find("of 1.2") != std::string::npos);
  auto other = hello();
  other.replace(other.find("\"monitor\":1"), 11, "\"monitor\":9");
  BOOST_TEST((parse_hello(other, "1.2").error().code() == errc::refused));
}

BOOST_AUTO_TEST_CASE(a_run_that_refuses_says_why) {
  auto got = parse_hello(monitor::refusal_line("too \x1b[2J many"), "1.2");
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::refused));
  BOOST_TEST(got.error().message() == "the run refuses: too ?[2J many");
}

BOOST_AUTO_TEST_CASE(what_is_no_run_is_refused) {
  for (const auto* text :
       {"", "HTTP/1.0 200 OK", "{}", "[]", "null", "7", "{\"type\":\"hello\"",
        "{\"type\":7}", "\xff\xfe", "{\"type\":\"status\"}"})
    BOOST_TEST(!parse_hello(text, "1.2"), text);
  BOOST_TEST(!parse_status("7"));
  BOOST_TEST(!parse_status("{\"a\":"));
}

BOOST_AUTO_TEST_CASE(deep_nests_do_no_harm) {
  std::string deep(100'000, '[');
  BOOST_TEST(!parse_status("{\"workers\":" + deep));
  std::string closed(100'000, ']');
  auto got = parse_status("{\"workers\":" + deep + closed + "}");
  if (got)
    BOOST_TEST(got->workers.empty());
}

BOOST_AUTO_TEST_CASE(wrong_types_give_defaults) {
  auto got = parse_status("{\"app\":7,\"episode\":\"x\",\"metrics\":[1],"
                          "\"nodes\":{\"a\":1},\"models\":[7,null],"
                          "\"workers\":[{\"worker\":[]}],\"errors\":[],"
                          "\"silent\":[1,\"x\"],\"uptime_ms\":1e300}");
  BOOST_REQUIRE(got);
  BOOST_TEST(got->app.empty());
  BOOST_TEST(got->episode == 0);
  BOOST_TEST(got->uptime_ms == 0);
  BOOST_TEST(got->metrics.empty());
  BOOST_TEST(got->workers.size() == 1u);
  BOOST_TEST(got->silent.size() == 1u);
}

// Bytes that were damaged on their way never do more than to be refused.
BOOST_AUTO_TEST_CASE(damaged_lines_are_refused_or_read) {
  auto seed = test::random_seed();
  BOOST_TEST_INFO_SCOPE("TROUPE_SEED=" << seed);
  std::mt19937_64 random{seed};
  const auto good = monitor::status_line(sample());
  for (auto round = 0; round < 3000; ++round) {
    auto text = good;
    for (auto i = random() % 4 + 1; i > 0; --i) {
      auto at = random() % text.size();
      switch (random() % 3) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.erase(at, random() % 20); break;
        default: text.insert(at, text.substr(random() % text.size(), 15));
      }
      if (text.empty())
        text = "x";
    }
    static_cast<void>(parse_status(text));
    static_cast<void>(parse_hello(text, "1.2"));
    if (auto clean = monitoring::clean_json(text))
      for (char x : *clean)
        BOOST_TEST(static_cast<unsigned char>(x) >= 0x20);
  }
}

BOOST_AUTO_TEST_SUITE_END()
