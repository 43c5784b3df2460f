// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

#include "troupe/core/error.hpp"

namespace troupe::planner::chatlearn {

/// How ChatLearn refuses: the class of the Python exception it raises, so that
/// refusals can be compared with its own.
enum class refusal_kind : std::uint8_t {
  assertion,
  runtime,
  not_implemented,
  key,
  index,
  zero_division,
  /// ChatLearn accepts, or breaks down later, and the result would be wrong:
  /// this library refuses instead.
  unsound,
};

/// The name of the Python class, e.g. `"AssertionError"`; `"Unsound"` for our
/// own refusals.
[[nodiscard]] std::string_view to_string(refusal_kind x) noexcept;

/// Why a request is refused, and what to change.
struct refusal {
  refusal_kind kind = refusal_kind::assertion;
  std::string message;

  bool operator==(const refusal&) const = default;
};

/// A value, or ChatLearn's reason not to have one.
template <class T>
using outcome = tl::expected<T, refusal>;

[[nodiscard]] inline tl::unexpected<refusal> refuse(refusal_kind kind,
                                                    std::string message) {
  return tl::unexpected<refusal>{refusal{kind, std::move(message)}};
}

[[nodiscard]] inline tl::unexpected<refusal> refuse(refusal x) {
  return tl::unexpected<refusal>{std::move(x)};
}

/// The refusal in the form the rest of Troupe uses: `errc::invalid`.
[[nodiscard]] error to_error(const refusal& x);

} // namespace troupe::planner::chatlearn
