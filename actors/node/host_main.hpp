// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "troupe/actors/model/registry.hpp"

namespace troupe::node {

/// The main function of a device host: `args` are what stands behind the hidden
/// verb. Connects to its node, serves until it is shut down, and returns the
/// exit code. It ends as soon as its node or its guard is gone. `prepare` runs
/// first, with the number of threads that the workers may use.
int host_main(const module_registry& registry,
              const std::vector<std::string>& args,
              const std::function<void(int)>& prepare);

} // namespace troupe::node
