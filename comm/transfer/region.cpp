// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/region.hpp"

#include <algorithm>

namespace troupe::comm::transfer {

namespace {

/// A call for a few bytes costs more than they do: those sizes are moves.
inline void copy_small(std::byte* to, const std::byte* from,
                       std::size_t size) noexcept {
  switch (size) {
    case 1: *to = *from; return;
    case 2: std::memcpy(to, from, 2); return;
    case 4: std::memcpy(to, from, 4); return;
    case 8: std::memcpy(to, from, 8); return;
    case 16: std::memcpy(to, from, 16); return;
    case 32: std::memcpy(to, from, 32); return;
    default: std::memcpy(to, from, size); return;
  }
}

} // namespace

std::optional<std::uint64_t> region_extent(std::uint64_t elements,
                                           std::uint64_t run_elements,
                                           std::span<const memory_loop> loops,
                                           dtype type) noexcept {
  auto size = size_of(type);
  if (size == 0 || loops.size() > loops_max)
    return std::nullopt;
  if (elements == 0)
    return run_elements == 0 && loops.empty() ? std::optional<std::uint64_t>{0}
                                              : std::nullopt;
  std::uint64_t all = run_elements;
  std::uint64_t extent = 0;
  if (run_elements == 0 || __builtin_mul_overflow(run_elements, size, &extent))
    return std::nullopt;
  for (const auto& loop : loops) {
    std::uint64_t reach = 0;
    if (loop.count == 0 || __builtin_mul_overflow(all, loop.count, &all)
        || __builtin_mul_overflow(loop.count - 1, loop.stride_bytes, &reach)
        || __builtin_add_overflow(extent, reach, &extent))
      return std::nullopt;
  }
  if (all != elements)
    return std::nullopt;
  return extent;
}

std::uint64_t region_offset(std::uint64_t index, std::uint64_t run_elements,
                            std::span<const memory_loop> loops,
                            dtype type) noexcept {
  auto run = run_elements == 0 ? 0 : index / run_elements;
  auto offset = (index - run * run_elements) * size_of(type);
  for (auto d = loops.size(); d-- > 0;) {
    offset += run % loops[d].count * loops[d].stride_bytes;
    run /= loops[d].count;
  }
  return offset;
}

void gather(std::byte* to, region_cursor<const std::byte>& from,
            std::size_t bytes) noexcept {
  while (bytes > 0) {
    auto step = std::min(bytes, from.contiguous());
    copy_small(to, from.data(), step);
    from.advance(step);
    to += step;
    bytes -= step;
  }
}

void scatter(region_cursor<std::byte>& to, const std::byte* from,
             std::size_t bytes) noexcept {
  while (bytes > 0) {
    auto step = std::min(bytes, to.contiguous());
    copy_small(to.data(), from, step);
    to.advance(step);
    from += step;
    bytes -= step;
  }
}

} // namespace troupe::comm::transfer
