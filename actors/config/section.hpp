// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/config/options.hpp"
#include "troupe/actors/config/problem_list.hpp"
#include "troupe/actors/config/yaml_tree.hpp"

namespace troupe::config {

/// Reads the keys of one section of the file. Every getter names a key that is
/// allowed there, leaves its target alone if the key is absent, and says
/// whether it was present; `finish` complains about every other key.
class section {
public:
  /// `node` is null if the file lacks the section; `line` is where the section
  /// begins or is missed.
  /// `path` is the section's own name, e.g. `models.policy`. Options in
  /// `specs` with the name of a key that a getter asks for are that key's
  /// defaults. All arguments must outlive the section.
  section(const yaml_node* node, int line, std::string path,
          std::span<const option_spec> specs, problem_list& problems);

  bool flag(std::string_view key, bool& target);

  template <std::integral T>
  bool integer(std::string_view key, T& target, std::int64_t least,
               std::int64_t most = std::numeric_limits<T>::max()) {
    auto value = static_cast<std::int64_t>(target);
    auto present = read_integer(key, value, least, most);
    target = static_cast<T>(value);
    return present;
  }

  /// As `integer`; or the key has `word` for its value, which is what is
  /// returned.
  template <std::integral T>
  bool integer_or(std::string_view key, std::string_view word, T& target,
                  std::int64_t least, std::int64_t most) {
    if (claim_word(key, word))
      return true;
    auto value = static_cast<std::int64_t>(target);
    read_integer(key, value, least, most, word);
    target = static_cast<T>(value);
    return false;
  }

  /// A number, fractions allowed.
  bool number(std::string_view key, double& target, double least, double most);

  /// A whole number of milliseconds.
  bool milliseconds(std::string_view key, std::chrono::milliseconds& target,
                    std::int64_t least = 1);

  /// A number of bytes, or one with a unit: `512 MiB`.
  bool byte_count(std::string_view key, std::uint64_t& target);

  bool text(std::string_view key, std::string& target);

  /// One of a few words.
  bool choice(std::string_view key, std::string& target,
              std::vector<std::string> words);

  /// The value of `key` as it stands; null if absent.
  const yaml_node* raw(std::string_view key);

  /// A key of a ChatLearn configuration that means something else here: its
  /// presence is a problem with `advice` as the text.
  void elsewhere(std::string_view key, std::string_view advice);

  /// All of `specs` that no getter has asked for.
  void options(troupe::options& target);

  /// Complains about keys that nobody asked for. Call last.
  void finish();

  /// Complains about `key`, on its line if it is there.
  void complain(std::string_view key, std::string_view text);

  /// The line of `key` or, if it is absent, of the section.
  [[nodiscard]] int line_of(std::string_view key) const;

  /// Whether nothing was complained about in this section.
  [[nodiscard]] bool sound() const noexcept { return sound_; }

private:
  const yaml_node* claim(std::string_view key);

  /// The default that the application declared for a key of Troupe's own.
  template <class T>
  void use_declared_default(std::string_view key, T& target);

  /// `word` is allowed besides.
  bool read_integer(std::string_view key, std::int64_t& target,
                    std::int64_t least, std::int64_t most,
                    std::string_view word = {});

  /// True, and the key has been asked for, if its value is that word.
  bool claim_word(std::string_view key, std::string_view word);

  void read_option(const option_spec& spec, troupe::options& target);

  const yaml_node* node_;
  int line_;
  bool sound_ = true;
  std::string path_;
  std::span<const option_spec> specs_;
  problem_list& problems_;
  /// First position of each key of `node_`.
  std::map<std::string_view, std::size_t> positions_;
  std::vector<std::string> allowed_;
  std::vector<std::string> refused_;
};

} // namespace troupe::config
