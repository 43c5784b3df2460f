// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/actors/config/job_config.hpp"
#include "troupe/actors/model/registry.hpp"
#include "troupe/core/batch.hpp"
#include "troupe/core/error.hpp"

// How the models of a run were cut into ranks when it was saved.
namespace troupe::engine {

/// Adds the parallel sizes of every model to what the engine saves of itself.
void add_shapes(batch& state, const config::job_config& config);

/// Whether every model of `config` can load what was saved with `state`. Ranks
/// load what ranks of the same number have saved, so the sizes of a replica must
/// be those of then; the number of replicas may be another one, and that of data
/// ranks if the model is declared `same_on_data_ranks` and has neither stages
/// nor experts, which they would be numbered across. Models of which `state`
/// says nothing, or whose devices are not counted yet, pass. Fails with
/// `errc::invalid` and a sentence about the first that cannot.
[[nodiscard]] result<void> check_shapes(const batch& state,
                                        const config::job_config& config,
                                        const module_registry& models);

} // namespace troupe::engine
