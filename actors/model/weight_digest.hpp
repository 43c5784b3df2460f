// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace troupe::model {

/// Digest of the bytes that cross a link, in order: both ends must agree on
/// it (WS-4). XXH3, 128 bits.
class weight_digest {
public:
  struct value_type {
    std::uint64_t low = 0;
    std::uint64_t high = 0;

    bool operator==(const value_type&) const = default;
  };

  weight_digest();
  ~weight_digest();

  void update(std::span<const std::byte> data) noexcept;

  [[nodiscard]] value_type value() const noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace troupe::model
