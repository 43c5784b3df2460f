// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/shared_layout.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "troupe/planner/weights/flat_index.hpp"

namespace troupe::planner::weights {

namespace {

/// Half of what fits, so that sums over two models fit too.
constexpr std::uint64_t max_bytes = std::numeric_limits<std::int64_t>::max()
                                    / 2;

std::uint64_t hash_of(std::string_view x) noexcept {
  return std::hash<std::string_view>{}(x);
}

std::uint64_t hash_of(const shared_layout::part& tensors) {
  std::uint64_t hash = tensors.size();
  for (const auto& tensor : tensors) {
    hash = mixed(hash, hash_of(tensor.name));
    hash = mixed(hash, static_cast<std::uint64_t>(tensor.type));
    for (auto extent : tensor.extents)
      hash = mixed(hash, static_cast<std::uint64_t>(extent));
    for (const auto& segment : tensor.segments) {
      hash = mixed(hash, hash_of(segment.logical));
      for (std::size_t i = 0; i < segment.where.dims(); ++i)
        hash = mixed(hash, static_cast<std::uint64_t>(segment.where[i].begin));
    }
  }
  return hash;
}

/// Bytes of a tensor that is as it should be.
result<std::uint64_t> check(const stored_tensor& tensor) {
  if (tensor.name.empty())
    return fail(errc::invalid, "a tensor has no name");
  auto wrong = [&](std::string_view what) {
    return fail(errc::invalid,
                fmt::format("tensor '{}': {}", tensor.name, what));
  };
  if (!is_known(tensor.type))
    return wrong("its type is unknown");
  if (tensor.extents.size() > box::max_dims)
    return wrong(fmt::format("it has {} dimensions, at most {} are allowed",
                             tensor.extents.size(), box::max_dims));
  auto whole = box::whole(tensor.extents);
  if (!whole)
    return wrong(whole.error().message());
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<std::uint64_t>(whole->size()),
                             size_of(tensor.type), &bytes)
      || bytes > max_bytes)
    return wrong(fmt::format("its shape {} has more bytes than can be counted",
                             to_string(tensor.extents)));
  for (const auto& segment : tensor.segments) {
    if (segment.logical.empty())
      return wrong("a segment names no logical tensor");
    if (auto region = local_region(tensor, segment); !region)
      return fail(region.error());
  }
  return bytes;
}

} // namespace

result<shared_layout> shared_layout::make(weight_layout layout) {
  if (layout.model.empty())
    return fail(errc::invalid, "a layout names no model");
  auto inside = [&](const error& why, rank_id rank) {
    return fail(why.within(
      fmt::format("model '{}': rank {}", layout.model, rank.value())));
  };
  if (layout.ranks.empty())
    return fail(errc::invalid,
                fmt::format("model '{}' has no ranks", layout.model));
  shared_layout out{layout.model};
  flat_index known;
  for (auto& rank : layout.ranks) {
    auto number = known.find_or_add(hash_of(rank.tensors), [&](auto i) {
      return out.parts_[i] == rank.tensors;
    });
    if (number == out.parts_.size())
      if (auto added = out.add_part(std::move(rank.tensors)); !added)
        return inside(added.error(), rank.rank);
    auto added = out.add_rank({rank.rank, rank.node, rank.device, {number}});
    if (!added)
      return fail(
        added.error().within(fmt::format("model '{}'", layout.model)));
  }
  return out;
}

result<std::uint32_t> shared_layout::add_part(part tensors) {
  flat_index names;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    auto bytes = check(tensors[i]);
    if (!bytes)
      return fail(bytes.error());
    total += *bytes;
    if (total > max_bytes)
      return fail(errc::invalid, "its tensors have more bytes than can be "
                                 "counted");
    auto number = names.find_or_add(hash_of(tensors[i].name), [&](auto j) {
      return tensors[j].name == tensors[i].name;
    });
    if (number != i)
      return fail(errc::invalid,
                  fmt::format("tensor '{}' is listed twice", tensors[i].name));
  }
  parts_.push_back(std::move(tensors));
  part_bytes_.push_back(total);
  return static_cast<std::uint32_t>(parts_.size() - 1);
}

result<void> shared_layout::add_rank(member x) {
  auto value = x.rank.value();
  if (value < 0 || x.node.value() < 0 || x.device.value() < 0)
    return fail(errc::invalid,
                fmt::format("rank {}: ranks, nodes and devices are counted "
                            "from 0",
                            value));
  auto at = std::lower_bound(by_rank_.begin(), by_rank_.end(), x.rank,
                             [this](std::uint32_t i, rank_id rank) {
                               return ranks_[i].rank < rank;
                             });
  if (at != by_rank_.end() && ranks_[*at].rank == x.rank)
    return fail(errc::invalid, fmt::format("rank {} is listed twice", value));
  auto total = bytes_;
  for (auto number : x.parts) {
    if (number >= parts_.size())
      return fail(errc::invalid,
                  fmt::format("rank {}: there is no part {}", value, number));
    total += part_bytes_[number];
    if (total > max_bytes)
      return fail(errc::invalid,
                  fmt::format("rank {}: the ranks up to this one have more "
                              "bytes than can be counted",
                              value));
  }
  bytes_ = total;
  by_rank_.insert(at, static_cast<std::uint32_t>(ranks_.size()));
  ranks_.push_back(std::move(x));
  return {};
}

std::optional<std::uint32_t>
shared_layout::position_of(rank_id rank) const noexcept {
  auto at = std::lower_bound(by_rank_.begin(), by_rank_.end(), rank,
                             [this](std::uint32_t i, rank_id x) {
                               return ranks_[i].rank < x;
                             });
  if (at == by_rank_.end() || ranks_[*at].rank != rank)
    return std::nullopt;
  return *at;
}

} // namespace troupe::planner::weights
