// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "troupe/actors/net/event_loop.hpp"

namespace troupe::net {

/// The loop that all users of one priority in this process share. It begins
/// with the first and ends with the last of them, so a program that has none
/// has no thread. Its users must not let go of it on its own thread.
[[nodiscard]] result<std::shared_ptr<event_loop>>
shared_loop(event_loop::priority level);

} // namespace troupe::net
