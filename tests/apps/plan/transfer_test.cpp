// SPDX-License-Identifier: Apache-2.0
// `plan --transfer`: what it says of good layouts, of incomplete ones, and of
// everything that is no layout.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "apps/plan/scratch_folder.hpp"
#include "support/random_seed.hpp"
#include "support/why.hpp"
#include "troupe/actors/config/text_file.hpp"
#include "troupe/apps/planning/layout_file.hpp"
#include "troupe/apps/planning/transfer_command.hpp"

using namespace troupe;
using namespace troupe::planning;
using nlohmann::json;

namespace {

const std::string good_layout = R"({"model": "policy", "ranks": [
  {"rank": 0, "node": 0, "device": 0, "tensors": [
    {"name": "w.local", "dtype": "float32", "shape": [4, 8], "segments": [
      {"logical": "w", "begin": [0, 0], "end": [4, 8], "local_begin": [0, 0]}
    ]}]},
  {"rank": 1, "node": 0, "device": 1, "tensors": []}]})";

struct bad_input {
  std::string_view name;
  std::string_view from;
  std::string_view to;
  /// What the message must hold.
  std::string_view words;
};

/// Each is the good layout with one thing wrong.
const std::vector<bad_input> bad_layouts{
  {"no JSON", R"({"model")", "{model", "this is no JSON"},
  {"no model", R"("model": "policy", )", "", "'model' is missing"},
  {"empty model", R"("policy")", R"("")", "names no model"},
  {"model of another type", R"("policy")", "7", "'model' is no string"},
  {"no rank", R"("rank": 0, )", "", "'rank' is missing"},
  {"negative rank", R"("rank": 0)", R"("rank": -1)", "'rank' is no number"},
  {"rank that is none", R"("rank": 0)", R"("rank": 0.5)", "'rank' is no"},
  {"rank of 64 bits", R"("rank": 0)", R"("rank": 9223372036854775808)",
   "'rank' is no"},
  {"rank twice", R"("rank": 1)", R"("rank": 0)", "rank 0 is listed twice"},
  {"no node", R"("node": 0, "device": 0, )", R"("device": 0, )",
   "rank 0: the key 'node' is missing"},
  {"device that is a name", R"("device": 1)", R"("device": "cpu:1")",
   "rank 1: 'device' is no number"},
  {"tensors that are no list", R"("tensors": [])", R"("tensors": {})",
   "rank 1: 'tensors' is no list"},
  {"tensor that is none", R"("tensors": [])", R"("tensors": [3])",
   "rank 1: tensor 0: is no object"},
  {"no name", R"("name": "w.local", )", "", "'name' is missing"},
  {"empty name", R"("w.local")", R"("")", "rank 0: a tensor has no name"},
  {"unknown type", R"("float32")", R"("float31")",
   "tensor 'w.local': the dtype 'float31' is unknown"},
  {"no shape", R"("shape": [4, 8], )", "", "'shape' is missing"},
  {"negative extent", R"("shape": [4, 8])", R"("shape": [4, -8])",
   "tensor 'w.local'"},
  {"extent that is none", R"("shape": [4, 8])", R"("shape": [4, "8"])",
   "'shape' holds something that is no integer"},
  {"too many elements", R"("shape": [4, 8])",
   R"("shape": [4294967296, 4294967296])", "tensor 'w.local'"},
  {"too many bytes", R"("shape": [4, 8])",
   R"("shape": [4, 1152921504606846976])", "more bytes than can be counted"},
  {"seven dimensions", R"("shape": [4, 8])",
   R"("shape": [1, 1, 1, 1, 1, 4, 8])", "7 dimensions"},
  {"no segments", R"("shape": [4, 8], "segments")",
   R"("shape": [4, 8], "segment")", "'segments' is missing"},
  {"no logical name", R"("logical": "w", )", "", "segment 0: the key"},
  {"empty logical name", R"("logical": "w")", R"("logical": "")",
   "a segment names no logical tensor"},
  {"descending box", R"("end": [4, 8])", R"("end": [4, -1])",
   "segment 0: 'w': dimension 1"},
  {"box of two minds", R"("end": [4, 8])", R"("end": [4])",
   "segment 0: 'w': a box begins with 2 dimensions"},
  {"huge box", R"("end": [4, 8])",
   R"("end": [9223372036854775807, 9223372036854775807])", "too many elements"},
  {"number beyond 64 bits", R"("end": [4, 8])",
   R"("end": [4, 99999999999999999999])", "no integer of 64 bits"},
  {"region outside", R"("local_begin": [0, 0])", R"("local_begin": [1, 0])",
   "segment 'w' [0:4, 0:8]: its region of 4 from 1 on in dimension 0"},
  {"region before", R"("local_begin": [0, 0])", R"("local_begin": [0, -1])",
   "lies outside"},
  {"region at the end of numbers", R"("local_begin": [0, 0])",
   R"("local_begin": [9223372036854775807, 0])", "lies outside"},
  {"local_begin too short", R"("local_begin": [0, 0])", R"("local_begin": [0])",
   "local_begin has 1 entries"},
  {"list instead of an object", R"({"model")", R"([{"model")",
   "this is no JSON"},
};

std::string changed(const bad_input& x) {
  auto text = good_layout;
  auto at = text.find(x.from);
  BOOST_REQUIRE_MESSAGE(at != std::string::npos, x.name);
  return text.replace(at, x.from.size(), x.to);
}

/// The answer for two layouts given as text.
result<transfer_answer> answer(const std::string& source,
                               const std::string& destination, bool as_json,
                               const std::string& planner = "reshard") {
  scratch_folder folder;
  plan_arguments args;
  args.transfer_files = {folder.write("src.json", source),
                         folder.write("dst.json", destination)};
  args.json = as_json;
  args.transfer_planner = planner;
  return render_transfer_plan(args);
}

std::string read_example(const std::string& name) {
  auto text = config::read_text_file(std::string{TROUPE_PLANS_DIR "/layouts/"}
                                       + name,
                                     1 << 20);
  BOOST_REQUIRE_MESSAGE(text, test::why(text));
  return *text;
}

void require_narrow(const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    auto end = text.find('\n', at);
    BOOST_REQUIRE(end != std::string::npos);
    BOOST_TEST(end - at <= 80u, text.substr(at, end - at));
    at = end + 1;
  }
}

/// `n` ranks that hold rows of one tensor with a long name, on `n` nodes.
std::string rows(std::int64_t n, std::int64_t missing = -1) {
  json out{{"model", std::string(90, 'm')}, {"ranks", json::array()}};
  std::string name(150, 'w');
  for (std::int64_t i = 0; i < n; ++i) {
    json tensors = json::array();
    if (i != missing)
      tensors.push_back({{"name", name},
                         {"dtype", "bfloat16"},
                         {"shape", {3, 5}},
                         {"segments",
                          {{{"logical", name},
                            {"begin", {i * 3, 0}},
                            {"end", {i * 3 + 3, 5}},
                            {"local_begin", {0, 0}}}}}});
    out["ranks"].push_back({{"rank", i * 7},
                            {"node", 2147483647 - i},
                            {"device", 2147483647},
                            {"tensors", tensors}});
  }
  return out.dump();
}

} // namespace

BOOST_AUTO_TEST_SUITE(transfer)

BOOST_AUTO_TEST_CASE(what_of_the_source_goes_nowhere_is_told) {
  auto more = good_layout;
  std::string_view nothing = R"("tensors": [])";
  more.replace(more.find(nothing), nothing.size(), R"("tensors": [
    {"name": "a.local", "dtype": "float32", "shape": [2], "segments": [
      {"logical": "lora_A", "begin": [0], "end": [2], "local_begin": [0]}]}])");
  auto text = answer(more, good_layout, false);
  BOOST_REQUIRE_MESSAGE(text, test::why(text));
  BOOST_TEST(!text->has_problems, text->text);
  require_narrow(text->text);
  BOOST_TEST(text->text.find("Warning: 1 of 2 tensors of policy goes nowhere")
               != std::string::npos,
             text->text);
  BOOST_TEST(text->text.find("'lora_A'") != std::string::npos, text->text);
  auto all = answer(good_layout, good_layout, false);
  BOOST_REQUIRE_MESSAGE(all, test::why(all));
  BOOST_TEST(all->text.find("Warning") == std::string::npos, all->text);
}

BOOST_AUTO_TEST_CASE(every_wrong_layout_gets_a_sentence) {
  BOOST_TEST(parse_layout(good_layout, "good.json").has_value());
  for (const auto& x : bad_layouts) {
    auto found = parse_layout(changed(x), "bad.json");
    std::string text = found ? "nothing is refused" : found.error().message();
    BOOST_TEST(text.find(x.words) != std::string::npos,
               x.name << ": '" << text << "' lacks '" << x.words << "'");
    BOOST_TEST((found || text.find("bad.json") == 0), text);
  }
  for (const auto* text :
       {"", "null", "[]", "3", R"({"model": "m"})",
        R"({"model": "m", "ranks": []})", R"({"model": "m", "ranks": 3})",
        R"({"model": "m", "ranks": [[]]})", "\xff\xfe"})
    BOOST_TEST(!parse_layout(text, "bad.json").has_value(), text);
}

BOOST_AUTO_TEST_CASE(half_a_file_is_no_crash) {
  for (std::size_t n = 0; n < good_layout.size(); ++n)
    BOOST_TEST(!parse_layout(good_layout.substr(0, n), "half.json"));
  // Bytes that somebody changed: an error or a layout, nothing else.
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 random{seed};
  for (int i = 0; i < 500; ++i) {
    auto text = good_layout;
    for (int n = 0; n < 3; ++n)
      text[random() % text.size()] = "0123456789-[]{},:\"ae."[random() % 21];
    auto found = parse_layout(text, "odd.json");
    if (found)
      BOOST_TEST(answer(text, good_layout, true).has_value());
  }
}

BOOST_AUTO_TEST_CASE(the_examples_are_planned) {
  for (const auto* planner : {"reshard", "two_stage"}) {
    auto text = answer(read_example("trainer.json"),
                       read_example("policy.json"), false, planner);
    BOOST_REQUIRE_MESSAGE(text, test::why(text));
    BOOST_TEST(!text->has_problems, text->text);
    require_narrow(text->text);
    auto found = answer(read_example("trainer.json"),
                        read_example("policy.json"), true, planner);
    BOOST_REQUIRE(found);
    auto plan = json::parse(found->text);
    std::vector<std::string> keys;
    for (const auto& [key, value] : plan.items())
      keys.push_back(key);
    BOOST_TEST(
      (keys
       == std::vector<std::string>{"bytes_lower_bound", "bytes_total",
                                   "max_bytes_sent", "predicted_seconds",
                                   "problems", "transfers"}));
    // 15 x 8 embedding, also the head; q, k and v of which heads 0 and 1 go to
    // two ranks each; o: all in bfloat16.
    BOOST_TEST(plan["bytes_total"] == 2 * (120 + 64 + 2 * 64 + 64));
    BOOST_TEST(plan["bytes_lower_bound"] == plan["bytes_total"]);
    BOOST_TEST(plan["problems"].empty());
    for (const auto& x : plan["transfers"]) {
      BOOST_TEST(x.size() == 6u);
      for (const auto* key : {"src", "dst", "logical", "begin", "end", "link"})
        BOOST_TEST(x.contains(key));
    }
  }
}

BOOST_AUTO_TEST_CASE(problems_are_printed_and_exit_with_one) {
  for (auto as_json : {false, true}) {
    auto found = answer(rows(5, 3), rows(5), as_json);
    BOOST_REQUIRE(found);
    BOOST_TEST(found->has_problems);
    BOOST_TEST(found->text.find("uncovered") != std::string::npos);
    if (as_json) {
      auto plan = json::parse(found->text);
      BOOST_TEST(plan["problems"].size() == 1u);
      BOOST_TEST(plan["transfers"].size() == 4u);
    } else {
      require_narrow(found->text);
    }
  }
}

BOOST_AUTO_TEST_CASE(long_plans_are_summed_up) {
  auto found = answer(rows(40), rows(40), false);
  BOOST_REQUIRE(found);
  require_narrow(found->text);
  BOOST_TEST(found->text.find("more way") != std::string::npos);
  BOOST_TEST(found->text.find("more rank") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_chatlearn_refuses_is_an_error) {
  auto found = answer(rows(4), rows(2), false, "two_stage");
  BOOST_REQUIRE(!found);
  BOOST_TEST((found.error().code() == errc::invalid));
  BOOST_TEST(found.error().message().find("reshard maps any layout")
             != std::string::npos);
}

BOOST_AUTO_TEST_CASE(absent_files_are_named) {
  plan_arguments args;
  args.transfer_files = {"/nowhere/src.json", "/nowhere/dst.json"};
  auto found = render_transfer_plan(args);
  BOOST_REQUIRE(!found);
  BOOST_TEST(found.error().message().find("src.json") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
