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

/// What a rank does that is in `operation` for `age`, while the others who were
/// asked together with it have given up waiting for it: with which keys bound
/// their wait and its work.
[[nodiscard]] error still_at_it(std::string_view operation,
                                std::chrono::nanoseconds age);

} // namespace troupe::model
