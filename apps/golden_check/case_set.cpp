// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/golden_check/case_set.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

namespace troupe::golden {

namespace {

/// Shares and ratios are printed with 12 digits.
constexpr double tolerance = 1e-9;

std::string shortened(const json& x) {
  constexpr std::size_t limit = 200;
  auto text = x.dump();
  if (text.size() > limit)
    text = fmt::format("{}...", text.substr(0, limit));
  return text;
}

class comparer {
public:
  explicit comparer(const std::vector<std::string_view>& ignored)
    : ignored_(ignored) {
    // nop
  }

  void compare(const json& expected, const json& ours,
               const std::string& path) {
    if (expected.is_object() && ours.is_object()) {
      if (expected.contains("error") || ours.contains("error"))
        compare_errors(expected, ours, path);
      compare_objects(expected, ours, path);
    } else if (expected.is_array() && ours.is_array()
               && expected.size() == ours.size()) {
      for (std::size_t i = 0; i < expected.size(); ++i)
        compare(expected[i], ours[i], fmt::format("{}[{}]", path, i));
    } else if (expected.is_number() && ours.is_number()) {
      if (std::abs(expected.get<double>() - ours.get<double>()) > tolerance)
        differ(expected, ours, path);
    } else if (expected != ours) {
      differ(expected, ours, path);
    }
  }

  std::vector<std::string> take() { return std::move(out_); }

private:
  void differ(const json& expected, const json& ours, const std::string& path) {
    out_.push_back(fmt::format("{}: expected {}, got {}",
                               path.empty() ? "out" : path, shortened(expected),
                               shortened(ours)));
  }

  /// Only the kind of a refusal is compared.
  void compare_errors(const json& expected, const json& ours,
                      const std::string& path) {
    auto kind = [](const json& x) {
      auto found = x.find("error");
      return found == x.end() || !found->is_object()
               ? json{}
               : found->value("type", json{});
    };
    if (kind(expected) != kind(ours))
      differ(expected, ours, path);
  }

  void compare_objects(const json& expected, const json& ours,
                       const std::string& path) {
    auto skip = [&](const std::string& key) {
      return key == "error"
             || std::find(ignored_.begin(), ignored_.end(), key)
                  != ignored_.end();
    };
    // A refusal stands for everything else.
    if (expected.contains("error") != ours.contains("error"))
      return;
    for (const auto& [key, value] : expected.items()) {
      if (skip(key))
        continue;
      auto at = path.empty() ? key : fmt::format("{}.{}", path, key);
      if (auto found = ours.find(key); found != ours.end())
        compare(value, *found, at);
      else
        differ(value, nullptr, at);
    }
    for (const auto& [key, value] : ours.items())
      if (!skip(key) && !expected.contains(key))
        differ(nullptr, value,
               path.empty() ? key : fmt::format("{}.{}", path, key));
  }

  const std::vector<std::string_view>& ignored_;
  std::vector<std::string> out_;
};

} // namespace

const case_set* find_set(std::string_view name) {
  static const case_set sets[] = {
    packing_set(), place_set(), total_gpu_set(),    config_set(), rankmap_set(),
    lbrank_set(),  sched_set(), split_groups_set(), ports_set(),  bucket_set(),
  };
  auto found = std::find_if(std::begin(sets), std::end(sets),
                            [&](const auto& x) { return x.name == name; });
  return found == std::end(sets) ? nullptr : &*found;
}

json to_json(const planner::chatlearn::refusal& x) {
  return {{"error", {{"type", to_string(x.kind)}, {"msg", x.message}}}};
}

std::vector<std::string>
differences(const json& expected, const json& ours,
            const std::vector<std::string_view>& ignored) {
  comparer x{ignored};
  x.compare(expected, ours, "");
  return x.take();
}

} // namespace troupe::golden
