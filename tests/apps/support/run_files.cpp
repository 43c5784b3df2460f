// SPDX-License-Identifier: Apache-2.0
#include "apps/support/run_files.hpp"

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace troupe::test {

namespace {

bool tells_time(std::string_view key) {
  return key == "tokens_per_second" || key == "sync_ms"
         || key.ends_with("_seconds") || key.starts_with("seconds/");
}

} // namespace

std::string flat(std::string_view text) {
  std::istringstream in{std::string{text}};
  std::string out;
  for (std::string word; in >> word;)
    out += (out.empty() ? "" : " ") + word;
  return out;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::istringstream in{std::string{text}};
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);)
    out.push_back(line);
  return out;
}

std::string last_lines(std::string_view text, std::size_t count) {
  auto lines = lines_of(text);
  if (lines.size() > count)
    lines.erase(lines.begin(),
                lines.end() - static_cast<std::ptrdiff_t>(count));
  return fmt::format("{}", fmt::join(lines, "\n"));
}

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<nlohmann::json> read_rows(const std::filesystem::path& file) {
  std::vector<nlohmann::json> out;
  for (const auto& line : lines_of(read_file(file)))
    out.push_back(nlohmann::json::parse(line));
  return out;
}

std::vector<std::filesystem::path>
leftovers(const std::filesystem::path& runs) {
  namespace fs = std::filesystem;
  static const std::set<std::string> results{"checkpoints",  "config.yaml",
                                             "errors.jsonl", "ledger.jsonl",
                                             "log",          "metrics.jsonl",
                                             "nodes.json",   "reward.svg",
                                             "summary.json"};
  std::vector<fs::path> out;
  // A run that never began is removed while we look.
  std::error_code none;
  for (const auto& run : fs::directory_iterator{runs, none}) {
    for (const auto& x : fs::directory_iterator{run.path(), none})
      if (!results.contains(x.path().filename().string()))
        out.push_back(x.path());
    for (const auto& x :
         fs::directory_iterator{run.path() / "checkpoints", none})
      if (!x.path().filename().string().starts_with("episode-")
          || x.path().has_extension())
        out.push_back(x.path());
  }
  return out;
}

std::vector<nlohmann::json> timeless_metrics(const std::filesystem::path& run) {
  auto out = read_rows(run / "metrics.jsonl");
  for (auto& x : out)
    for (auto i = x.begin(); i != x.end();)
      i = tells_time(i.key()) ? x.erase(i) : std::next(i);
  return out;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

} // namespace troupe::test
