// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "troupe/planner/chatlearn/refusal.hpp"

/// Golden cases: what ChatLearn's functions return, compared with the planner.
/// The format is tests/golden/FORMAT.md.
namespace troupe::golden {

using json = nlohmann::json;

/// Thrown by the readers of cases for input that is not of the format.
struct bad_case {
  std::string what;
};

/// One kind of case and how the planner answers it.
struct case_set {
  std::string_view name;
  /// Answers `in` in the form of `out`.
  json (*solve)(const json& in);
  /// Fields that are not compared, by their key.
  std::vector<std::string_view> ignored;
  /// For a case that records a defect: what is wrong with our plan; empty if it
  /// is sound or the planner refuses with a reason. Never null: any set may have
  /// such cases.
  std::vector<std::string> (*problems)(const json& in);
  /// Leaves of `out` what is compared; null for all of it.
  json (*comparable)(json out) = nullptr;
};

/// Null for a set that is not covered.
[[nodiscard]] const case_set* find_set(std::string_view name);

/// A refusal in the form of `out`.
[[nodiscard]] json to_json(const planner::chatlearn::refusal& x);

/// Reads `in[key]`; throws `bad_case` if it is absent or of another type.
template <class T>
[[nodiscard]] T read(const json& in, const char* key) {
  auto found = in.find(key);
  if (found == in.end())
    throw bad_case{std::string{"there is no "} + key};
  try {
    return found->get<T>();
  } catch (const json::exception&) {
    throw bad_case{std::string{"unexpected type of "} + key};
  }
}

/// The same with a value for a key that is absent or null.
template <class T>
[[nodiscard]] T read_or(const json& in, const char* key, T otherwise) {
  auto found = in.find(key);
  return found == in.end() || found->is_null() ? otherwise : read<T>(in, key);
}

/// Where `ours` differs from `expected`, a line each.
[[nodiscard]] std::vector<std::string>
differences(const json& expected, const json& ours,
            const std::vector<std::string_view>& ignored);

// The sets, each in a file of its own or with its like.
[[nodiscard]] case_set packing_set();
[[nodiscard]] case_set place_set();
[[nodiscard]] case_set total_gpu_set();
[[nodiscard]] case_set config_set();
[[nodiscard]] case_set rankmap_set();
[[nodiscard]] case_set lbrank_set();
[[nodiscard]] case_set sched_set();
[[nodiscard]] case_set split_groups_set();
[[nodiscard]] case_set ports_set();
[[nodiscard]] case_set bucket_set();

} // namespace troupe::golden
