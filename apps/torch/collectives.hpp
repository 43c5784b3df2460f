// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "troupe/apps/torch/arena.hpp"
#include "troupe/comm/communicator.hpp"

namespace troupe::torch {

/// Collectives for module code: a null `group` means one rank and does nothing,
/// and an error of the communicator is thrown as troupe::exception, because
/// that is how a module reports to the job.

/// Replaces `values` by the sum over all ranks, bit-identical on each.
void all_reduce_sum(std::span<float> values, comm::communicator* group,
                    deadline until);

/// The largest value over all ranks.
[[nodiscard]] float all_reduce_max(float value, comm::communicator* group,
                                   deadline until);

/// The arena's memory is handed over where it is: a group of workers with
/// devices takes their memory (comm/device.hpp). What this thread has begun on
/// its stream is waited for before.

/// Sums all gradients of `parameters` over the ranks in one call. A loss that
/// each rank divided by the group's total (tokens, rows) so becomes the
/// average over the whole batch.
void all_reduce_gradients(arena& parameters, comm::communicator* group,
                          deadline until);

/// Copies all parameters of rank 0 to everybody.
void broadcast_parameters(arena& parameters, comm::communicator* group,
                          deadline until);

} // namespace troupe::torch
