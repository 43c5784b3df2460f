// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/group_layout.hpp"

#include <algorithm>
#include <set>

#include "troupe/planner/resolved_job.hpp"

namespace troupe::planner {

namespace {

/// Walks the slots of a region and finds room for one process after another.
class slot_cursor {
public:
  explicit slot_cursor(const region& devices) : devices_(devices) {
    // nop
  }

  /// The first of `width` slots in a row that one node has, or -1.
  std::int32_t next(std::int32_t width) noexcept {
    while (run_ < devices_.size()) {
      if (used_ == devices_[run_].count) {
        skip_run();
        continue;
      }
      if (left_on_node(width) >= width)
        break;
      auto node = devices_[run_].node;
      while (run_ < devices_.size() && devices_[run_].node == node)
        skip_run();
    }
    if (run_ == devices_.size())
      return -1;
    auto slot = base_ + used_;
    for (used_ += width; used_ > devices_[run_].count;) {
      auto rest = used_ - devices_[run_].count;
      skip_run();
      used_ = rest;
    }
    return slot;
  }

private:
  void skip_run() noexcept {
    base_ += devices_[run_].count;
    used_ = 0;
    ++run_;
  }

  /// Slots from here on that follow each other on one node; may stop counting
  /// at `enough`.
  [[nodiscard]] std::int32_t left_on_node(std::int32_t enough) const noexcept {
    auto left = devices_[run_].count - used_;
    for (auto i = run_ + 1; left < enough && i < devices_.size()
                            && devices_[i].node == devices_[run_].node;
         ++i)
      left += devices_[i].count;
    return left;
  }

  const region& devices_;
  std::size_t run_ = 0;
  std::int32_t base_ = 0;
  std::int32_t used_ = 0;
};

/// Devices of a model between the first and the last, gaps included.
struct slot_range {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  std::int32_t model = 0;
};

bool share_a_slot(const model_slots& a, std::int32_t a_width,
                  const model_slots& b, std::int32_t b_width) {
  auto x = a.first_slot.begin();
  auto y = b.first_slot.begin();
  while (x != a.first_slot.end() && y != b.first_slot.end()) {
    if (*x + a_width <= *y)
      ++x;
    else if (*y + b_width <= *x)
      ++y;
    else
      return true;
  }
  return false;
}

} // namespace

group_layout lay_out(region devices,
                     const std::vector<const model_spec*>& members,
                     const std::vector<pack>& packs) {
  group_layout out;
  out.devices = std::move(devices);
  out.models.resize(members.size());
  for (const auto& side_by_side : packs) {
    slot_cursor cursor{out.devices};
    std::int64_t missing = 0;
    for (auto i : side_by_side) {
      const auto& model = *members[static_cast<std::size_t>(i)];
      auto& slots = out.models[static_cast<std::size_t>(i)];
      auto width = model.gpu_per_process;
      auto processes = model.num_gpu / width;
      slots.first_slot.reserve(static_cast<std::size_t>(processes));
      for (std::int32_t p = 0; p < processes; ++p) {
        auto slot = cursor.next(width);
        if (slot < 0) {
          missing += std::int64_t{processes - p} * width;
          break;
        }
        if (p > 0 && slot != slots.first_slot.back() + width)
          slots.has_gaps = true;
        slots.first_slot.push_back(slot);
      }
    }
    out.missing = std::max(out.missing, missing);
  }
  return out;
}

std::vector<replica_place> make_replicas(const region& devices,
                                         const model_spec& model,
                                         const model_slots& slots,
                                         bool reversed) {
  std::vector<replica_place> replicas(
    static_cast<std::size_t>(model.num_replica));
  auto ranks = static_cast<std::size_t>(ranks_per_replica(model));
  std::size_t run = 0;
  std::int32_t base = 0;
  auto device_at = [&](std::int32_t slot) {
    while (slot >= base + devices[run].count)
      base += devices[run++].count;
    return device_id{devices[run].first.value() + slot - base};
  };
  std::size_t process = 0;
  for (auto& replica : replicas) {
    replica.ranks.resize(ranks);
    for (auto& place : replica.ranks) {
      auto slot = slots.first_slot[process++];
      place.devices.reserve(static_cast<std::size_t>(model.gpu_per_process));
      for (std::int32_t i = 0; i < model.gpu_per_process; ++i)
        place.devices.push_back(device_at(slot + i));
      place.node = devices[run].node;
    }
    if (!reversed)
      continue;
    auto on_other_node = [](const rank_place& a, const rank_place& b) {
      return a.node != b.node;
    };
    for (auto begin = replica.ranks.begin(); begin != replica.ranks.end();) {
      auto end = std::adjacent_find(begin, replica.ranks.end(), on_other_node);
      if (end != replica.ranks.end())
        ++end;
      std::reverse(begin, end);
      begin = end;
    }
  }
  return replicas;
}

std::vector<std::pair<std::int32_t, std::int32_t>>
overlaps(const group_layout& layout,
         const std::vector<const model_spec*>& members) {
  std::vector<slot_range> ranges;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto& slots = layout.models[i].first_slot;
    if (!slots.empty())
      ranges.push_back({slots.front(),
                        slots.back() + members[i]->gpu_per_process,
                        static_cast<std::int32_t>(i)});
  }
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) {
    return std::pair{a.begin, a.model} < std::pair{b.begin, b.model};
  });
  std::vector<std::pair<std::int32_t, std::int32_t>> pairs;
  // The ranges that contain the current slot, the one that ends first in front.
  std::set<std::pair<std::int32_t, std::int32_t>> open;
  for (const auto& range : ranges) {
    while (!open.empty() && open.begin()->first <= range.begin)
      open.erase(open.begin());
    for (const auto& [end, other] : open) {
      auto a = static_cast<std::size_t>(other);
      auto b = static_cast<std::size_t>(range.model);
      const auto& x = layout.models[a];
      const auto& y = layout.models[b];
      if ((x.has_gaps || y.has_gaps)
          && !share_a_slot(x, members[a]->gpu_per_process, y,
                           members[b]->gpu_per_process))
        continue;
      pairs.emplace_back(std::min(other, range.model),
                         std::max(other, range.model));
    }
    open.emplace(range.end, range.model);
  }
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

} // namespace troupe::planner
