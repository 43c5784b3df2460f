// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "troupe/bench/calls/child_process.hpp"

namespace troupe::bench {

/// The hidden verb of a process that sends back what it reads.
inline constexpr const char* raw_echo_verb = "__raw_echo";

int raw_echo_main();

/// Bytes of one message of `raw_round`.
inline constexpr std::size_t raw_bytes = 64;

/// Round trips over the socket to an echo process, one after the other:
/// microseconds each. What a call between processes costs without anything.
[[nodiscard]] result<std::vector<double>>
raw_round(const child_process& echo, std::size_t count, deadline until);

} // namespace troupe::bench
