// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::planner::weights {

/// Finds the number of a value that a caller keeps in an array of its own: a
/// hash table with open addressing that holds numbers only, so that an entry
/// costs no allocation. Numbers are given in order, from 0 on.
class flat_index {
public:
  /// The number of the value with this hash for which `equals(number)` is true,
  /// or the next free number, which the caller must then append.
  template <class Equals>
  std::uint32_t find_or_add(std::uint64_t hash, Equals&& equals) {
    if ((hashes_.size() + 1) * 2 > slots_.size())
      grow();
    auto at = hash & (slots_.size() - 1);
    for (; slots_[at] != none; at = (at + 1) & (slots_.size() - 1))
      if (auto number = slots_[at]; hashes_[number] == hash && equals(number))
        return number;
    auto number = static_cast<std::uint32_t>(hashes_.size());
    slots_[at] = number;
    hashes_.push_back(hash);
    return number;
  }

  /// The number, or `none`.
  template <class Equals>
  [[nodiscard]] std::uint32_t find(std::uint64_t hash, Equals&& equals) const {
    if (slots_.empty())
      return none;
    auto at = hash & (slots_.size() - 1);
    for (; slots_[at] != none; at = (at + 1) & (slots_.size() - 1))
      if (auto number = slots_[at]; hashes_[number] == hash && equals(number))
        return number;
    return none;
  }

  [[nodiscard]] std::size_t size() const noexcept { return hashes_.size(); }

  static constexpr std::uint32_t none = 0xFFFFFFFF;

private:
  void grow() {
    std::size_t size = slots_.empty() ? 64 : slots_.size() * 2;
    slots_.assign(size, none);
    for (std::uint32_t i = 0; i < hashes_.size(); ++i) {
      auto at = hashes_[i] & (size - 1);
      while (slots_[at] != none)
        at = (at + 1) & (size - 1);
      slots_[at] = i;
    }
  }

  std::vector<std::uint32_t> slots_;
  std::vector<std::uint64_t> hashes_;
};

/// Mixes `x` into a hash.
[[nodiscard]] inline std::uint64_t mixed(std::uint64_t hash,
                                         std::uint64_t x) noexcept {
  hash ^= x + 0x9E3779B97F4A7C15 + (hash << 6) + (hash >> 2);
  hash *= 0xBF58476D1CE4E5B9;
  return hash ^ (hash >> 31);
}

} // namespace troupe::planner::weights
