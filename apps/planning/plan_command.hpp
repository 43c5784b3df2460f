// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "troupe/actors/config/schema.hpp"
#include "troupe/apps/planning/arguments.hpp"
#include "troupe/core/error.hpp"

namespace troupe::planning {

/// What `plan` prints for these arguments: the plan as text or JSON, one
/// model's reasons, or the plans of a search. Writes the drawing if one was
/// asked for. Starts nothing. A sync of `schema` with the frequency 0 happens
/// once, outside of the episodes.
[[nodiscard]] result<std::string> render(const config::app_schema& schema,
                                         const plan_arguments& args,
                                         bool colour);

/// The verb: prints what `render` gives, or why it gives nothing. Returns the
/// exit code: 0, or 2 for wrong input.
int plan(const config::app_schema& schema, const plan_arguments& args);

/// The same for `--groups`, which needs no application.
int plan_groups(const plan_arguments& args);

/// The same for `--transfer`. Returns 1 if something is uncovered or written
/// twice, which is printed too.
int plan_transfer(const plan_arguments& args);

} // namespace troupe::planning
