// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/actors/model/parameter_list.hpp"
#include "troupe/core/batch.hpp"

namespace troupe {

/// Adds a copy of every parameter as the tensor `parameter/NAME`: for
/// `module::save_checkpoint`.
void add_parameters(batch& to, const parameter_list& parameters);

/// Copies them back. Throws std::runtime_error that names the first parameter
/// that is missing or has another type or shape; nothing was copied then.
void restore_parameters(const batch& from, const parameter_list& parameters);

} // namespace troupe
