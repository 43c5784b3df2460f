// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace troupe::node {

/// Memory this process holds in RAM; 0 if the system does not tell.
[[nodiscard]] std::uint64_t resident_bytes();

/// Names the program file of this process by its content: driver and hosts
/// must run the same one.
[[nodiscard]] const std::string& build_id();

/// A fresh name for a job: 12 random hexadecimal digits.
[[nodiscard]] std::string make_job_id();

} // namespace troupe::node
