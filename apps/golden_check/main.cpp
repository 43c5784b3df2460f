// SPDX-License-Identifier: Apache-2.0
// golden_check FILE...: compares the planner with recorded cases.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "troupe/apps/golden_check/case_set.hpp"
#include "troupe/core/error.hpp"

namespace {

using troupe::golden::bad_case;
using troupe::golden::case_set;
using troupe::golden::json;

constexpr int exit_failed = 1;
constexpr int exit_unreadable = 2;

struct tally {
  int passed = 0;
  int failed = 0;
  int skipped = 0;
};

bool has_tags(const json& x) {
  auto tags = x.find("tags");
  return tags != x.end() && !tags->empty();
}

/// What is wrong with our answer to one case.
std::vector<std::string> check_case(const case_set& set, const json& x) {
  try {
    const auto& in = x.at("in");
    if (has_tags(x))
      return set.problems(in);
    auto expected = x.at("out");
    if (set.comparable != nullptr)
      expected = set.comparable(std::move(expected));
    return troupe::golden::differences(expected, set.solve(in), set.ignored);
  } catch (const bad_case& e) {
    return {fmt::format("the case cannot be read: {}", e.what)};
  } catch (const std::exception& e) {
    return {fmt::format("the case cannot be read: {}", e.what())};
  }
}

/// The content of a file, or why there is none.
troupe::result<std::string> read_text(const std::string& path) {
  using troupe::errc;
  std::error_code code;
  if (std::filesystem::is_directory(path, code))
    return troupe::fail(errc::invalid, "is a directory; name the files in it");
  std::ifstream file{path, std::ios::binary};
  if (!file)
    return troupe::fail(errc::invalid, "cannot be opened");
  // The stream turns what its buffer throws into a bad state.
  std::ostringstream text;
  if (file.peek() != std::ifstream::traits_type::eof())
    text << file.rdbuf();
  if (file.bad() || !text)
    return troupe::fail(errc::invalid, "cannot be read");
  return text.str();
}

/// False if the file cannot be read as a set of cases.
bool check_file(const std::string& path, bool quiet, tally& total) {
  auto text = read_text(path);
  if (!text) {
    fmt::print(stderr, "{}: {}\n", path, text.error().message());
    return false;
  }
  auto data = json::parse(*text, nullptr, false);
  if (data.is_discarded() || !data.is_object()
      || !data.value("set", json{}).is_string()
      || !data.value("cases", json{}).is_array()) {
    fmt::print(stderr, "{}: cannot be read as a file of cases\n", path);
    return false;
  }
  auto name = data["set"].get<std::string>();
  const auto* set = troupe::golden::find_set(name);
  tally own;
  for (const auto& x : data["cases"]) {
    if (set == nullptr) {
      ++own.skipped;
      continue;
    }
    auto wrong = check_case(*set, x);
    ++(wrong.empty() ? own.passed : own.failed);
    auto id = x.is_object() && x.contains("id") ? x["id"].dump() : "?";
    for (const auto& line : wrong)
      fmt::print("{} {}: {}\n", path, id, line);
  }
  if (!quiet)
    fmt::print("{:<14} {:>5} passed {:>5} failed {:>5} skipped\n", name,
               own.passed, own.failed, own.skipped);
  total.passed += own.passed;
  total.failed += own.failed;
  total.skipped += own.skipped;
  return true;
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Runs the planner on recorded cases of ChatLearn's logic "
               "(tests/golden/FORMAT.md) and prints every difference."};
  std::vector<std::string> files;
  bool quiet = false;
  app.add_option("FILE", files, "files of cases")->required();
  app.add_flag("-q,--quiet", quiet, "no line for each file");
  // Both run in the root of the project; a test does so.
  app.footer("Examples:\n"
             "  golden_check tests/golden/*.json\n"
             "  golden_check --quiet tests/golden/place.json");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : exit_unreadable;
  }
  tally total;
  bool readable = true;
  for (const auto& path : files)
    readable = check_file(path, quiet, total) && readable;
  fmt::print("{} passed, {} failed, {} skipped\n", total.passed, total.failed,
             total.skipped);
  if (!readable)
    return exit_unreadable;
  return total.failed > 0 ? exit_failed : 0;
}
