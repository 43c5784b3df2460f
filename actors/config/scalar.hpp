// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "troupe/actors/config/yaml_tree.hpp"
#include "troupe/core/error.hpp"

namespace troupe::config {

/// Each reads a scalar as one type and fails with a text that says what was
/// expected and what was found. Nothing converts but an integer to a number.
[[nodiscard]] result<bool> as_flag(const yaml_node& node);
[[nodiscard]] result<std::int64_t> as_integer(const yaml_node& node);
[[nodiscard]] result<double> as_number(const yaml_node& node);
[[nodiscard]] result<std::string> as_text(const yaml_node& node);

/// A number of bytes with or without one of the units B, KiB, MiB, GiB, TiB.
[[nodiscard]] result<std::uint64_t> as_bytes(const yaml_node& node);

} // namespace troupe::config
