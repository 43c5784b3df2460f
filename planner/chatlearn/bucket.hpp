// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::planner::chatlearn {

/// One tensor to be sent.
struct bucket_tensor {
  /// Tensors of different types never share a bucket.
  std::string type;
  std::int64_t numel = 0;
  std::int64_t element_size = 1;
  bool sparse = false;
  /// Elements in the receiver's flat buffer for each of its own.
  std::int64_t multiple = 1;
};

/// Positions of tensors that travel together; a sparse one travels alone.
struct bucket {
  std::vector<std::int64_t> tensors;
  bool sparse = false;

  bool operator==(const bucket&) const = default;
};

/// Cuts tensors into buckets of at most `limit_mb` MiB. Each type has one open
/// bucket; it is closed before the tensor that would exceed the limit (so a
/// larger tensor goes alone; 0 means no limit). Buckets come in the order in
/// which they are closed; what is open in the end follows, types in the order
/// of their first tensor. A sparse tensor comes where it is met.
/// Source: synchronizer/parameter_sync.py and utils/utils.py,
/// `bucket_tensors`. Complexity: O(n log types).
[[nodiscard]] std::vector<bucket>
cut_buckets(const std::vector<bucket_tensor>& tensors, std::int64_t limit_mb);

} // namespace troupe::planner::chatlearn
