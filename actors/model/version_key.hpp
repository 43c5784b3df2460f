// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace troupe::model {

/// How the metadata begins that says which version of a model's weights made a
/// batch: every batch that comes out of a replica has it, and so a sample
/// carries it along.
inline constexpr std::string_view version_prefix = "weight_version:";

/// `"weight_version:policy"`.
[[nodiscard]] inline std::string version_key(const std::string& model) {
  return std::string{version_prefix} + model;
}

[[nodiscard]] inline bool is_version_key(std::string_view name) noexcept {
  return name.starts_with(version_prefix);
}

} // namespace troupe::model
