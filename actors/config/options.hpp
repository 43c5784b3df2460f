// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "troupe/core/codec.hpp"
#include "troupe/core/error.hpp"

namespace troupe {

/// A scalar of the configuration. Its alternative is its type: an option that
/// was declared with a double accepts an integer, nothing else converts.
using option_value = std::variant<bool, std::int64_t, double, std::string>;

/// `"boolean"`, `"integer"`, `"number"` or `"string"`.
[[nodiscard]] std::string_view type_name(const option_value& x) noexcept;

/// For people and for resolved configurations: `true`, `3`, `0.5`, `text`.
[[nodiscard]] std::string to_string(const option_value& x);

/// The values that a number may have. NaN is in no range with a lower bound.
struct number_range {
  double least = -std::numeric_limits<double>::infinity();
  bool least_belongs = true;
  /// Does not belong itself, unless it is infinite.
  double limit = std::numeric_limits<double>::infinity();

  [[nodiscard]] bool contains(double x) const noexcept;

  /// `"above 0"`, `"at least 0 and below 1"`, ...
  [[nodiscard]] std::string describe() const;
};

inline constexpr number_range not_negative{0};
inline constexpr number_range above_zero{0, false};
inline constexpr number_range at_least_one{1};
inline constexpr number_range from_zero_below_one{0, true, 1};

/// What an application says about one of its options.
struct option_spec {
  std::string name;
  option_value otherwise;
  std::string help;
  /// Of a number or an integer; the configuration is refused outside of it.
  number_range range{};

  /// Fails with `errc::invalid` and `must be ..., is ...`.
  [[nodiscard]] result<void> check(const option_value& value) const;
};

/// Named scalars with their defaults filled in. Asking for a name that was
/// never declared, or for the wrong type, is a bug of the asker and throws
/// std::out_of_range or std::bad_variant_access with the name in the text.
class options {
public:
  void set(std::string name, option_value value);

  [[nodiscard]] bool contains(std::string_view name) const noexcept;

  [[nodiscard]] bool boolean(std::string_view name) const;
  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  /// Also takes an integer.
  [[nodiscard]] double number(std::string_view name) const;
  [[nodiscard]] const std::string& string(std::string_view name) const;

  [[nodiscard]] const std::map<std::string, option_value, std::less<>>&
  values() const noexcept {
    return values_;
  }

  /// Wire form; doubles as bit patterns.
  void encode(bytes& out) const;
  [[nodiscard]] static result<options> decode(std::span<const std::byte> in);

  bool operator==(const options&) const = default;

private:
  [[nodiscard]] const option_value& at(std::string_view name) const;

  std::map<std::string, option_value, std::less<>> values_;
};

} // namespace troupe
