// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/shared_memory.hpp"

#include <functional>

namespace troupe::comm {

shared_memory::~shared_memory() = default;

bool shared_memory::contains(std::span<const std::byte> data) const noexcept {
  auto all = memory();
  std::less_equal<const std::byte*> before;
  return before(all.data(), data.data())
         && before(data.data() + data.size(), all.data() + all.size());
}

foreign_memory::~foreign_memory() = default;

memory_opener::~memory_opener() = default;

} // namespace troupe::comm
