// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/core/box.hpp"
#include "troupe/core/dtype.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"
#include "troupe/core/shape.hpp"

namespace troupe {

/// Says that a region of a stored tensor holds a region of a logical one.
///
/// Logical names are the model's canonical (Hugging Face) names. Tensor
/// parallel shards, pipeline stages, expert subsets, flat FSDP shards, fused
/// QKV or gate-up, padded vocabularies and replicated heads are all segments;
/// there are no pairwise mappers. A part of a stored tensor that no segment
/// names (padding) is neither read nor written.
///
/// Both regions hold the same elements in row-major order. With m dimensions of
/// the logical box and n of the stored tensor: if n >= m the stored region has
/// the box's extents behind n - m ones (a stack of experts); if n < m the box's
/// first m - n + 1 dimensions are one of the stored tensor (a flat shard).
struct weight_segment {
  std::string logical;
  box where;
  /// The region's first element in the stored tensor: n entries.
  std::vector<std::int64_t> local_begin;

  bool operator==(const weight_segment&) const = default;
};

/// A dense row-major tensor that a rank holds.
struct stored_tensor {
  std::string name;
  dtype type = dtype::float32;
  shape extents;
  std::vector<weight_segment> segments;

  bool operator==(const stored_tensor&) const = default;
};

/// What one rank holds and where the rank is. `rank` counts over all replicas
/// of the model.
struct rank_layout {
  rank_id rank;
  node_id node;
  device_id device;
  std::vector<stored_tensor> tensors;

  bool operator==(const rank_layout&) const = default;
};

/// What all ranks of a model hold.
struct weight_layout {
  std::string model;
  std::vector<rank_layout> ranks;

  bool operator==(const weight_layout&) const = default;
};

/// The region of `tensor` that `segment` names. Fails with `errc::invalid`,
/// naming tensor and segment, if it does not lie inside the tensor.
[[nodiscard]] result<box> local_region(const stored_tensor& tensor,
                                       const weight_segment& segment);

/// The segment of a tensor that holds all of the logical tensor of its name.
[[nodiscard]] result<weight_segment> whole_segment(const std::string& name,
                                                   const shape& extents);

} // namespace troupe
