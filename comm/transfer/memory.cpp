// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/memory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "troupe/core/units.hpp"

namespace troupe::comm::transfer {

namespace {

constexpr std::uint64_t slots_max = 4;

std::uintptr_t page_size() noexcept {
  static const auto size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

/// Asks the kernel to fault all pages at once. False if it cannot.
bool populate(std::span<const std::byte> memory, int how) noexcept {
  auto first = reinterpret_cast<std::uintptr_t>(memory.data());
  auto begin = first / page_size() * page_size();
  auto* where = const_cast<std::byte*>(memory.data()) - (first - begin);
  return ::madvise(where, memory.size() + (first - begin), how) == 0;
}

} // namespace

std::uint64_t whole_pages(std::uint64_t bytes) noexcept {
  return (bytes + page_size() - 1) / page_size() * page_size();
}

result<std::uint64_t> slots_within(std::uint64_t bytes_max,
                                   std::uint64_t slot_bytes) {
  auto slots = std::min(bytes_max / std::max<std::uint64_t>(slot_bytes, 1),
                        slots_max);
  if (slots < 2)
    return fail(errc::exhausted,
                fmt::format("two buckets of {} do not fit in {}: make the "
                            "buckets smaller or the budget larger",
                            format_bytes(slot_bytes), format_bytes(bytes_max)));
  return slots;
}

result<buffer> allocate_large(std::uint64_t bytes) {
  if (bytes == 0)
    return buffer{};
  auto size = static_cast<std::size_t>(whole_pages(bytes));
  auto* where = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (where == MAP_FAILED)
    return fail(errc::exhausted,
                fmt::format("no {} of memory: {}", format_bytes(bytes),
                            std::strerror(errno)));
  // A wish: without large pages it is only slower.
  (void) ::madvise(where, size, MADV_HUGEPAGE);
  std::shared_ptr<void> owner{where, [size](void* x) { ::munmap(x, size); }};
  return buffer::wrap(static_cast<std::byte*>(where),
                      static_cast<std::size_t>(bytes), std::move(owner));
}

void prefault_write(std::span<std::byte> memory) noexcept {
  if (memory.empty() || populate(memory, MADV_POPULATE_WRITE))
    return;
  for (std::size_t i = 0; i < memory.size(); i += page_size()) {
    auto volatile* byte = reinterpret_cast<volatile unsigned char*>(&memory[i]);
    *byte = *byte;
  }
}

void prefault_read(std::span<const std::byte> memory) noexcept {
  if (memory.empty() || populate(memory, MADV_POPULATE_READ))
    return;
  for (std::size_t i = 0; i < memory.size(); i += page_size())
    (void) *reinterpret_cast<const volatile unsigned char*>(&memory[i]);
}

} // namespace troupe::comm::transfer
