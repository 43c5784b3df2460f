// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "troupe/core/batch.hpp"

namespace troupe::grpo {

/// The tensors that GRPO's batches hold. n counts prompts, m = n x samples
/// counts completions (samples of a prompt next to each other), p is
/// `prompt_length`, c is `completion_length`. Every function returns what it
/// was given plus what it adds, so that calls can be chained, and branches
/// joined by `batch::merge`.
namespace field {

/// int64 [n, p]: token ids, padded on the left. Made by the sampler.
inline constexpr std::string_view prompt = "prompt";

/// int64 [n] or [m]: pad tokens in front of the prompt. Made by the sampler.
inline constexpr std::string_view padding = "padding";

/// int64 [n, c] or [m, c]: the right answer, closed by the end token and padded
/// on the right. Made by the sampler.
inline constexpr std::string_view answer = "answer";

/// int64 [n] or [m]: which prompt a row belongs to; unique in a batch. Made by
/// the sampler.
inline constexpr std::string_view group = "group";

/// int64 [m, p + c]: prompt and completion. Made by policy.generate.
inline constexpr std::string_view tokens = "tokens";

/// float32 [m, c]: 1 for the completion's tokens, the end token included.
/// Made by policy.generate.
inline constexpr std::string_view mask = "mask";

/// float32 [m, c]: logprobs of the completion under the weights that drew it.
/// Made by policy.generate.
inline constexpr std::string_view old_logprobs = "old_logprobs";

/// float32 [m, c]: the same under the frozen weights. Made by reference.score.
inline constexpr std::string_view reference_logprobs = "reference_logprobs";

/// float32 [m], 0 to 1. Made by reward.score.
inline constexpr std::string_view reward = "reward";

/// float32 [m] or [n]: 1 if the completion is the answer, else 0. Made by
/// reward.score and policy.evaluate.
inline constexpr std::string_view exact = "exact";

/// float32 [m]. Made by group_advantages.
inline constexpr std::string_view advantage = "advantage";

} // namespace field

/// Metadata that policy_trainer returns; equal on all ranks.
namespace metric {

/// Mean loss a token, and its parts.
inline constexpr std::string_view loss = "loss";
inline constexpr std::string_view kl = "kl";
inline constexpr std::string_view entropy = "entropy";

/// Share of tokens whose probability ratio was clipped.
inline constexpr std::string_view clip_fraction = "clip_fraction";

/// Mean over the optimizer steps of the norm before clipping.
inline constexpr std::string_view grad_norm = "grad_norm";

/// Of the last optimizer step.
inline constexpr std::string_view learning_rate = "learning_rate";

/// Tokens trained on, all ranks together.
inline constexpr std::string_view tokens = "tokens";

/// Optimizer steps taken by this call.
inline constexpr std::string_view steps = "steps";

} // namespace metric

/// The tensor, checked; throws std::invalid_argument that says what is wrong.
[[nodiscard]] tensor require(const batch& x, std::string_view name, dtype type,
                             std::size_t dimensions);

/// A vector [rows] as floats or integers.
[[nodiscard]] std::vector<float> require_floats(const batch& x,
                                                std::string_view name);
[[nodiscard]] std::vector<std::int64_t> require_ids(const batch& x,
                                                    std::string_view name);

/// Mean of a float32 [rows] tensor over all samples: a function for gathered
/// batches, e.g. the mean reward or the share of exact answers. 0 for no rows.
[[nodiscard]] double mean_of(const batch& x, std::string_view name);

/// Sum of a float32 tensor of any shape, e.g. the tokens under `mask`.
[[nodiscard]] double sum_of(const batch& x, std::string_view name);

} // namespace troupe::grpo
