// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string_view>

#include "troupe/core/error.hpp"

namespace troupe::model {

/// `why` a rank did not do `operation`; if it did not answer at all
/// (protocol::is_silence), how long it had and which key bounds that.
[[nodiscard]] error late_or(const error& why, std::string_view operation,
                            std::chrono::milliseconds timeout);

} // namespace troupe::model
