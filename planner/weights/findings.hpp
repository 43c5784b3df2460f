// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "troupe/core/box.hpp"
#include "troupe/core/ids.hpp"

namespace troupe::planner::weights {

/// `"rank 3"` or `"ranks 0-3, 7"`; sorts and cuts the list.
[[nodiscard]] std::string name_ranks(std::vector<rank_id> ranks);

/// Collects what is wrong with regions of tensors on ranks and says it in few
/// sentences: neighbouring boxes are joined, ranks that share a problem too.
class findings {
public:
  /// `what` follows the ranks, the tensor and the box: "is uncovered".
  void add(rank_id rank, const std::string& tensor, const box& where,
           const std::string& what);

  /// A sentence that is whole already.
  void add(std::string sentence) { sentences_.push_back(std::move(sentence)); }

  /// True once more is only counted.
  [[nodiscard]] bool full() const noexcept { return found_.size() == max_kept; }

  /// At most `limit` sentences and one that counts the rest.
  [[nodiscard]] std::vector<std::string> take(std::size_t limit);

private:
  struct finding {
    std::string tensor;
    std::string what;
    rank_id rank;
    std::vector<box> boxes;
  };

  /// Kept at most; the others are counted.
  static constexpr std::size_t max_kept = 20'000;

  std::vector<finding> found_;
  std::vector<std::string> sentences_;
  std::size_t left_out_ = 0;
};

} // namespace troupe::planner::weights
