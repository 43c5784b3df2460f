// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include "troupe/core/error.hpp"
#include "troupe/planner/model_shape.hpp"

namespace troupe::planning {

/// Larger files are no `config.json`.
inline constexpr std::size_t max_hf_config_bytes = 1024 * 1024;

/// Reads the sizes of a model out of a Hugging Face `config.json`: those of
/// Llama and its kin, GPT-2's `n_embd`, `n_layer`..., and the names that
/// mixtures of experts use (`num_local_experts`, `n_routed_experts`...). The
/// conventions follow from `model_type`; what a file of several models says of
/// its language model (`text_config`) counts. A class for sequence
/// classification has a scalar head.
///
/// The text is untrusted. Fails with `errc::invalid` and a message of the form
/// `FILE: KEY: what is wrong`.
[[nodiscard]] result<planner::model_shape>
parse_hf_config(std::string_view text, std::string_view file_name);

[[nodiscard]] result<planner::model_shape>
load_hf_config(const std::filesystem::path& file);

} // namespace troupe::planning
