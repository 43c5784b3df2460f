// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace troupe::planner {

/// What the packer must know of a model.
struct pack_item {
  std::int64_t num_gpu = 0;
  bool trainable = false;

  bool operator==(const pack_item&) const = default;
};

/// Positions of items that stand side by side on the same devices.
using pack = std::vector<std::int32_t>;

/// Cuts models into packs, so that each device holds about as many models as
/// any other. Members of a pack never share a device.
///
/// Rule: items in the order (trainable, num_gpu) descending, stable. An item of
/// g devices
///  1. with g == total is a pack of its own, finished;
///  2. else finishes the oldest open pack with exactly g devices left;
///  3. else joins the oldest of the open packs with the fewest devices left
///     above g;
///  4. else opens a pack.
/// The result are the finished packs as they were finished, then the open ones
/// ordered by when their number of devices left first appeared (a number whose
/// last pack was finished by rule 2 is forgotten; one whose last pack was taken
/// by rule 3 is not).
///
/// Source: ChatLearn, schedule/model_manager.py,
/// `find_model_packing_strategy`, whose number with an emptied list it then
/// mistakes for one with a pack in it and crashes; here such a number keeps
/// its place in the order but offers no pack.
/// Every item must have 0 < num_gpu <= total.
/// Complexity: O(n log n) for n items.
[[nodiscard]] std::vector<pack> find_packs(const std::vector<pack_item>& items,
                                           std::int64_t total);

/// True if ChatLearn's own packer would crash on these items: it meets a number
/// of devices left whose list it had emptied. Same complexity.
[[nodiscard]] bool upstream_packer_crashes(const std::vector<pack_item>& items,
                                           std::int64_t total);

} // namespace troupe::planner
