// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/core/weight_layout.hpp"

// The ways in which training and inference frameworks store weights, as
// segments. All fail with `errc::invalid`, naming the tensor, for what cannot
// be cut that way.

namespace troupe::planner::weights {

/// A tensor under the model's canonical name.
struct logical_tensor {
  std::string name;
  shape extents;
};

/// Part `index` of `count`.
struct slice {
  std::int64_t index = 0;
  std::int64_t count = 1;
};

/// Part of an extent in which parts differ by one element at most.
[[nodiscard]] interval even_part(std::int64_t extent, slice x) noexcept;

/// The same as torch.chunk cuts: all parts but the last are of the size rounded
/// up, and the last ones may be empty. FSDP2 shards rows like this.
[[nodiscard]] interval chunk_part(std::int64_t extent, slice x) noexcept;

/// All of a tensor, stored as `name`, which may be another than the logical
/// one: a head tied to the embedding is stored under its own name.
[[nodiscard]] result<stored_tensor>
whole_tensor(std::string name, const logical_tensor& x, dtype type);

/// Tensor parallelism: `part` of dimension `dim` (0: column-parallel, 1:
/// row-parallel, in PyTorch's [out, in]).
[[nodiscard]] result<stored_tensor> sliced_tensor(std::string name,
                                                  const logical_tensor& x,
                                                  dtype type, std::size_t dim,
                                                  interval part);

/// The elements [begin, end) of a row-major tensor of n dimensions as boxes: at
/// most 2n - 1, the n - 1 incomplete rows of each end around whole ones. The
/// first one stands at `local_begin` of a 1-D tensor, the others follow.
[[nodiscard]] result<std::vector<weight_segment>>
flat_segments(const logical_tensor& x, interval elements,
              std::int64_t local_begin);

/// FSDP: tensors one behind the other in a flat one, which is cut into parts of
/// equal size. The last part is padded.
[[nodiscard]] result<stored_tensor>
flat_shard(std::string name, const std::vector<logical_tensor>& tensors,
           dtype type, slice part);

/// Tensors fused along dimension 0, each cut into even parts: gate and up.
[[nodiscard]] result<stored_tensor>
fused_rows(std::string name, const std::vector<logical_tensor>& tensors,
           dtype type, slice part);

/// How a fused QKV stores its heads.
enum class qkv_order : std::uint8_t {
  /// [all q; all k; all v], as in vLLM.
  blocks,
  /// [q of group 0; k; v; q of group 1; k; v; ...], as in Megatron.
  groups,
};

/// Names and heads of an attention block. The number of key and value heads
/// divides that of query heads.
struct qkv_heads {
  std::string query;
  std::string key;
  std::string value;
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 1;
  /// Extents behind the rows: {hidden} for a weight, nothing for a bias.
  shape rest;
};

/// The part of tensor rank `part.index`. The number of ranks divides the query
/// heads and divides, or is a multiple of, the key and value heads; in the
/// latter case several ranks hold the same ones.
[[nodiscard]] result<stored_tensor> fused_qkv(std::string name,
                                              const qkv_heads& x, dtype type,
                                              slice part, qkv_order order);

/// The part of a vocabulary padded to `padded_rows`, which the number of ranks
/// divides; padding is in no segment.
[[nodiscard]] result<stored_tensor>
padded_rows(std::string name, const logical_tensor& x, dtype type,
            std::int64_t padded_rows, slice part);

/// Tensors of equal extents, stacked: experts of one layer.
[[nodiscard]] result<stored_tensor>
stacked_tensor(std::string name, const std::vector<logical_tensor>& tensors,
               dtype type);

/// Copies of a layout behind it, as data-parallel replicas: the ranks are
/// counted on.
[[nodiscard]] weight_layout replicated(const weight_layout& x,
                                       std::int32_t copies);

/// Seats ranks on devices in order, `per_node` on each node, from `first_node`
/// on. Devices are counted over all nodes, from node 0 on.
void seat(weight_layout& x, std::int32_t per_node, std::int32_t first_node = 0);

} // namespace troupe::planner::weights
