// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/cuda/stand_in_runtime.hpp"
#include "troupe/core/deadline.hpp"

namespace troupe::test {

/// A deadline that no test comes near.
inline deadline soon() {
  return deadline::after(std::chrono::seconds{30});
}

inline std::shared_ptr<stand_in_runtime>
make_stand_in(stand_in_options options = {}) {
  return std::make_shared<stand_in_runtime>(std::move(options));
}

inline std::shared_ptr<stand_in_runtime> make_stepped() {
  stand_in_options options;
  options.stepped = true;
  return make_stand_in(std::move(options));
}

/// How many of the sentences contain `part`.
inline std::size_t count(const std::vector<std::string>& sentences,
                         std::string_view part) {
  return static_cast<std::size_t>(
    std::count_if(sentences.begin(), sentences.end(), [&](const auto& x) {
      return x.find(part) != std::string::npos;
    }));
}

/// For the messages of checks.
inline std::string lines(const std::vector<std::string>& sentences) {
  std::string out;
  for (const auto& x : sentences)
    out += x + '\n';
  return out;
}

} // namespace troupe::test
