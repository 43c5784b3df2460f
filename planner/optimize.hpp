// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"
#include "troupe/planner/candidate.hpp"

namespace troupe::planner {

struct optimize_options {
  /// How many of the best are returned.
  std::size_t keep = 3;
  /// Candidates that are placed and predicted at most. Unlike a deadline it
  /// gives the same result on every machine.
  std::uint64_t max_evaluated = 200'000;
};

struct optimize_result {
  /// The plan as it was given; empty if it cannot run.
  std::optional<plan_candidate> given;
  /// Why not, if it cannot.
  std::string given_problem;
  /// Best first, each faster than the given one.
  std::vector<plan_candidate> best;
  /// Candidates placed and predicted.
  std::uint64_t evaluated = 0;
  /// Candidates that a bound excluded without placing them.
  std::uint64_t bounded = 0;
  /// The whole space was searched: `best` are the best of it.
  bool complete = false;
};

/// Searches colocation, placement order, tensor sizes, data copies and replica
/// counts (the space of search_space.hpp) for the smallest predicted episode
/// that fits into memory. Where colocated models do not fit as given they are
/// tried with offload.
///
/// Branch and bound: sizes are chosen model by model, fastest first, and a
/// branch ends where the devices do not suffice or the best conceivable time is
/// not below the last of the best found. Exact if `complete`. Deterministic
/// unless the deadline cuts it short. Exponential in models; memory O(space of
/// one model + colocations).
///
/// Fails with `errc::invalid` for inputs that no candidate can repair, e.g. a
/// workload below zero.
[[nodiscard]] result<optimize_result>
optimize(const plan_problem& problem, const place_function& place,
         const deadline& until, const optimize_options& options = {});

} // namespace troupe::planner
