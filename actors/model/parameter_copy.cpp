// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/parameter_copy.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

namespace troupe {

namespace {

std::string key_of(const parameter& x) {
  return fmt::format("parameter/{}", x.name);
}

} // namespace

void add_parameters(batch& to, const parameter_list& parameters) {
  for (const auto& x : parameters) {
    tensor copy{x.type, x.extents};
    std::ranges::copy(x.memory, copy.bytes().begin());
    to.set(key_of(x), std::move(copy));
  }
}

void restore_parameters(const batch& from, const parameter_list& parameters) {
  for (const auto& x : parameters) {
    const auto* found = from.find(key_of(x));
    if (found == nullptr || found->type() != x.type
        || found->extents() != x.extents)
      throw std::runtime_error{
        fmt::format("checkpoint: parameter {} is {}, the model needs {}{}",
                    x.name, found == nullptr ? "missing" : to_string(*found),
                    to_string(x.type), to_string(x.extents))};
  }
  for (const auto& x : parameters)
    std::ranges::copy(from.find(key_of(x))->bytes(), x.memory.begin());
}

} // namespace troupe
