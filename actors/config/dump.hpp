// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "troupe/actors/config/job_config.hpp"
#include "troupe/actors/config/schema.hpp"

namespace troupe::config {

/// The whole configuration as YAML. Under the same schema it parses back to an
/// equal one. The schema's help texts stand behind the options.
[[nodiscard]] std::string dump_yaml(const job_config& job,
                                    const app_schema& schema = {});

} // namespace troupe::config
