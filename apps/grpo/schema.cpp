// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/schema.hpp"

#include <stdexcept>
#include <string>

#include <fmt/format.h>

namespace troupe::grpo {

namespace {

tensor present(const batch& x, std::string_view name) {
  auto found = x.get(name);
  if (!found)
    throw std::invalid_argument{found.error().message()};
  return *std::move(found);
}

} // namespace

tensor require(const batch& x, std::string_view name, dtype type,
               std::size_t dimensions) {
  auto found = present(x, name);
  if (found.type() != type || found.extents().size() != dimensions)
    throw std::invalid_argument{
      fmt::format("batch: {} is {}, not {} with {} dimension(s)", name,
                  to_string(found), to_string(type), dimensions)};
  return found;
}

std::vector<float> require_floats(const batch& x, std::string_view name) {
  auto found = require(x, name, dtype::float32, 1);
  auto values = found.values<float>();
  return {values.begin(), values.end()};
}

std::vector<std::int64_t> require_ids(const batch& x, std::string_view name) {
  auto found = require(x, name, dtype::int64, 1);
  auto values = found.values<std::int64_t>();
  return {values.begin(), values.end()};
}

double mean_of(const batch& x, std::string_view name) {
  auto rows = require(x, name, dtype::float32, 1).size();
  return rows == 0 ? 0 : sum_of(x, name) / static_cast<double>(rows);
}

double sum_of(const batch& x, std::string_view name) {
  auto found = present(x, name);
  if (found.type() != dtype::float32)
    throw std::invalid_argument{
      fmt::format("batch: {} is {}, not float32", name, to_string(found))};
  double sum = 0;
  for (auto value : found.values<float>())
    sum += value;
  return sum;
}

} // namespace troupe::grpo
