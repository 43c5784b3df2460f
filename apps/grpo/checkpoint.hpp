// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "troupe/apps/torch/arena.hpp"
#include "troupe/core/batch.hpp"

namespace troupe::grpo {

/// Checkpoint files hold one encoded batch: parameters under
/// "parameter/NAME", the rest under names of the module's choice. All functions
/// throw std::runtime_error with the file or the tensor in the text.

/// Adds a copy of all parameters.
void add_parameters(batch& to, const torch::arena& parameters);

/// Writes them back. Nothing is changed unless every parameter is there with
/// the right shape.
void restore_parameters(const batch& from, torch::arena& parameters);

/// Writes `content` beside `file` first and renames, so that a crash leaves the
/// old file or the new one.
void write_checkpoint(const std::filesystem::path& file, const batch& content);

[[nodiscard]] batch read_checkpoint(const std::filesystem::path& file);

} // namespace troupe::grpo
