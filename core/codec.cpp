// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/codec.hpp"

namespace troupe {

void encoder::put(std::string_view text) {
  put(static_cast<std::uint32_t>(text.size()));
  append(text.data(), text.size());
}

void encoder::append(const void* data, std::size_t size) {
  auto* first = static_cast<const std::byte*>(data);
  out_.insert(out_.end(), first, first + size);
}

bool decoder::get(std::string& text) {
  std::uint32_t size = 0;
  std::span<const std::byte> raw;
  if (!get(size) || !view(size, raw))
    return false;
  text.assign(reinterpret_cast<const char*>(raw.data()), raw.size());
  return true;
}

bool decoder::read(void* data, std::size_t size) noexcept {
  std::span<const std::byte> raw;
  if (!view(size, raw))
    return false;
  if (size > 0)
    std::memcpy(data, raw.data(), size);
  return true;
}

bool decoder::view(std::size_t size, std::span<const std::byte>& out) noexcept {
  if (!good_ || size > in_.size()) {
    good_ = false;
    return false;
  }
  out = in_.first(size);
  in_ = in_.subspan(size);
  return true;
}

} // namespace troupe
