// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/dump.hpp"

#include <limits>
#include <random>

#include <boost/test/unit_test.hpp>

#include "actors/config/schema_for_tests.hpp"
#include "support/random_seed.hpp"
#include "support/why.hpp"
#include "troupe/actors/config/loader.hpp"

using namespace troupe;
using namespace troupe::config;

namespace {

void check_round_trip(const job_config& job, const app_schema& schema) {
  auto text = dump_yaml(job, schema);
  auto back = parse(text, "dump.yaml", schema);
  BOOST_REQUIRE_MESSAGE(back.has_value(), test::why(back) << '\n' << text);
  BOOST_TEST((*back == job), text);
}

job_config load_good(std::vector<std::string> overrides = {}) {
  auto job = parse(good_yaml(), "x.yaml", schema_for_tests(), overrides);
  BOOST_REQUIRE_MESSAGE(job.has_value(), test::why(job));
  return *job;
}

} // namespace

BOOST_AUTO_TEST_SUITE(dump)

BOOST_AUTO_TEST_CASE(a_resolved_configuration_reads_well) {
  auto text = dump_yaml(load_good(), schema_for_tests());
  auto wanted = std::string{
    "# The configuration of this run with every default filled in.\n"
    "app: grpo\n"
    "\n"
    "models:\n"
    "  policy_trainer:\n"
    "    trainable: true  # told by the application\n"
    "    num_gpu: 2\n"
    "    gpu_per_process: 1\n"
    "    tensor_model_parallel_size: 1\n"
    "    pipeline_model_parallel_size: 1\n"
    "    context_parallel_size: 1\n"
    "    expert_model_parallel_size: 1\n"
    "    # num_replica: 1, derived; 2 data-parallel ranks in it\n"
    "    isolated: false\n"
    "    offload: false\n"
    "    sync_frequency: 1\n"
    "    learning_rate: 0.0004  # AdamW's\n"};
  BOOST_TEST(text.substr(0, wanted.size()) == wanted);
  BOOST_TEST(text.find("  colocation: [[policy_trainer, policy, reference]]\n")
             != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_is_written_parses_back_to_an_equal_one) {
  check_round_trip(load_good(), schema_for_tests());
  check_round_trip(load_good(
                     {"models.policy.tensor_model_parallel_size=2",
                      "models.policy.isolated=true", "models.reward.num_cpu=4",
                      "models.reward.cpu_per_process=2",
                      "runtime.placement=aligned",
                      "models.policy.temperature=.inf", "runtime.pulse_ms=7",
                      "runtime.store_bytes_max=3 GiB", "runtime.debug=true",
                      "models.policy_trainer.num_gpu=8",
                      "models.policy_trainer.expert_model_parallel_size=2"}),
                   schema_for_tests());
}

BOOST_AUTO_TEST_CASE(any_text_survives) {
  auto schema = schema_for_tests();
  for (const char* text :
       {"",      " ",          "~",       "null",        "true",
        "7",     "-",          "- a",     "a: b",        "#x",
        "a #b",  "*a",         "&a",      "!a",          "[",
        "{",     "\"quoted\"", "it's",    "back\\slash", "line\nend",
        "\ttab", "trailing ",  "\x1b[2J", "\x7f",        "grün",
        "日本",  "%x",         "@x",      "`x",          ".inf",
        "---",   "...",        "? a",     "C:\\x",       "a,b"}) {
    auto job = load_good();
    job.runtime.output_dir = *text == '\0' ? "." : text;
    job.runtime.run_name = text;
    job.models[1].options.set("stop", std::string{text});
    check_round_trip(job, schema);
  }
}

BOOST_AUTO_TEST_CASE(any_number_survives) {
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937_64 random{seed};
  auto schema = schema_for_tests();
  auto job = load_good();
  for (auto round = 0; round < 300; ++round) {
    auto number = std::bit_cast<double>(random());
    // Those that are no number, and the denormals that a parser may refuse.
    if (!std::isnormal(number))
      continue;
    job.models[1].options.set("temperature", number);
    job.models[1].options.set("max_tokens",
                              static_cast<std::int64_t>(random()));
    check_round_trip(job, schema);
  }
}

BOOST_AUTO_TEST_CASE(help_texts_cannot_break_out_of_their_comments) {
  auto schema = schema_for_tests();
  schema.models[1].options[0].help = "first\nevil: 1";
  check_round_trip(load_good(), schema);
}

BOOST_AUTO_TEST_SUITE_END()
