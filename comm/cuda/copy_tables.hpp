// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "troupe/comm/cuda/copy_launch.hpp"
#include "troupe/comm/transfer/region.hpp"

namespace troupe::comm::cuda {

/// `divisor` is not 0; what is divided is less than 2^63.
[[nodiscard]] divider make_divider(std::uint64_t divisor) noexcept;

/// The tables of one launch, while they are made. Keeps its memory, so that
/// later launches allocate nothing.
///
/// Threads: one at a time.
class copy_tables {
public:
  /// Begins a new launch.
  void clear(dtype wire_type, bool writes) noexcept;

  /// Parts that are added from here on are digested to this one of the launch's
  /// sums; 0 after `clear`.
  void digest_to(std::uint64_t sum) noexcept { sum_ = sum; }

  /// `to` gets elements [`skip`, `skip` + `elements`) of `from`; `key` is
  /// `program_part::key` of the whole `from`. `skip` is a multiple of
  /// `tile_elements`; `to` has no skipped elements. Regions are valid
  /// (`region_extent`), and types `convertible`.
  void add(const transfer::writable_region& to, const transfer::region& from,
           std::uint64_t key, std::uint64_t skip, std::uint64_t elements);

  /// All of `from`.
  void add(const transfer::writable_region& to, const transfer::region& from,
           std::uint64_t key) {
    add(to, from, key, 0, from.elements);
  }

  /// For launches that write nothing: [`skip`, end).
  void add(const transfer::region& from, std::uint64_t key,
           std::uint64_t skip = 0) {
    add({}, from, key, skip, from.elements - skip);
  }

  /// True if there is nothing to do.
  [[nodiscard]] bool empty() const noexcept { return parts_.empty(); }

  [[nodiscard]] dtype wire_type() const noexcept { return wire_type_; }

  [[nodiscard]] bool writes() const noexcept { return writes_; }

  /// Of all parts, in the wire's type.
  [[nodiscard]] std::uint64_t wire_bytes() const noexcept {
    return wire_bytes_;
  }

  /// What `write` needs.
  [[nodiscard]] std::uint64_t bytes() const noexcept;

  /// What `write` needs at most for so many parts, whose regions have so many
  /// loops together.
  [[nodiscard]] static std::uint64_t bytes_of(std::uint64_t parts,
                                              std::uint64_t loops) noexcept;

  /// Room for as many.
  void reserve(std::uint64_t parts, std::uint64_t loops);

  /// Writes the tables to `to`, which is as large as `bytes()` and aligned to
  /// 16 bytes.
  void write(std::byte* to) const noexcept;

  /// The launch, when such tables are at `where`. Null `sums`: no digests.
  [[nodiscard]] copy_launch launch(const std::byte* where,
                                   digest* sums) const noexcept;

private:
  device_region region_of(const transfer::region& what, std::uint64_t skip);

  [[nodiscard]] std::uint64_t dividers_begin() const noexcept;
  [[nodiscard]] std::uint64_t loops_begin() const noexcept;

  std::vector<device_part> parts_;
  std::vector<divider> dividers_;
  std::vector<memory_loop> loops_;
  std::uint64_t tiles_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t wire_bytes_ = 0;
  dtype wire_type_ = dtype::float32;
  bool converts_ = false;
  bool writes_ = true;
};

} // namespace troupe::comm::cuda
