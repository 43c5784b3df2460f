// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe::config {

/// A piece of YAML with the line it stands on. A tree of its own rather than
/// YAML::Node, because that follows aliases (a small text can stand for an
/// endless one), forgets duplicate keys and shares its nodes.
struct yaml_node {
  enum class type : std::uint8_t { null, scalar, sequence, map };

  type kind = type::null;
  /// Line of its file, 1-based; 0 for a value that `--set` gave.
  int line = 0;
  /// Scalars: the text.
  std::string text;
  /// Elements of a sequence, values of a map.
  std::vector<yaml_node> items;
  /// Keys of a map, as many as `items`; duplicates are kept.
  std::vector<std::string> keys;
  /// Lines of the keys.
  std::vector<int> key_lines;

  /// The value of the first such key; null if there is none.
  [[nodiscard]] const yaml_node* find(std::string_view key) const noexcept;
  [[nodiscard]] yaml_node* find(std::string_view key) noexcept;
};

/// `"nothing"`, `"'text'"`, `"a list"` or `"a section"`.
[[nodiscard]] std::string describe(const yaml_node& node);

/// `text` between quotes, shortened, without what could disturb a terminal.
[[nodiscard]] std::string quote(std::string_view text);

/// Parses one YAML document. `file_name` stands in messages; if `is_file` is
/// false every line is 0. Fails with `errc::invalid` and a message of the form
/// `FILE:LINE: what` for anything but plain maps, lists and scalars: aliases,
/// tags, more than one document, nesting or size beyond the limits of
/// loader.hpp, NUL characters.
[[nodiscard]] result<yaml_node> read_yaml(std::string_view text,
                                          std::string_view file_name,
                                          bool is_file = true);

/// Puts `key.path=value` into `root`, whose value is YAML on one line.
/// Fails with `errc::invalid`.
[[nodiscard]] result<void> apply_override(yaml_node& root,
                                          std::string_view assignment);

} // namespace troupe::config
