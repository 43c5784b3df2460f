// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/cuda/copy_tables.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "troupe/comm/cuda/copy_kernel.hpp"

namespace troupe::comm::cuda {

namespace {

// The tables are copied as bytes, and lie behind each other.
static_assert(std::is_trivially_copyable_v<device_part>);
static_assert(std::is_trivially_copyable_v<memory_loop>);
static_assert(sizeof(device_part) % 8 == 0);
static_assert(tile_elements % 16 == 0);

constexpr std::uint64_t unit_max = 16;

template <class T>
void put(std::byte* to, const std::vector<T>& from) noexcept {
  if (!from.empty())
    std::memcpy(to, from.data(), from.size() * sizeof(T));
}

} // namespace

divider make_divider(std::uint64_t divisor) noexcept {
  if (divisor == 1)
    return {};
  // With l the bits of divisor - 1, magic is 2^(63 + l) / divisor, rounded up.
  // It exceeds that by less than 1, thus x * magic / 2^(63 + l) exceeds
  // x / divisor by less than x / 2^(63 + l), which for x < 2^63 is less than
  // 1 / divisor: too little to reach the next whole number. And it is less
  // than 2^64.
  auto bits = static_cast<unsigned>(std::bit_width(divisor - 1));
  __extension__ using wide = unsigned __int128;
  auto magic = ((wide{1} << (63 + bits)) + divisor - 1) / divisor;
  return {static_cast<std::uint64_t>(magic), bits - 1};
}

void copy_tables::clear(dtype wire_type, bool writes) noexcept {
  parts_.clear();
  dividers_.clear();
  loops_.clear();
  tiles_ = 0;
  sum_ = 0;
  wire_bytes_ = 0;
  wire_type_ = wire_type;
  converts_ = false;
  writes_ = writes;
}

device_region copy_tables::region_of(const transfer::region& what,
                                     std::uint64_t skip) {
  device_region out;
  out.first = const_cast<std::byte*>(what.first);
  out.run_elements = what.run_elements;
  out.skip = skip;
  out.type = what.type;
  // Every piece lies where an address, a run and strides are multiples of it.
  auto odd = static_cast<std::uint64_t>(
               reinterpret_cast<std::uintptr_t>(what.first))
             | unit_max;
  if (!what.contiguous()) {
    out.run = make_divider(what.run_bytes());
    out.loops_begin = static_cast<std::uint32_t>(loops_.size());
    odd |= what.run_bytes();
    for (const auto& loop : what.loops) {
      // A loop of one step is none.
      if (loop.count == 1)
        continue;
      loops_.push_back(loop);
      dividers_.push_back(make_divider(loop.count));
      odd |= loop.stride_bytes;
    }
    out.loops = static_cast<std::uint16_t>(loops_.size() - out.loops_begin);
  }
  out.unit = static_cast<std::uint8_t>(std::uint64_t{1}
                                       << std::countr_zero(odd));
  return out;
}

void copy_tables::add(const transfer::writable_region& to,
                      const transfer::region& from, std::uint64_t key,
                      std::uint64_t skip, std::uint64_t elements) {
  if (elements == 0)
    return;
  device_part part;
  part.from = region_of(from, skip);
  if (writes_)
    part.to = region_of(to, 0);
  part.elements = elements;
  part.digest_start = kernel::digest_start(key)
                      + skip * size_of(wire_type_) / 8 * kernel::weyl;
  part.first_tile = tiles_;
  part.sum = sum_;
  wire_bytes_ += elements * size_of(wire_type_);
  tiles_ += (elements + tile_elements - 1) / tile_elements;
  converts_ = converts_ || from.type != wire_type_
              || (writes_ && to.type != wire_type_);
  parts_.push_back(part);
}

std::uint64_t copy_tables::loops_begin() const noexcept {
  return parts_.size() * sizeof(device_part);
}

std::uint64_t copy_tables::dividers_begin() const noexcept {
  return loops_begin() + loops_.size() * sizeof(memory_loop);
}

std::uint64_t copy_tables::bytes() const noexcept {
  return bytes_of(parts_.size(), loops_.size());
}

std::uint64_t copy_tables::bytes_of(std::uint64_t parts,
                                    std::uint64_t loops) noexcept {
  return parts * sizeof(device_part)
         + loops * (sizeof(memory_loop) + sizeof(divider));
}

void copy_tables::reserve(std::uint64_t parts, std::uint64_t loops) {
  parts_.reserve(static_cast<std::size_t>(parts));
  loops_.reserve(static_cast<std::size_t>(loops));
  dividers_.reserve(static_cast<std::size_t>(loops));
}

void copy_tables::write(std::byte* to) const noexcept {
  put(to, parts_);
  put(to + loops_begin(), loops_);
  put(to + dividers_begin(), dividers_);
}

copy_launch copy_tables::launch(const std::byte* where,
                                digest* sums) const noexcept {
  copy_launch out;
  out.parts = reinterpret_cast<const device_part*>(where);
  out.part_count = static_cast<std::uint32_t>(parts_.size());
  out.loops = reinterpret_cast<const memory_loop*>(where + loops_begin());
  out.dividers = reinterpret_cast<const divider*>(where + dividers_begin());
  out.tiles = tiles_;
  out.wire_type = wire_type_;
  out.converts = converts_;
  out.writes = writes_;
  out.sums = sums;
  return out;
}

} // namespace troupe::comm::cuda
