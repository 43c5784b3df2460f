// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/support/bench_report.hpp"

#include <limits>
#include <sstream>

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

using namespace troupe::bench;

namespace {

bench_report sample() {
  bench_report x;
  x.begin_section("Round trips");
  x.add_rounds("call_p50_us", {120, 80, 100}, "<= 110");
  x.add({"calls_per_s", 12345.678});
  x.note("A note.");
  x.begin_section("Another");
  x.add({"broken", std::numeric_limits<double>::infinity()});
  return x;
}

} // namespace

BOOST_AUTO_TEST_SUITE(support_bench_report)

BOOST_AUTO_TEST_CASE(json_is_one_object_of_name_and_number) {
  auto json = nlohmann::json::parse(sample().to_json());
  BOOST_TEST(json.size() == 3u);
  BOOST_TEST(json.at("call_p50_us").get<double>() == 100);
  BOOST_TEST(json.at("calls_per_s").get<double>() == 12345.678);
  BOOST_TEST(json.at("broken").is_null());
}

BOOST_AUTO_TEST_CASE(the_table_shows_value_and_spread_within_80_columns) {
  auto text = sample().to_table();
  for (auto x : {"Round trips", "100.0", "80.00", "120.0", "<= 110", "12346",
                 "A note.", "Another"})
    BOOST_TEST(text.find(x) != std::string::npos, x << " in " << text);
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);)
    BOOST_TEST(line.size() <= 80u);
}

BOOST_AUTO_TEST_CASE(a_figure_is_found_by_its_name) {
  auto x = sample();
  BOOST_REQUIRE(x.find("call_p50_us") != nullptr);
  BOOST_TEST(x.find("call_p50_us")->rounds->max == 120);
  BOOST_TEST(x.find("nobody") == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
