// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/error.hpp"

#include <array>

namespace troupe {

namespace {

struct named_code {
  errc code;
  std::string_view name;
};

constexpr std::array<named_code, 10> names{{
  {errc::invalid, "invalid"},
  {errc::exhausted, "exhausted"},
  {errc::unavailable, "unavailable"},
  {errc::timed_out, "timed_out"},
  {errc::aborted, "aborted"},
  {errc::lost, "lost"},
  {errc::corrupt, "corrupt"},
  {errc::refused, "refused"},
  {errc::failed, "failed"},
  {errc::internal, "internal"},
}};

} // namespace

std::string_view to_string(errc x) noexcept {
  for (const auto& entry : names)
    if (entry.code == x)
      return entry.name;
  return "unknown";
}

bool from_string(std::string_view name, errc& x) noexcept {
  for (const auto& entry : names)
    if (entry.name == name) {
      x = entry.code;
      return true;
    }
  return false;
}

error error::within(std::string_view where) const {
  std::string text{where};
  text += ": ";
  text += message_;
  return {code_, std::move(text)};
}

std::string to_string(const error& x) {
  std::string text{to_string(x.code())};
  text += ": ";
  text += x.message();
  return text;
}

} // namespace troupe
