// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "troupe/planner/model_spec.hpp"
#include "troupe/planner/packing.hpp"

namespace troupe::planner {

/// Slots [begin, end) of a colocation group.
struct slot_span {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  /// Nothing in it needs to stay together: it may be cut anywhere.
  bool loose = false;

  [[nodiscard]] std::int32_t size() const noexcept { return end - begin; }

  bool operator==(const slot_span&) const = default;
};

/// Where a colocation group may be cut without tearing a replica, as long as
/// its packs lie on its slots without gaps (group_layout.hpp).
class replica_cuts {
public:
  /// `members[i]` is the model of pack position i; CPU models are
  /// in no pack.
  /// O(replicas + processes of several devices), plus a sort.
  replica_cuts(const std::vector<const model_spec*>& members,
               const std::vector<pack>& packs);

  /// The smallest spans that no replica crosses, in order: what hangs together
  /// because replicas share slots. O(replicas + devices).
  [[nodiscard]] std::vector<slot_span> segments() const;

  /// Cuts `within` into spans that no replica of at most `limit` devices
  /// crosses. Where replicas hang together beyond `limit`, the cut tears as few
  /// of them as it can see, and no process if it can be helped. What only wider
  /// replicas cover is loose. O(replicas and devices inside).
  [[nodiscard]] std::vector<slot_span> pieces(const slot_span& within,
                                              std::int32_t limit) const;

  /// Slots of each replica, by begin.
  [[nodiscard]] const std::vector<slot_span>& replicas() const noexcept {
    return replicas_;
  }

private:
  /// What should stay together.
  struct unit {
    slot_span span;
    std::int64_t weight = 1;
  };

  std::vector<slot_span> replicas_;
  std::vector<unit> units_;
};

} // namespace troupe::planner
