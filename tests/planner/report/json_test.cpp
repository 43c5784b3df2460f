// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/report/json.hpp"

#include <boost/test/unit_test.hpp>

#include <nlohmann/json.hpp>

#include "planner/report/plan_samples.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::report;
using namespace troupe::planner::testing;

namespace {

std::vector<std::string> keys_of(const nlohmann::ordered_json& x) {
  std::vector<std::string> keys;
  for (const auto& item : x.items())
    keys.push_back(item.key());
  return keys;
}

using keys = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_SUITE(report_json)

BOOST_AUTO_TEST_CASE(keys_are_those_of_the_schema) {
  auto sample = small_plan();
  auto x = nlohmann::ordered_json::parse(render_json(sample.inputs()));
  BOOST_TEST(x["schema"] == "troupe.plan/1");
  BOOST_TEST((keys_of(x)
              == keys{"schema", "placement_order", "cluster", "models", "packs",
                      "devices", "syncs", "memory", "prediction", "warnings"}));
  BOOST_TEST((keys_of(x["models"][0])
              == keys{"name", "num_gpu", "gpu_per_process", "num_cpu",
                      "num_replica", "trainable", "isolated", "parallel",
                      "reversed", "colocated", "reasons", "replicas"}));
  BOOST_TEST((keys_of(x["devices"][0]) == keys{"id", "node", "pack", "ranks"}));
  BOOST_TEST((keys_of(x["syncs"][0])
              == keys{"source", "destination", "bytes", "bytes_by_link",
                      "slowest_link", "seconds"}));
  BOOST_TEST((keys_of(x["memory"])
              == keys{"fits", "peak_bytes", "unknown_models", "devices"}));
  BOOST_TEST((keys_of(x["prediction"])
              == keys{"generation_seconds", "training_seconds", "sync_seconds",
                      "total_seconds", "models"}));
}

BOOST_AUTO_TEST_CASE(the_placement_is_there_both_ways) {
  auto sample = small_plan();
  auto x = nlohmann::json::parse(render_json(sample.inputs()));
  BOOST_TEST(x["devices"].size() == 8u);
  const auto& policy = x["models"][1];
  BOOST_TEST(policy["name"] == "policy");
  BOOST_TEST(policy["reversed"] == true);
  BOOST_TEST(policy["replicas"][0]["ranks"][0]["devices"][0] == 7);
  const auto& last = x["devices"][7]["ranks"][1];
  BOOST_TEST(last["model"] == "policy");
  BOOST_TEST(last["replica"] == 0);
  BOOST_TEST(last["rank"] == 0);
  BOOST_TEST(x["packs"][0]["models"].size() == 3u);
}

BOOST_AUTO_TEST_CASE(what_is_unknown_is_null) {
  auto sample = small_plan();
  plan_inputs inputs{sample.sample.job, sample.machines, sample.plan, {}};
  auto x = nlohmann::json::parse(render_json(inputs));
  BOOST_TEST(x["memory"].is_null());
  BOOST_TEST(x["prediction"].is_null());
  BOOST_TEST(x["syncs"][0].size() == 2u);
}

BOOST_AUTO_TEST_CASE(names_that_are_no_utf8_do_not_throw) {
  auto sample = small_plan();
  sample.plan.models[0].name = "\xff\xfe\"";
  BOOST_TEST(nlohmann::json::accept(render_json(sample.inputs())));
}

BOOST_AUTO_TEST_SUITE_END()
