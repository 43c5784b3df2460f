// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <optional>

#include <nlohmann/json.hpp>

namespace troupe::console {

/// A number as JSON, which knows neither absent nor infinite ones nor NaN:
/// those are null.
[[nodiscard]] inline nlohmann::ordered_json
json_number(std::optional<double> value) {
  if (!value || !std::isfinite(*value))
    return nullptr;
  return *value;
}

/// Text of a JSON value; bytes that are no UTF-8 are replaced, not thrown at.
[[nodiscard]] inline std::string json_text(const nlohmann::ordered_json& value,
                                           int indent = -1) {
  return value.dump(indent, ' ', false,
                    nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace troupe::console
