// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/actors/model/parameter_list.hpp"
#include "troupe/actors/model/worker_context.hpp"
#include "troupe/core/batch.hpp"

namespace troupe {

/// Adds a copy of every parameter as the tensor `parameter/NAME`: for
/// `module::save_checkpoint`. Memory of a device is read through `through`, the
/// context of a rank there. Throws std::runtime_error that names the parameter if
/// that fails; a troupe::exception (`errc::invalid`) if there is no such context,
/// or if the memory does not fit the shape.
void add_parameters(batch& to, const parameter_list& parameters,
                    worker_context* through = nullptr);

/// Copies them back. Throws a troupe::exception (`errc::invalid`) that names the
/// first parameter that is missing or has another type or shape; nothing was
/// copied then. Also throws as `add_parameters` does.
void restore_parameters(const batch& from, const parameter_list& parameters,
                        worker_context* through = nullptr);

} // namespace troupe
