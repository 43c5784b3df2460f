// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/planning/hf_config.hpp"

#include <random>

#include <boost/test/unit_test.hpp>

#include "support/random_seed.hpp"
#include "support/why.hpp"

using namespace troupe;
using namespace troupe::planning;

namespace {

const std::string llama = R"({"model_type": "llama", "hidden_size": 4096,
  "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
  "intermediate_size": 14336, "vocab_size": 128256})";

std::uint64_t parameters_of(std::string_view text) {
  auto shape = parse_hf_config(text, "config.json");
  BOOST_REQUIRE_MESSAGE(shape.has_value(), test::why(shape));
  return planner::count_parameters(*shape)->total();
}

std::string complaint(std::string_view text) {
  auto shape = parse_hf_config(text, "config.json");
  BOOST_REQUIRE(!shape.has_value());
  BOOST_TEST((shape.error().code() == errc::invalid));
  return shape.error().message();
}

} // namespace

BOOST_AUTO_TEST_SUITE(hf_config)

BOOST_AUTO_TEST_CASE(published_files_give_the_published_sizes) {
  BOOST_TEST(parameters_of(llama) == 8'030'261'248u);
  BOOST_TEST(parameters_of(R"({"model_type": "gpt2", "n_embd": 768,
    "n_layer": 12, "n_head": 12, "n_positions": 1024, "n_inner": null,
    "vocab_size": 50257})")
             == 124'439'808u);
  BOOST_TEST(parameters_of(R"({"model_type": "mixtral", "hidden_size": 4096,
    "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 32000,
    "num_local_experts": 8, "num_experts_per_tok": 2})")
             == 46'702'792'704u);
}

BOOST_AUTO_TEST_CASE(the_language_model_of_several_counts) {
  BOOST_TEST(
    parameters_of(R"({"model_type": "x", "text_config": )" + llama + "}")
    == 8'030'261'248u);
}

BOOST_AUTO_TEST_CASE(a_classifier_has_one_output) {
  auto text = llama;
  text.insert(1, R"("architectures": ["LlamaForSequenceClassification"],)");
  auto shape = parse_hf_config(text, "config.json");
  BOOST_REQUIRE(shape);
  BOOST_TEST(shape->scalar_head);
  BOOST_TEST(parameters_of(text) < parameters_of(llama));
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_told_with_file_and_key) {
  auto with = [](std::string_view from, std::string_view to) {
    auto text = llama;
    return text.replace(text.find(from), from.size(), to);
  };
  BOOST_TEST(complaint("") == "config.json: is not JSON");
  BOOST_TEST(complaint("{\"hidden_size\": 1") == "config.json: is not JSON");
  BOOST_TEST(complaint("[1]").find("expected a JSON object")
             != std::string::npos);
  BOOST_TEST(complaint("{}") == "config.json: hidden_size: is missing");
  BOOST_TEST(complaint(with("4096", "\"4096\""))
             == "config.json: hidden_size: expected a whole number of at most "
                "64 bits");
  BOOST_TEST(complaint(with("4096", "4096.5"))
             == "config.json: hidden_size: expected a whole number of at most "
                "64 bits");
  BOOST_TEST(complaint(with("4096", "18446744073709551615"))
             == "config.json: hidden_size: expected a whole number of at most "
                "64 bits");
  BOOST_TEST(complaint(with("4096", "-1"))
             == "config.json: hidden_size: must not be negative, is -1");
  BOOST_TEST(complaint(with("\"llama\"", "7"))
             == "config.json: model_type: expected a text");
  BOOST_TEST(complaint(with("14336", "9223372036854775807"))
               .find("intermediate_size must be between")
             != std::string::npos);
  BOOST_TEST(complaint(with("\"num_attention_heads\": 32",
                            "\"num_attention_heads\": 31"))
               .find("not divisible")
             != std::string::npos);
}

BOOST_AUTO_TEST_CASE(nesting_and_size_are_no_danger) {
  BOOST_TEST(complaint(std::string(500'000, '['))
             == "config.json: is not JSON");
  BOOST_TEST(
    complaint(std::string(max_hf_config_bytes + 1, ' ')).find("is larger than")
    != std::string::npos);
}

BOOST_AUTO_TEST_CASE(damaged_text_gives_a_shape_or_an_error) {
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 random{seed};
  for (int i = 0; i < 20'000; ++i) {
    auto text = llama;
    for (int n = 0; n < 3; ++n)
      text[random() % text.size()] = static_cast<char>(random() % 128);
    auto shape = parse_hf_config(text, "config.json");
    if (shape)
      BOOST_REQUIRE(planner::count_parameters(*shape));
  }
}

BOOST_AUTO_TEST_SUITE_END()
