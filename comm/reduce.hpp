// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "troupe/comm/communicator.hpp"
#include "troupe/core/dtype.hpp"

namespace troupe::comm {

/// The type in which elements of `x` are reduced and travel until they are
/// rounded: float32 for bfloat16 and float16, otherwise `x` itself.
[[nodiscard]] dtype wide_type(dtype x) noexcept;

/// True if `op` is defined on `x`: everything but the sum of booleans.
[[nodiscard]] bool is_reducible(dtype x, reduce_op op) noexcept;

/// Writes `count` elements of type `x` at `in` as `wide_type(x)` to `out`.
void widen(const std::byte* in, dtype x, std::byte* out, std::size_t count);

/// Inverse of `widen`: rounds to nearest even.
void narrow(const std::byte* in, dtype x, std::byte* out, std::size_t count);

/// Reduces `count` elements of type `x` at `in` into the `wide_type(x)` at
/// `sum`: `sum[i] = op(sum[i], in[i])`. Integer sums wrap around; `max` and
/// `min` of a NaN are NaN. Neither pointer needs to be aligned.
void combine(std::byte* sum, const std::byte* in, dtype x, reduce_op op,
             std::size_t count);

} // namespace troupe::comm
