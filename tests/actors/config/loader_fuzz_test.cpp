// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/loader.hpp"

#include <random>
#include <sstream>

#include <boost/test/unit_test.hpp>

#include "actors/config/schema_for_tests.hpp"
#include "support/random_seed.hpp"
#include "support/why.hpp"
#include "troupe/actors/config/dump.hpp"

using namespace troupe::config;

namespace {

/// Snippets that YAML parsers trip over.
const std::vector<std::string>& snippets() {
  static const std::vector<std::string>
    out{":",
        "- ",
        "? ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "!!int ",
        "|\n",
        ">\n",
        "\"",
        "'",
        "#",
        "%YAML 1.2\n",
        "---\n",
        "...\n",
        "\t",
        "\r",
        "\n\n",
        "  ",
        "~",
        "null",
        "0x7f",
        "1e400",
        "-9223372036854775809",
        ".nan",
        "<<: ",
        "\xff\xfe",
        "\xef\xbb\xbf",
        "\xc2\x85",
        std::string(1, '\0'),
        "\\x41",
        "num_gpu: 0",
        "all",
        "a,b",
        ",,",
        "\xed\xa0\x80",
        "\x1b[31m",
        "expert_model_parallel_size: 65536\n"};
  return out;
}

std::string mutate(std::string text, std::mt19937& random) {
  auto rounds = 1 + random() % 3;
  for (std::size_t i = 0; i < rounds; ++i) {
    auto at = random() % (text.size() + 1);
    auto length = std::min<std::size_t>(random() % 20, text.size() - at);
    const auto& snippet = snippets()[random() % snippets().size()];
    switch (random() % 5) {
      case 0: text.insert(at, snippet); break;
      case 1: text.erase(at, length); break;
      case 2: text.replace(at, length, snippet); break;
      case 3:
        text.insert(random() % (text.size() + 1), text.substr(at, length));
        break;
      default:
        if (at < text.size())
          text[at] = static_cast<char>(random());
        break;
    }
  }
  return text;
}

} // namespace

BOOST_AUTO_TEST_SUITE(loader_fuzz)

BOOST_AUTO_TEST_CASE(mutated_configurations_give_an_error_or_a_sound_job) {
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 random{seed};
  auto schema = schema_for_tests();
  auto sound = 0;
  auto refused = 0;
  for (auto round = 0; round < 4000; ++round) {
    auto text = mutate(good_yaml(), random);
    auto job = parse(text, "x.yaml", schema);
    if (!job) {
      ++refused;
      BOOST_REQUIRE(!job.error().message().empty());
      for (auto ch : job.error().message())
        BOOST_REQUIRE((ch == '\n' || static_cast<unsigned char>(ch) >= 0x20));
      continue;
    }
    ++sound;
    auto back = parse(dump_yaml(*job, schema), "x.yaml", schema);
    BOOST_REQUIRE_MESSAGE(back.has_value(), troupe::test::why(back));
    BOOST_REQUIRE((*back == *job));
    for (const auto& model : job->models) {
      auto used = model.num_replica * model.parallel.world()
                  * model.gpu_per_process;
      BOOST_REQUIRE((model.on_cpu() || used == model.num_gpu));
    }
  }
  // Both branches must have been tried for the test to mean something.
  BOOST_TEST(sound > 10);
  BOOST_TEST(refused > 100);
}

BOOST_AUTO_TEST_CASE(binary_junk_is_refused) {
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 random{seed};
  auto schema = schema_for_tests();
  for (auto round = 0; round < 1000; ++round) {
    std::string text(random() % 300, ' ');
    for (auto& ch : text)
      ch = static_cast<char>(1 + random() % 255);
    BOOST_REQUIRE(!parse(text, "x.yaml", schema).has_value());
  }
}

BOOST_AUTO_TEST_CASE(mutated_overrides_give_an_error_or_a_job) {
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 random{seed};
  auto schema = schema_for_tests();
  for (auto round = 0; round < 1000; ++round) {
    std::vector<std::string>
      overrides{mutate("models.policy.temperature=0.7", random),
                mutate("runtime.colocation=[[policy, reference]]", random)};
    auto job = parse(good_yaml(), "x.yaml", schema, overrides);
    BOOST_REQUIRE((job.has_value() || !job.error().message().empty()));
  }
}

BOOST_AUTO_TEST_SUITE_END()
