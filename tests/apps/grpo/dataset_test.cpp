// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/dataset.hpp"

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "troupe/apps/grpo/sampler.hpp"
#include "troupe/apps/grpo/schema.hpp"

using namespace troupe;
using namespace troupe::grpo;

namespace {

/// A file that is gone with the fixture.
struct scratch_file {
  std::filesystem::path path = std::filesystem::temp_directory_path()
                               / fmt::format("troupe-dataset-{}.jsonl",
                                             ::getpid());

  ~scratch_file() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }

  auto read(std::string_view text, const dataset_limits& limits = {}) const {
    std::ofstream{path, std::ios::binary} << text;
    return read_jsonl(path, limits);
  }

  /// Expects `FILE:LINE: ...what...`.
  void refuses(std::string_view text, int line, std::string_view what,
               const dataset_limits& limits = {}) const {
    auto outcome = read(text, limits);
    BOOST_REQUIRE_MESSAGE(!outcome.has_value(), "accepted: " << text);
    BOOST_TEST((outcome.error().code() == errc::invalid));
    const auto& message = outcome.error().message();
    auto where = fmt::format("{}:{}: ", path.string(), line);
    BOOST_TEST(message.starts_with(where), message << " lacks " << where);
    BOOST_TEST(message.find(what) != std::string::npos,
               message << " lacks " << what);
  }
};

constexpr auto good = "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n";

} // namespace

BOOST_FIXTURE_TEST_SUITE(grpo_dataset, scratch_file)

BOOST_AUTO_TEST_CASE(lines_become_examples) {
  auto x = read("{\"prompt\": \"1+1=\", \"answer\": \"2\"}\r\n"
                "{\"answer\": \"b\", \"prompt\": \"a\", \"level\": 3}\n"
                "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n \n\n");
  BOOST_REQUIRE(x.has_value());
  BOOST_TEST((*x == std::vector<example>{{"1+1=", "2"}, {"a", "b"}}));
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_named_with_file_and_line) {
  std::string first = good;
  refuses(first + "{\"prompt\": \"a\"", 2, "the line ends too early");
  refuses(first + "nonsense\n", 2, "character 2 does not belong there");
  refuses(first + "{\"prompt\": 1e999}", 2, "a number is out of range");
  refuses(first + "[1, 2]\n", 2, "expected an object");
  refuses(first + "\n" + first, 2, "the line is empty");
  refuses("{\"answer\": \"2\"}", 1, "\"prompt\" is missing");
  refuses("{\"prompt\": \"2\"}", 1, "\"answer\" is missing");
  refuses("{\"prompt\": 7, \"answer\": \"2\"}", 1, "number, not a string");
  refuses("{\"prompt\": \"a\", \"answer\": null}", 1, "null, not a string");
  refuses("{\"prompt\": \"a\", \"answer\": \"\"}", 1, "\"answer\" is empty");
  refuses("{\"prompt\": \"\", \"answer\": \"a\"}", 1, "\"prompt\" is empty");
  refuses("{\"prompt\": \"a\\tb\", \"answer\": \"a\"}", 1, "byte 2 (0x09)");
  refuses("{\"prompt\": \"a\", \"answer\": \"\\u00e4\"}", 1, "byte 1 (0xc3)");
  refuses("{\"prompt\": \"\xff\", \"answer\": \"a\"}", 1, "malformed JSON");
  refuses(first + "{\"prompt\": \"1+1=\", \"answer\": \"3\"}\n", 2,
          "\"2\" on line 1");
}

BOOST_AUTO_TEST_CASE(nothing_is_trusted_for_its_size) {
  refuses(std::string{good} + std::string(100, 'x') + "\n", 2,
          "longer than 60 bytes", {60, 512, 128, 10});
  refuses("{\"prompt\": \"abc\", \"answer\": \"a\"}", 1,
          "\"prompt\" has 3 characters, more than 2", {60, 2, 2, 10});
  refuses("{\"prompt\": \"ab\", \"answer\": \"abc\"}", 1,
          "\"answer\" has 3 characters, more than 2", {60, 2, 2, 10});
  refuses("{\"prompt\": \"a\", \"answer\": \"a\"}\n"
          "{\"prompt\": \"b\", \"answer\": \"a\"}\n",
          2, "more than 1 examples", {60, 512, 128, 1});
  std::string deep(50'000, '[');
  refuses(deep, 1, "");
}

BOOST_AUTO_TEST_CASE(files_without_examples_are_refused_by_name) {
  for (auto text : {"", "\n\n  \n"}) {
    auto outcome = read(text);
    BOOST_REQUIRE(!outcome.has_value());
    BOOST_TEST(outcome.error().message().find("holds no examples")
               != std::string::npos);
  }
  for (auto file : {"/nonexistent/file.jsonl", "/tmp"}) {
    auto outcome = read_jsonl(file);
    BOOST_REQUIRE(!outcome.has_value());
    BOOST_TEST(outcome.error().message().starts_with(file));
  }
}

BOOST_AUTO_TEST_CASE(a_written_dataset_reads_back) {
  auto examples = two_digit_addition();
  BOOST_TEST(examples.size() == 8100u);
  BOOST_TEST((examples.front() == example{"10+10=", "20"}));
  BOOST_TEST((examples.back() == example{"99+99=", "198"}));
  BOOST_REQUIRE(write_jsonl(path, examples).has_value());
  auto back = read_jsonl(path);
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST((*back == examples));
  BOOST_TEST(!write_jsonl("/nonexistent/x.jsonl", examples).has_value());
}

BOOST_AUTO_TEST_CASE(addition_splits_into_disjoint_parts) {
  auto x = split_dataset(two_digit_addition(), 7);
  BOOST_REQUIRE(x.has_value());
  BOOST_TEST(x->test.size() == 1000u);
  BOOST_TEST(x->dev.size() == 500u);
  BOOST_TEST(x->train.size() == 6600u);
  BOOST_TEST(x->prompt_length == 6);
  BOOST_TEST(x->completion_length == 4);
  BOOST_TEST(x->tokenizer.vocab_size() == 14);
  std::set<std::string> prompts;
  for (const auto* part : {&x->train, &x->dev, &x->test})
    for (const auto& e : *part)
      prompts.insert(e.prompt);
  BOOST_TEST(prompts.size() == 8100u);
  auto same = split_dataset(two_digit_addition(), 7);
  auto other = split_dataset(two_digit_addition(), 8);
  BOOST_TEST((same->test == x->test));
  BOOST_TEST((other->test != x->test));
}

BOOST_AUTO_TEST_CASE(small_datasets_keep_something_in_every_part) {
  auto all = two_digit_addition();
  auto x = split_dataset({all.begin(), all.begin() + 24}, 1);
  BOOST_REQUIRE(x.has_value());
  BOOST_TEST(x->test.size() == 4u);
  BOOST_TEST(x->dev.size() == 2u);
  BOOST_TEST(x->train.size() == 18u);
  auto refused = split_dataset({all.begin(), all.begin() + 23}, 1);
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().message().find("at least 24")
             != std::string::npos);
}

BOOST_AUTO_TEST_CASE(rows_are_padded_left_and_answers_right) {
  dataset x;
  x.tokenizer = grpo::tokenizer{"abc"};
  x.prompt_length = 3;
  x.completion_length = 3;
  x.train = {{"abc", "a"}, {"c", "bb"}};
  auto rows = x.rows(x.train, 0, 2);
  auto ids = [&](std::string_view name) {
    auto found = rows.get(name).value();
    auto values = found.values<std::int64_t>();
    return std::vector<std::int64_t>(values.begin(), values.end());
  };
  using list = std::vector<std::int64_t>;
  BOOST_TEST((ids(field::prompt) == list{2, 3, 4, 0, 0, 4}));
  BOOST_TEST((ids(field::padding) == list{0, 2}));
  BOOST_TEST((ids(field::answer) == list{2, 1, 0, 3, 3, 1}));
  BOOST_TEST((ids(field::group) == list{0, 1}));
  BOOST_TEST(rows.rows().value() == 2);
}

BOOST_AUTO_TEST_CASE(the_sampler_draws_each_example_once_an_epoch) {
  sampler draw{10, 3};
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::set<std::size_t> seen;
    for (int i = 0; i < 5; ++i)
      for (auto index : draw.next(2))
        seen.insert(index);
    BOOST_TEST(seen.size() == 10u);
    BOOST_TEST(*seen.rbegin() == 9u);
  }
  BOOST_TEST(draw.position() == 30u);
}

BOOST_AUTO_TEST_CASE(a_sampler_resumes_where_another_stopped) {
  sampler whole{10, 3};
  auto expected = whole.next(47);
  for (std::size_t stop : {0u, 4u, 10u, 29u}) {
    sampler first{10, 3};
    auto got = first.next(stop);
    sampler second{10, 3, first.position()};
    for (auto index : second.next(47 - stop))
      got.push_back(index);
    BOOST_TEST(got == expected, boost::test_tools::per_element());
  }
  sampler other{10, 4};
  BOOST_TEST((other.next(47) != expected));
}

BOOST_AUTO_TEST_SUITE_END()
