// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "troupe/apps/golden_check/case_set.hpp"

/// Verifiers of answers: `out` in the form of tests/golden/FORMAT.md, judged by
/// what `in` asks for alone and not by how ChatLearn or the planner find it. A
/// case with tags records a defect, so its recorded `out` proves nothing.
///
/// Each returns what is wrong, a line each; empty if the answer is sound. A
/// refusal is sound if it gives a reason. They throw `bad_case` or
/// `json::exception` for input that is not of the format. Pure functions; at
/// most O(n log n).
namespace troupe::golden {

using problem_list = std::vector<std::string>;

/// For a refusal what is wrong with it; nothing for an answer.
[[nodiscard]] std::optional<problem_list> judge_refusal(const json& out);

/// Every task is in exactly one wave; no rank is in two tasks of a wave.
[[nodiscard]] problem_list sched_problems(const json& in, const json& out);

/// Every sender is in one wave as often as it was named; no rank sends or
/// receives twice in a wave.
[[nodiscard]] problem_list split_groups_problems(const json& in,
                                                 const json& out);

/// What is usable was given; a node gets only usable ports, none more often
/// than it is usable, and is turned away only when none is left.
[[nodiscard]] problem_list ports_problems(const json& in, const json& out);

/// A choice is a candidate on another GPU than the source's, of those with the
/// fewest hits; nothing is chosen only where that was asked for.
[[nodiscard]] problem_list lbrank_problems(const json& in, const json& out);

/// Every model is there once with sizes of at least 1 that make up its GPUs;
/// batches fit in an episode; no model is in two colocation groups.
[[nodiscard]] problem_list config_problems(const json& in, const json& out);

/// Every tensor is in one bucket, a sparse one alone, a dense one with its own
/// type; only a bucket of one tensor exceeds the limit.
[[nodiscard]] problem_list bucket_problems(const json& in, const json& out);

} // namespace troupe::golden
