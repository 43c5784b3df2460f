// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/packing.hpp"

#include <algorithm>
#include <cassert>
#include <deque>
#include <map>
#include <numeric>

namespace troupe::planner {

namespace {

/// The open packs with one number of devices left.
struct open_list {
  /// When the number appeared first.
  std::int64_t since = 0;
  std::deque<pack> packs;
};

class packer {
public:
  packer(const std::vector<pack_item>& items, std::int64_t total)
    : items_(items),
      total_(total) {
    std::vector<std::int32_t> order(items.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int32_t a, std::int32_t b) {
                       const auto& x = item(a);
                       const auto& y = item(b);
                       if (x.trainable != y.trainable)
                         return x.trainable;
                       return x.num_gpu > y.num_gpu;
                     });
    for (auto i : order)
      add(i);
  }

  [[nodiscard]] bool upstream_crashes() const noexcept {
    return upstream_crashes_;
  }

  [[nodiscard]] std::vector<pack> take() {
    std::vector<open_list*> rest;
    for (auto& [left, open] : open_)
      rest.push_back(&open);
    for (auto& [left, open] : emptied_)
      rest.push_back(&open);
    std::sort(rest.begin(), rest.end(),
              [](const auto* a, const auto* b) { return a->since < b->since; });
    for (auto* open : rest)
      for (auto& x : open->packs)
        finished_.push_back(std::move(x));
    return std::move(finished_);
  }

private:
  [[nodiscard]] const pack_item& item(std::int32_t i) const {
    return items_[static_cast<std::size_t>(i)];
  }

  void add(std::int32_t i) {
    auto gpus = item(i).num_gpu;
    assert(gpus > 0 && gpus <= total_);
    if (gpus == total_) {
      finished_.push_back({i});
      return;
    }
    // Upstream finds emptied lists too, and the smallest number at or above
    // `gpus` decides whether it does.
    auto dead = emptied_.lower_bound(gpus);
    auto live = open_.lower_bound(gpus);
    if (dead != emptied_.end()
        && (live == open_.end() || dead->first < live->first))
      upstream_crashes_ = true;
    if (live == open_.end()) {
      put({i}, total_ - gpus);
      return;
    }
    auto left = live->first;
    auto x = std::move(live->second.packs.front());
    live->second.packs.pop_front();
    x.push_back(i);
    if (left == gpus) {
      if (live->second.packs.empty())
        open_.erase(live);
      finished_.push_back(std::move(x));
      return;
    }
    if (live->second.packs.empty())
      emptied_.insert(open_.extract(live));
    put(std::move(x), left - gpus);
  }

  void put(pack x, std::int64_t left) {
    auto at = open_.find(left);
    if (at == open_.end()) {
      if (auto node = emptied_.extract(left))
        at = open_.insert(std::move(node)).position;
      else
        at = open_.emplace(left, open_list{clock_++, {}}).first;
    }
    at->second.packs.push_back(std::move(x));
  }

  const std::vector<pack_item>& items_;
  std::int64_t total_;
  std::map<std::int64_t, open_list> open_;
  /// Numbers whose last pack was taken by rule 3: only their age matters.
  std::map<std::int64_t, open_list> emptied_;
  std::vector<pack> finished_;
  std::int64_t clock_ = 0;
  bool upstream_crashes_ = false;
};

} // namespace

std::vector<pack> find_packs(const std::vector<pack_item>& items,
                             std::int64_t total) {
  return packer{items, total}.take();
}

bool upstream_packer_crashes(const std::vector<pack_item>& items,
                             std::int64_t total) {
  return packer{items, total}.upstream_crashes();
}

} // namespace troupe::planner
