// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/report/text.hpp"

#include <boost/test/unit_test.hpp>

#include <random>
#include <regex>
#include <sstream>

#include <fmt/format.h>

#include "planner/report/plan_samples.hpp"
#include "support/random_seed.hpp"
#include "troupe/planner/report/text_layout.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::report;
using namespace troupe::planner::testing;

namespace {

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

void check_columns(const std::string& text, std::size_t most = 80) {
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);)
    BOOST_REQUIRE_MESSAGE(width_of(line) <= most, width_of(line)
                                                    << " columns: " << line);
}

std::string without_colour(const std::string& text) {
  static const std::regex escape{"\x1b\\[[0-9;]*m"};
  return std::regex_replace(text, escape, "");
}

} // namespace

BOOST_AUTO_TEST_SUITE(report_text)

BOOST_AUTO_TEST_CASE(words_wrap_and_names_break_at_underscores) {
  BOOST_TEST((wrap("one two three", 9, 2)
              == std::vector<std::string>{"one two", "  three"}));
  BOOST_TEST((wrap("abcdefghijklmnopqrstuvwxyz", 20)
              == std::vector<std::string>{"abcdefghijklmnopqrst", "uvwxyz"}));
  BOOST_TEST((wrap("", 20) == std::vector<std::string>{""}));
  BOOST_TEST((wrap_name("policy_trainer", 8)
              == std::vector<std::string>{"policy_", "trainer"}));
  BOOST_TEST(fit("policy", 4) == "pol~");
  BOOST_TEST(fit("\xc3\xa9t\xc3\xa9", 5) == "\xc3\xa9t\xc3\xa9  ");
  BOOST_TEST(width_of("\xc3\xa9t\xc3\xa9") == 3u);
  BOOST_TEST(bar(0.5, 4) == "[##--]");
  BOOST_TEST(bar(0.001, 4) == "[#---]");
  BOOST_TEST(bar(7, 4) == "[####]");
  BOOST_TEST(printable("a\x1b[1mb\n") == "a?[1mb?");
}

BOOST_AUTO_TEST_CASE(a_plan_shows_devices_models_and_reasons) {
  auto sample = small_plan();
  auto text = render_text(sample.inputs());
  BOOST_TEST_MESSAGE(text);
  check_columns(text);
  BOOST_TEST(contains(text, "Plan: 3 models on 8 devices of 1 node"));
  BOOST_TEST(contains(text, "     0 A    r0.0         r3.1    r0.0       "
                            "[#######---] 58.5/80G"));
  BOOST_TEST(contains(text, "<rev>"));
  BOOST_TEST(contains(text, "] 58."));
  BOOST_TEST(contains(text, "A: policy_trainer, policy, reference on 8"));
  BOOST_TEST(contains(text, "takes the next 8 devices"));
  BOOST_TEST(contains(text, "policy_trainer -> policy: "));
  BOOST_TEST(contains(text, "Predicted episode"));
}

BOOST_AUTO_TEST_CASE(colour_changes_no_letter) {
  for (const auto& sample : {small_plan(), wide_plan()}) {
    text_options coloured;
    coloured.colour = true;
    auto text = render_text(sample.inputs(), coloured);
    BOOST_TEST(contains(text, "\x1b["));
    auto plain = without_colour(text);
    check_columns(plain);
    // Trailing blanks inside a colour are the only difference allowed.
    auto strip = [](std::string x) {
      return std::regex_replace(x, std::regex{" +\n"}, "\n");
    };
    BOOST_TEST(strip(plain) == strip(render_text(sample.inputs())));
  }
}

BOOST_AUTO_TEST_CASE(many_models_are_wrapped_into_blocks) {
  auto sample = wide_plan();
  auto text = render_text(sample.inputs());
  BOOST_TEST_MESSAGE(text);
  check_columns(text);
  for (const auto& model : sample.plan.models)
    BOOST_TEST(contains(text, fmt::format("  {} (", model.name)));
  BOOST_TEST(contains(text, "0-7 A    [#######---] 58.5/80G"));
  BOOST_TEST(contains(text, "rule_based_reward: 8 replicas: 8 on node0"));
}

BOOST_AUTO_TEST_CASE(large_clusters_are_folded) {
  sample_job job;
  job.job.models = {spec_of("policy", 8, 1, 300)};
  job.job.colocation.clear();
  job.job.syncs.clear();
  sample_plan sample{job, machines_of(500, 8, 80 * gib)};
  auto text = render_text(sample.inputs());
  check_columns(text);
  BOOST_TEST(contains(text, "... 299 nodes with the same packs"));
  BOOST_TEST(std::count(text.begin(), text.end(), '\n') < 60);
  // One huge node folds inside.
  sample_job one;
  one.job.models = {spec_of("policy", 1, 1, 900)};
  one.job.colocation.clear();
  one.job.syncs.clear();
  sample_plan node{one, machines_of(1, 1000, 80 * gib)};
  auto inside = render_text(node.inputs());
  check_columns(inside);
  BOOST_TEST(contains(inside, "... 898 devices with the same pack"));
  BOOST_TEST(contains(inside, "900-999"));
}

BOOST_AUTO_TEST_CASE(over_commitment_stands_out) {
  sample_plan sample{sample_job{}, machines_of(1, 8, 40 * gib)};
  text_options options;
  options.colour = true;
  auto text = render_text(sample.inputs(), options);
  BOOST_TEST(contains(text, "\x1b[1;31m[##########]"));
}

BOOST_AUTO_TEST_CASE(what_is_unknown_is_left_out) {
  auto sample = small_plan();
  plan_inputs inputs{sample.sample.job, sample.machines, sample.plan, {}};
  auto text = render_text(inputs);
  check_columns(text);
  BOOST_TEST(!contains(text, "Predicted"));
  BOOST_TEST(!contains(text, "Memory"));
  BOOST_TEST(contains(text, "bytes unknown"));
  job_spec none;
  cluster nowhere;
  placement empty;
  BOOST_TEST(!render_text({none, nowhere, empty, {}}).empty());
}

BOOST_AUTO_TEST_CASE(one_model_can_be_explained) {
  auto sample = small_plan();
  auto text = explain(sample.inputs(), "policy");
  BOOST_REQUIRE(text);
  BOOST_TEST_MESSAGE(*text);
  check_columns(*text);
  BOOST_TEST(contains(*text, "8 devices: 4 replicas of tensor 2"));
  BOOST_TEST(contains(*text, "its order inside a node is reversed"));
  BOOST_TEST(contains(*text, "replica 0: devices of its ranks: 7 6"));
  BOOST_TEST(contains(*text, "KV cache"));
  auto unknown = explain(sample.inputs(), "polic");
  BOOST_REQUIRE(!unknown);
  BOOST_TEST(unknown.error().message()
             == "there is no model polic; the plan has policy_trainer, "
                "policy, reference");
}

BOOST_AUTO_TEST_CASE(random_plans_never_exceed_the_width) {
  const auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  BOOST_TEST_CONTEXT("seed " << seed) {
    std::mt19937 random{seed};
    auto pick = [&random](int least, int most) {
      return std::uniform_int_distribution<int>{least, most}(random);
    };
    for (int round = 0; round < 200; ++round) {
      sample_job job;
      job.job.models.clear();
      job.job.colocation = {{}};
      job.job.syncs.clear();
      for (int i = pick(1, 12); i > 0; --i) {
        std::string name(static_cast<std::size_t>(pick(1, 120)), 'x');
        for (auto& c : name)
          c = "ab_- \xc3\n"[pick(0, 6)];
        name += std::to_string(i);
        job.job.models.push_back(spec_of(name, pick(1, 4), 1, pick(1, 6)));
        if (pick(0, 2) > 0)
          job.job.colocation[0].push_back(name);
      }
      job.job.syncs.push_back(
        {job.job.models.front().name, job.job.models.back().name});
      auto machines = machines_of(pick(1, 40), 8, 80 * gib);
      machines.nodes[0].name = std::string(200, 'n');
      if (!simple_place(job.job, machines))
        continue;
      sample_plan sample{job, machines};
      sample.plan.warnings.push_back(std::string(300, 'w'));
      check_columns(render_text(sample.inputs()));
      check_columns(*explain(sample.inputs(), job.job.models[0].name));
      text_options narrow;
      narrow.width = 60;
      check_columns(render_text(sample.inputs(), narrow), 60);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
