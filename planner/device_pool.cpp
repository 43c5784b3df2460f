// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/device_pool.hpp"

#include <algorithm>
#include <cassert>

namespace troupe::planner {

device_pool::device_pool(const cluster& machines) {
  nodes_.reserve(machines.nodes.size());
  std::int32_t first = 0;
  for (const auto& node : machines.nodes) {
    auto size = static_cast<std::int32_t>(node.devices.size());
    nodes_.push_back({first, size, 0});
    first += size;
    num_free_ += size;
    if (size > 0)
      wholly_free_.insert(wholly_free_.end(), nodes_.size() - 1);
  }
  while (leaves_ < nodes_.size())
    leaves_ *= 2;
  most_free_.assign(2 * leaves_, 0);
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    most_free_[leaves_ + i] = nodes_[i].size;
  for (auto i = leaves_ - 1; i >= 1; --i)
    most_free_[i] = std::max(most_free_[2 * i], most_free_[2 * i + 1]);
}

std::optional<region> device_pool::take(std::int64_t count) {
  assert(count >= 1);
  if (count > num_free_)
    return std::nullopt;
  region out;
  if (auto node = first_with(count); node < nodes_.size()) {
    take_from(node, static_cast<std::int32_t>(count), out);
    return out;
  }
  for (auto i = wholly_free_.begin(); i != wholly_free_.end() && count > 0;) {
    auto node = *i++;
    if (auto size = nodes_[node].size; size <= count) {
      take_from(node, size, out);
      count -= size;
    }
  }
  while (count > 0) {
    auto node = first_with(count);
    if (node == nodes_.size())
      node = first_with(1);
    auto free = nodes_[node].size - nodes_[node].used;
    auto part = std::min<std::int64_t>(count, free);
    take_from(node, static_cast<std::int32_t>(part), out);
    count -= part;
  }
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return out;
}

void device_pool::undo(const region& taken) {
  for (const auto& run : taken) {
    auto node = static_cast<std::size_t>(run.node.value());
    auto& state = nodes_[node];
    state.used -= run.count;
    num_free_ += run.count;
    if (state.used == 0)
      wholly_free_.insert(node);
    refresh(node);
  }
}

std::size_t device_pool::first_with(std::int64_t count) const noexcept {
  if (most_free_[1] < count)
    return nodes_.size();
  std::size_t at = 1;
  while (at < leaves_) {
    at *= 2;
    if (most_free_[at] < count)
      ++at;
  }
  return at - leaves_;
}

void device_pool::take_from(std::size_t node, std::int32_t count, region& out) {
  auto& state = nodes_[node];
  out.push_back({node_id{static_cast<std::int32_t>(node)},
                 device_id{state.first + state.used}, count});
  state.used += count;
  num_free_ -= count;
  wholly_free_.erase(node);
  refresh(node);
}

void device_pool::refresh(std::size_t node) noexcept {
  auto at = leaves_ + node;
  most_free_[at] = nodes_[node].size - nodes_[node].used;
  for (at /= 2; at >= 1; at /= 2)
    most_free_[at] = std::max(most_free_[2 * at], most_free_[2 * at + 1]);
}

} // namespace troupe::planner
