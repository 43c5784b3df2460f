// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "troupe/comm/transfer/region.hpp"
#include "troupe/core/digest.hpp"

namespace troupe::comm::transfer {

/// Whether a pass over the elements also digests them.
enum class digesting : std::uint8_t { off, on };

/// Writes the elements of `from` to `to` and digests their wire form, in one
/// pass. The elements go through the wire's type: all three may differ, as far
/// as they are `convertible`. Packing, unpacking and copying from tensor to
/// tensor are this one function: dense wire bytes are a region too.
///
/// What is digested is what is written, also when `from` changes meanwhile.
/// Both regions have equally many elements and do not overlap. `key` is
/// `program_part::key`. Large copies bypass the caches.
digest copy_region(const writable_region& to, const region& from,
                   dtype wire_type, std::uint64_t key, digesting digests);

/// The digest alone.
[[nodiscard]] digest digest_region(const region& from, dtype wire_type,
                                   std::uint64_t key);

/// The first element in which two regions differ.
struct region_difference {
  /// Row-major in the region.
  std::uint64_t element = 0;
  /// As text, in the type of `here`; the bits are compared, not the numbers.
  std::string here;
  std::string there;
};

/// Compares dense elements of one type, as many on both sides. `first` is the
/// number of the first.
[[nodiscard]] std::optional<region_difference>
first_difference(dtype type, std::span<const std::byte> here,
                 std::span<const std::byte> there, std::uint64_t first);

/// Compares `here` with what `copy_region` would write there, and digests the
/// wire form of `there` into `sum`.
[[nodiscard]] std::optional<region_difference>
compare_region(const region& here, const region& there, dtype wire_type,
               std::uint64_t key, digesting digests, digest& sum);

} // namespace troupe::comm::transfer
