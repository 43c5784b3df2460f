// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::grpo {

/// One token a character of printable ASCII, numbered in ASCII order behind
/// two special tokens. A value: equal alphabets make equal tokenizers.
class tokenizer {
public:
  static constexpr std::int64_t pad = 0;
  static constexpr std::int64_t end = 1;

  /// True for what can be a token: a printable ASCII character.
  [[nodiscard]] static constexpr bool supports(char c) noexcept {
    return c >= ' ' && c <= '~';
  }

  /// Knows the two special tokens alone.
  tokenizer() = default;

  /// Knows the characters of `alphabet`; repeats count once. Throws
  /// std::invalid_argument for a character that is not supported.
  explicit tokenizer(std::string_view alphabet);

  /// Special tokens included.
  [[nodiscard]] std::int64_t vocab_size() const noexcept {
    return std::ssize(characters_) + 2;
  }

  /// The characters in token order.
  [[nodiscard]] const std::string& alphabet() const noexcept {
    return characters_;
  }

  /// Throws std::invalid_argument for a character it does not know.
  [[nodiscard]] std::vector<std::int64_t> encode(std::string_view text) const;

  /// Up to the end token; pads are skipped, foreign numbers read '?'.
  [[nodiscard]] std::string decode(std::span<const std::int64_t> ids) const;

  bool operator==(const tokenizer&) const = default;

private:
  std::string characters_;
  std::array<std::uint8_t, 128> ids_{}; // 0: unknown
};

} // namespace troupe::grpo
