// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/status_json.hpp"

#include <boost/test/unit_test.hpp>

#include <limits>

#include <nlohmann/json.hpp>

#include "troupe/actors/monitor/monitor_version.hpp"

using namespace troupe;
using nlohmann::json;

namespace {

json parse_line(const std::string& text) {
  BOOST_TEST(text.back() == '\n');
  BOOST_TEST(text.find('\n') == text.size() - 1);
  return json::parse(text);
}

} // namespace

BOOST_AUTO_TEST_SUITE(monitor_status_json)

BOOST_AUTO_TEST_CASE(a_report_says_null_where_something_does_not_apply) {
  protocol::error_report x;
  x.id = 7;
  x.code = errc::failed;
  x.message = "out of tea";
  auto got = json::parse(monitor::to_json(x).dump());
  BOOST_TEST(got["id"] == 7);
  BOOST_TEST(got["level"] == "error");
  BOOST_TEST(got["code"] == "failed");
  BOOST_TEST(got["message"] == "out of tea");
  for (const auto* key :
       {"model", "replica", "rank", "node", "slot", "device", "operation"})
    BOOST_TEST(got[key].is_null(), key);
  x.level = protocol::severity::warning;
  x.model = "policy";
  x.rank = rank_id{0};
  got = json::parse(monitor::to_json(x).dump());
  BOOST_TEST(got["level"] == "warning");
  BOOST_TEST(got["model"] == "policy");
  BOOST_TEST(got["rank"] == 0);
}

BOOST_AUTO_TEST_CASE(a_greeting_says_what_must_agree) {
  auto got = parse_line(
    monitor::hello_line({"1.2", "abc", "demo", "first", "job", 42}));
  BOOST_TEST(got["type"] == "hello");
  BOOST_TEST(got["monitor"] == monitor::monitor_version);
  BOOST_TEST(got["version"] == "1.2");
  BOOST_TEST(got["build"] == "abc");
  BOOST_TEST(got["pid"] == 42);
}

BOOST_AUTO_TEST_CASE(a_status_is_one_line_whatever_is_in_it) {
  protocol::run_status x;
  x.app = "de\nmo";
  x.progress.phase = "gener\xff"
                     "ation";
  x.progress.metrics = {{"loss", std::numeric_limits<double>::quiet_NaN()},
                        {"kl", -std::numeric_limits<double>::infinity()},
                        {"reward", 0.5}};
  protocol::worker_status worker;
  worker.worker = {"policy", replica_id{1}, rank_id{0}};
  worker.operation = "generate";
  worker.age_ms = 12;
  worker.version = weight_version{3};
  worker.memory = {3000, 4000, 500};
  x.workers.push_back(worker);
  worker.memory = {};
  worker.worker.replica = replica_id{0};
  worker.version = weight_version{2};
  x.workers.push_back(worker);
  x.models.push_back({"policy", 2, 1, false});
  x.models.push_back({"reward", 1, 1, false});
  x.errors.items.resize(2);
  x.errors.items[1].cause = 9;
  x.silent = {"node 3"};
  auto got = parse_line(monitor::status_line(x));
  BOOST_TEST(got["type"] == "status");
  BOOST_TEST(got["app"] == "de\nmo");
  BOOST_TEST(got["metrics"]["loss"].is_null());
  BOOST_TEST(got["metrics"]["kl"].is_null());
  BOOST_TEST(got["metrics"]["reward"] == 0.5);
  BOOST_TEST(got["end"].is_null());
  BOOST_TEST(got["workers"][0]["worker"] == "policy/1/0");
  BOOST_TEST(got["workers"][0]["ms"] == 12);
  BOOST_TEST(got["workers"][0]["answers"] == true);
  auto memory = got["workers"][0]["device_memory"];
  BOOST_TEST(memory["used_bytes"] == 3000);
  BOOST_TEST(memory["total_bytes"] == 4000);
  BOOST_TEST(memory["own_bytes"] == 500);
  BOOST_TEST(got["workers"][1]["device_memory"].is_null());
  // The lowest of its replicas; nobody knows that of a model without workers.
  BOOST_TEST(got["models"][0]["version"] == 2);
  BOOST_TEST(got["models"][1]["version"].is_null());
  BOOST_TEST(got["errors"]["last"][0]["cause"].is_null());
  BOOST_TEST(got["errors"]["last"][1]["cause"] == 9);
  BOOST_TEST(got["silent"][0] == "node 3");
}

BOOST_AUTO_TEST_SUITE_END()
