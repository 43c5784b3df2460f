// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/report/svg.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <fstream>

#include "planner/report/plan_samples.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::report;
using namespace troupe::planner::testing;

namespace {

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos;
       at = text.find(part, at + part.size()))
    ++n;
  return n;
}

/// For people who want to look: TROUPE_KEEP_PICTURES=folder.
void keep(const char* name, const std::string& text) {
  if (const char* folder = std::getenv("TROUPE_KEEP_PICTURES"))
    std::ofstream{std::string{folder} + "/" + name} << text;
}

} // namespace

BOOST_AUTO_TEST_SUITE(report_svg)

BOOST_AUTO_TEST_CASE(every_rank_is_drawn) {
  auto sample = small_plan();
  auto text = render_svg(sample.inputs());
  keep("small.svg", text);
  BOOST_TEST(text.rfind("<?xml", 0) == 0u);
  BOOST_TEST(count(text, "</svg>") == 1u);
  BOOST_TEST(count(text, ">r0.0</text>") == 3u);
  BOOST_TEST(count(text, "pack A") == 8u);
  BOOST_TEST(count(text, "Weight sync") == 1u);
}

BOOST_AUTO_TEST_CASE(many_models_and_nodes_are_drawn) {
  auto sample = wide_plan();
  auto text = render_svg(sample.inputs());
  keep("wide.svg", text);
  BOOST_TEST(count(text, ">node3") == 1u);
  sample_job job;
  sample_plan large{job, machines_of(40, 8, 0)};
  BOOST_TEST(count(render_svg(large.inputs()), "24 more nodes") == 1u);
}

BOOST_AUTO_TEST_CASE(names_are_escaped) {
  auto sample = small_plan();
  sample.plan.models[0].name = "<a & \"b\">";
  auto text = render_svg(sample.inputs());
  BOOST_TEST(count(text, "<a &") == 0u);
  BOOST_TEST(count(text, "&lt;a &amp; &quot;b&quot;") > 0u);
}

BOOST_AUTO_TEST_CASE(nothing_can_be_drawn_too) {
  job_spec none;
  cluster nowhere;
  placement empty;
  BOOST_TEST(count(render_svg({none, nowhere, empty, {}}), "</svg>") == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
