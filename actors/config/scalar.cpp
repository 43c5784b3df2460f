// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/scalar.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include <fmt/core.h>

#include "troupe/core/units.hpp"

namespace troupe::config {

namespace {

tl::unexpected<error> mismatch(std::string_view wanted, const yaml_node& node) {
  return fail(errc::invalid,
              fmt::format("expected {}, found {}", wanted, describe(node)));
}

/// The characters of a number without the plus sign that from_chars refuses.
std::string_view digits_of(const yaml_node& node) {
  std::string_view text = node.text;
  if (text.size() > 1 && text[0] == '+' && text[1] != '-')
    text.remove_prefix(1);
  return text;
}

/// Whether `text` was read from its first to its last character.
template <class T>
std::errc read_all(std::string_view text, T& value) {
  const auto* last = text.data() + text.size();
  auto [end, code] = std::from_chars(text.data(), last, value);
  if (code == std::errc{} && end != last)
    return std::errc::invalid_argument;
  return code;
}

bool is_scalar(const yaml_node& node) {
  return node.kind == yaml_node::type::scalar;
}

} // namespace

result<bool> as_flag(const yaml_node& node) {
  if (is_scalar(node)) {
    if (node.text == "true" || node.text == "True" || node.text == "TRUE")
      return true;
    if (node.text == "false" || node.text == "False" || node.text == "FALSE")
      return false;
  }
  return mismatch("true or false", node);
}

result<std::int64_t> as_integer(const yaml_node& node) {
  std::int64_t value = 0;
  auto code = std::errc::invalid_argument;
  if (is_scalar(node))
    code = read_all(digits_of(node), value);
  if (code == std::errc::result_out_of_range)
    return fail(errc::invalid, fmt::format("{} is too large", describe(node)));
  if (code != std::errc{})
    return mismatch("an integer", node);
  return value;
}

result<double> as_number(const yaml_node& node) {
  constexpr auto infinity = std::numeric_limits<double>::infinity();
  if (!is_scalar(node))
    return mismatch("a number", node);
  auto text = digits_of(node);
  if (text == ".inf" || text == ".Inf")
    return infinity;
  if (text == "-.inf" || text == "-.Inf")
    return -infinity;
  double value = 0;
  auto code = read_all(text, value);
  if (code == std::errc::result_out_of_range)
    return fail(errc::invalid, fmt::format("{} does not fit a 64-bit floating-"
                                           "point number",
                                           describe(node)));
  // from_chars also takes words such as nan and infinity.
  if (code != std::errc{} || !std::isfinite(value))
    return mismatch("a number", node);
  return value;
}

result<std::string> as_text(const yaml_node& node) {
  if (!is_scalar(node))
    return mismatch("a text", node);
  return node.text;
}

result<std::uint64_t> as_bytes(const yaml_node& node) {
  struct unit {
    std::string_view name;
    std::uint64_t bytes;
  };
  constexpr std::array<unit, 6> units{{{"", 1},
                                       {"B", 1},
                                       {"KiB", kib},
                                       {"MiB", mib},
                                       {"GiB", gib},
                                       {"TiB", 1024 * gib}}};
  constexpr std::string_view wanted = "bytes, for example 512 MiB";
  if (!is_scalar(node))
    return mismatch(wanted, node);
  auto text = digits_of(node);
  std::uint64_t count = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(),
                                     count);
  if (code == std::errc::result_out_of_range)
    return fail(errc::invalid, fmt::format("{} is too large", describe(node)));
  if (code != std::errc{})
    return mismatch(wanted, node);
  auto rest = text.substr(static_cast<std::size_t>(end - text.data()));
  while (!rest.empty() && rest.front() == ' ')
    rest.remove_prefix(1);
  for (const auto& candidate : units) {
    if (rest != candidate.name)
      continue;
    if (count > std::numeric_limits<std::uint64_t>::max() / candidate.bytes)
      return fail(errc::invalid,
                  fmt::format("{} is too large", describe(node)));
    return count * candidate.bytes;
  }
  return mismatch(wanted, node);
}

} // namespace troupe::config
