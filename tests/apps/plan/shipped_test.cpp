// SPDX-License-Identifier: Apache-2.0
// The configurations in apps/plans/.
#include <algorithm>
#include <sstream>

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "apps/plan/schema_for_plans.hpp"
#include "apps/plan/scratch_folder.hpp"
#include "support/why.hpp"
#include "troupe/apps/planning/evaluation.hpp"
#include "troupe/apps/planning/plan_command.hpp"
#include "troupe/apps/planning/problem.hpp"
#include "troupe/apps/planning/search.hpp"
#include "troupe/planner/memory_remedy.hpp"

using namespace troupe;
using namespace troupe::planning;

namespace {

struct shipped_plan {
  std::string_view job;
  std::string_view machines;
  std::int32_t num_device;
};

constexpr std::array<shipped_plan, 3> shipped_plans{{
  {"two_cores.yaml", "two_cores_machine.yaml", 2},
  {"eight_gpus.yaml", "eight_gpus_machine.yaml", 8},
  {"four_nodes.yaml", "four_nodes_machines.yaml", 32},
}};

plan_arguments arguments_of(const shipped_plan& x) {
  plan_arguments args;
  args.config_file = std::string{TROUPE_PLANS_DIR "/"}.append(x.job);
  args.nodes_file = std::string{TROUPE_PLANS_DIR "/"}.append(x.machines);
  return args;
}

std::string text_of(const plan_arguments& args, bool colour = false) {
  auto text = render(schema_for_plans(), args, colour);
  BOOST_REQUIRE_MESSAGE(text.has_value(), test::why(text));
  return *text;
}

} // namespace

BOOST_AUTO_TEST_SUITE(shipped)

BOOST_AUTO_TEST_CASE(every_plan_is_sound_and_fits) {
  for (const auto& x : shipped_plans) {
    auto problem = load_problem(schema_for_plans(), arguments_of(x));
    BOOST_REQUIRE_MESSAGE(problem.has_value(), test::why(problem));
    BOOST_TEST(problem->machines.num_device() == x.num_device);
    auto found = evaluate(*problem);
    BOOST_REQUIRE_MESSAGE(found.has_value(), test::why(found));
    BOOST_TEST(
      planner::verify(found->plan, problem->job, problem->machines).empty());
    BOOST_REQUIRE(found->memory);
    BOOST_TEST(found->memory->worst() == nullptr);
    BOOST_REQUIRE(found->prediction);
    BOOST_TEST(found->prediction->total() > 0);
  }
}

BOOST_AUTO_TEST_CASE(nobody_leaves_a_device_of_its_plan_empty) {
  for (const auto& x : shipped_plans) {
    auto args = arguments_of(x);
    args.json = true;
    auto json = nlohmann::json::parse(text_of(args));
    BOOST_TEST(json["schema"] == "troupe.plan/1");
    for (const auto& device : json["devices"])
      BOOST_TEST(!device["ranks"].empty());
  }
}

BOOST_AUTO_TEST_CASE(a_plan_tells_of_memory_syncs_and_times) {
  for (const auto& x : shipped_plans) {
    auto text = text_of(arguments_of(x));
    for (std::string_view words :
         {"memory, fullest phase", "Why each model is where it is",
          "policy_trainer -> policy: ", "Predicted episode"})
      BOOST_TEST(text.find(words) != std::string::npos,
                 x.job << " lacks '" << words << "'");
  }
}

BOOST_AUTO_TEST_CASE(colours_change_no_letter) {
  for (const auto& x : shipped_plans) {
    auto plain = text_of(arguments_of(x));
    auto coloured = text_of(arguments_of(x), true);
    std::string letters;
    for (std::size_t i = 0; i < coloured.size(); ++i) {
      if (coloured[i] == '\x1b')
        i = coloured.find('m', i);
      else
        letters += coloured[i];
    }
    BOOST_TEST(plain.size() < coloured.size());
    // Padding inside of a colour is not trimmed.
    auto squeeze = [](std::string text) {
      std::string out;
      std::istringstream lines{text};
      for (std::string line; std::getline(lines, line);)
        out += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
      return out;
    };
    BOOST_TEST(squeeze(plain) == squeeze(letters));
  }
}

BOOST_AUTO_TEST_CASE(a_search_finds_the_same_every_time) {
  for (const auto& x : shipped_plans) {
    auto problem = load_problem(schema_for_plans(), arguments_of(x));
    BOOST_REQUIRE(problem);
    planner::optimize_options options;
    options.max_evaluated = 100;
    auto until = deadline::after(std::chrono::minutes{1});
    auto one = planner::optimize(*problem, planner::place, until, options);
    auto two = planner::optimize(*problem, planner::place, until, options);
    BOOST_REQUIRE(one);
    BOOST_REQUIRE(two);
    BOOST_TEST(render_search(*one, false) == render_search(*two, false));
    BOOST_TEST(render_search_json(*one, *problem)
               == render_search_json(*two, *problem));
    BOOST_REQUIRE(one->given);
    for (const auto& best : one->best)
      BOOST_TEST(best.prediction.total() < one->given->prediction.total());
  }
}

BOOST_AUTO_TEST_CASE(a_search_tells_programs_what_it_tells_people) {
  auto args = arguments_of(shipped_plans[1]);
  args.optimize = true;
  args.budget = 0.1;
  args.json = true;
  auto json = nlohmann::json::parse(text_of(args));
  BOOST_TEST(json["schema"] == "troupe.optimize/1");
  BOOST_TEST(json["given"]["plan"]["schema"] == "troupe.plan/1");
  BOOST_TEST(json["given_problem"].is_null());
  for (const auto& best : json["best"]) {
    BOOST_TEST(best["total_seconds"].get<double>()
               < json["given"]["total_seconds"].get<double>());
    BOOST_TEST(!best["reasons"].empty());
  }
}

BOOST_AUTO_TEST_CASE(memory_that_does_not_suffice_names_what_would) {
  auto args = arguments_of(shipped_plans[1]);
  args.overrides = {"models.policy_trainer.profile.distributed_optimizer=false",
                    "models.policy.profile.concurrent_sequences=512"};
  auto text = render(schema_for_plans(), args, false);
  BOOST_REQUIRE(!text);
  BOOST_TEST((text.error().code() == errc::exhausted));
  BOOST_TEST_MESSAGE(text.error().message());
  for (std::string_view words : {"device ", " on h100 needs ", "policy_trainer",
                                 "GiB", "too much", "the cheapest change"})
    BOOST_TEST(text.error().message().find(words) != std::string::npos,
               text.error().message());
}

BOOST_AUTO_TEST_CASE(changes_that_suffice_only_together_fit) {
  // A trainer, a policy and a reference of 7.6 B parameters on 30 GiB: no single
  // change is enough.
  scratch_folder folder;
  auto args = arguments_of(shipped_plans[1]);
  args.nodes_file = folder.write("nodes.yaml", "nodes:\n"
                                               "  - name: h100\n"
                                               "    devices: 8\n"
                                               "    memory: 30 GiB\n"
                                               "    nics: 8\n"
                                               "    cpus: 96\n"
                                               "    host_memory: 1 TiB\n");
  auto text = render(schema_for_plans(), args, false);
  BOOST_REQUIRE(!text);
  BOOST_TEST_MESSAGE(text.error().message());
  BOOST_TEST(text.error().message().find("the cheapest change that fits")
             != std::string::npos);
  auto problem = load_problem(schema_for_plans(), args);
  BOOST_REQUIRE(problem);
  auto remedy = planner::find_remedy(problem->job, problem->machines,
                                     problem->profiles, planner::place);
  BOOST_REQUIRE(remedy);
  problem->job = remedy->job;
  problem->profiles = remedy->profiles;
  auto found = evaluate(*problem);
  BOOST_TEST(found.has_value());
  BOOST_REQUIRE(found && found->memory);
  BOOST_TEST(found->memory->worst() == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
