// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/tokenizer.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

#include <fmt/format.h>

namespace troupe::grpo {

namespace {

[[noreturn]] void refuse(char c, std::string_view why) {
  throw std::invalid_argument{
    fmt::format("tokenizer: character {:#04x} {}",
                static_cast<unsigned>(static_cast<unsigned char>(c)), why)};
}

} // namespace

tokenizer::tokenizer(std::string_view alphabet) {
  std::set<char> sorted(alphabet.begin(), alphabet.end());
  for (auto c : sorted) {
    if (!supports(c))
      refuse(c, "is not printable ASCII");
    ids_[static_cast<std::size_t>(c)] = static_cast<std::uint8_t>(vocab_size());
    characters_.push_back(c);
  }
}

std::vector<std::int64_t> tokenizer::encode(std::string_view text) const {
  std::vector<std::int64_t> ids;
  ids.reserve(text.size());
  for (auto c : text) {
    auto id = supports(c) ? ids_[static_cast<std::size_t>(c)] : 0;
    if (id == 0)
      refuse(c, "is not in the alphabet");
    ids.push_back(id);
  }
  return ids;
}

std::string tokenizer::decode(std::span<const std::int64_t> ids) const {
  std::string text;
  for (auto id : ids) {
    if (id == end)
      break;
    if (id == pad)
      continue;
    text.push_back(id >= 2 && id < vocab_size()
                     ? characters_[static_cast<std::size_t>(id - 2)]
                     : '?');
  }
  return text;
}

} // namespace troupe::grpo
