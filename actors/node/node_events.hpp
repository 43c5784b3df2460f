// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include <caf/allowed_unsafe_message_type.hpp>

#include "troupe/actors/protocol/register.hpp"

// What the own thread of a node process hears. Stays in the process.

namespace troupe::node {

struct job_came {
  std::string job;
  protocol::error_signal_actor errors;
  protocol::node_actor node;
  std::chrono::milliseconds grace{};
};

struct driver_silent {
  std::chrono::milliseconds silent{};
};

struct driver_heard {};

struct driver_gone {};

/// The driver has said that the job ends; it may be gone before that is done.
struct job_closing {};

/// The guard has ended, and with it every host. The error_signal has been told.
struct guard_gone {};

struct stop_signal {};

} // namespace troupe::node

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::node::job_came)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::node::driver_silent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::node::driver_heard)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::node::driver_gone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::node::job_closing)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::node::guard_gone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::node::stop_signal)
