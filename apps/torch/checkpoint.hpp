// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "troupe/apps/torch/adamw.hpp"
#include "troupe/apps/torch/arena.hpp"
#include "troupe/core/batch.hpp"

namespace troupe::torch {

/// For `module::save_checkpoint` and `load_checkpoint`, wherever the tensors
/// lie; inside `device_stream::run`. What is loaded must have the types and
/// shapes of what was saved.

/// Adds a copy of every parameter (`troupe::add_parameters`).
void save_parameters(batch& to, const arena& from);

/// Throws std::runtime_error that names the first parameter that is missing or
/// has another type or shape; nothing was changed then.
void load_parameters(const batch& from, arena& to);

/// The optimizer's means and its steps, as `NAME/...`.
void save_optimizer(batch& to, std::string_view name, const adamw& from);

/// Throws std::runtime_error likewise.
void load_optimizer(const batch& from, std::string_view name, adamw& to);

} // namespace troupe::torch
