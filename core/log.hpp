// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/core.h>

#include "troupe/core/error.hpp"

namespace troupe::log {

enum class level : std::uint8_t { debug, info, warning, error };

/// Where this process's lines go. Until `open` is called they go nowhere: a
/// library must not write to its user's terminal.
struct settings {
  /// File to append to.
  std::string path;
  /// Stands in every line, e.g. `"host-1"` or `"driver"`.
  std::string tag;
  level threshold = level::info;
};

/// Opens the process's log. Callable once from main, before threads.
[[nodiscard]] result<void> open(const settings& config);

/// Flushes and closes; later lines go nowhere.
void close() noexcept;

/// Writes one line. Callable from any thread. `subject` names who speaks, e.g.
/// `"policy/0/1"`.
void write(level severity, std::string_view subject, std::string_view text);

template <class... Ts>
void debug(std::string_view subject, fmt::format_string<Ts...> text,
           Ts&&... xs) {
  write(level::debug, subject, fmt::format(text, std::forward<Ts>(xs)...));
}

template <class... Ts>
void info(std::string_view subject, fmt::format_string<Ts...> text,
          Ts&&... xs) {
  write(level::info, subject, fmt::format(text, std::forward<Ts>(xs)...));
}

template <class... Ts>
void warning(std::string_view subject, fmt::format_string<Ts...> text,
             Ts&&... xs) {
  write(level::warning, subject, fmt::format(text, std::forward<Ts>(xs)...));
}

template <class... Ts>
void error(std::string_view subject, fmt::format_string<Ts...> text,
           Ts&&... xs) {
  write(level::error, subject, fmt::format(text, std::forward<Ts>(xs)...));
}

} // namespace troupe::log
