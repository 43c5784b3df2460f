// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/core/error.hpp"

namespace troupe {

using bytes = std::vector<std::byte>;

/// Appends little-endian values to a byte string. Floating point travels as
/// its bit pattern, so NaN, infinities, -0 and denormals arrive as sent.
class encoder {
public:
  explicit encoder(bytes& out) noexcept : out_(out) {
    // nop
  }

  template <std::integral T>
  void put(T value) {
    append(&value, sizeof(value));
  }

  template <std::floating_point T>
  void put(T value) {
    append(&value, sizeof(value));
  }

  /// Length (32 bits), then the characters.
  void put(std::string_view text);

  /// The bytes alone, without a length.
  void append(const void* data, std::size_t size);

private:
  static_assert(std::endian::native == std::endian::little,
                "the wire format is little-endian");
  bytes& out_;
};

/// Reads what an `encoder` wrote. Nothing read is trusted: a getter that would
/// pass the end returns false and the decoder stays failed.
class decoder {
public:
  explicit decoder(std::span<const std::byte> in) noexcept : in_(in) {
    // nop
  }

  template <class T>
  requires std::integral<T> || std::floating_point<T>
  [[nodiscard]] bool get(T& value) noexcept {
    return read(&value, sizeof(value));
  }

  [[nodiscard]] bool get(std::string& text);

  [[nodiscard]] bool read(void* data, std::size_t size) noexcept;

  /// The next `size` bytes, not copied.
  [[nodiscard]] bool view(std::size_t size,
                          std::span<const std::byte>& out) noexcept;

  /// Bytes not read yet: an upper bound on any count still to come.
  [[nodiscard]] std::size_t left() const noexcept { return in_.size(); }

  [[nodiscard]] bool good() const noexcept { return good_; }

private:
  std::span<const std::byte> in_;
  bool good_ = true;
};

} // namespace troupe
