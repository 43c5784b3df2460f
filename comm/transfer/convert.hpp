// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "troupe/core/dtype.hpp"

namespace troupe::comm::transfer {

/// True if elements of one type can be written as the other: equal types, and
/// float32, bfloat16, float16, float64 among each other.
[[nodiscard]] bool convertible(dtype from, dtype to) noexcept;

/// Converts `count` elements that lie dense; any alignment. Rounds to nearest
/// even; NaN stays NaN. Between different types float32 stands in the middle,
/// as in torch: float64 to bfloat16 rounds twice. The types must be
/// convertible, the ranges must not overlap.
void convert(std::byte* out, dtype to, const std::byte* in, dtype from,
             std::size_t count) noexcept;

/// The IEEE half nearest to `value`, ties to even; NaN keeps its upper payload
/// bits and becomes quiet.
[[nodiscard]] std::uint16_t to_float16(float value) noexcept;

[[nodiscard]] float from_float16(std::uint16_t bits) noexcept;

/// For people: the shortest text that reads back as the element at `where`; a
/// NaN with its bits.
[[nodiscard]] std::string element_text(dtype type, const std::byte* where);

} // namespace troupe::comm::transfer
