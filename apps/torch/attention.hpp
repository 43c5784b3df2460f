// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "troupe/apps/torch/fwd.hpp"
#include "troupe/core/dlpack.hpp"

namespace troupe::torch {

/// What a pass needs besides tokens, for `queries` positions behind `first`
/// that a cache holds. Made on the device `where`. `padding` int64 [rows] lies
/// there, too: the pad tokens that open each row; undefined if there are none.

/// Added to attention scores: 0 where query i (position `first + i`) may look
/// at key j, -inf elsewhere. float32 [1, 1, queries, first + queries], or
/// [rows, 1, ...] with padding. A pad position sees itself alone, which keeps
/// its row finite.
[[nodiscard]] at::Tensor attention_mask(std::int64_t first,
                                        std::int64_t queries,
                                        const at::Tensor& padding,
                                        dlpack::device where);

/// Position of each token, counted from its row's first real one; pad tokens
/// stand at 0. int64 [queries], or [rows, queries] with padding.
[[nodiscard]] at::Tensor position_ids(std::int64_t first, std::int64_t queries,
                                      const at::Tensor& padding,
                                      dlpack::device where);

} // namespace troupe::torch
