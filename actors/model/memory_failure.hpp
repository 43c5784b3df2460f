// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>

#include "troupe/core/error.hpp"

namespace troupe::model {

/// Whether what a module threw says that memory ran out: std::bad_alloc, or an
/// allocator of libtorch that says so in words, because its type is not known
/// here.
[[nodiscard]] bool is_out_of_memory(const std::exception& x);

/// `errc::exhausted`: what was thrown, and what this process holds by now.
[[nodiscard]] error out_of_memory(const std::exception& x);

} // namespace troupe::model
