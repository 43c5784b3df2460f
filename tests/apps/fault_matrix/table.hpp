// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/fault_matrix/trial.hpp"

namespace fault_matrix {

/// Both parts of the matrix and their legend, at most 80 columns wide. A cell
/// that was not drawn is empty.
[[nodiscard]] std::string render(const std::vector<outcome>& all);

/// `{"seed": N, "load": X, "cells": [...]}`
[[nodiscard]] nlohmann::json to_json(const std::vector<outcome>& all,
                                     std::uint64_t seed);

} // namespace fault_matrix
