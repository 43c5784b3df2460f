// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/bucket_packer.hpp"

#include <algorithm>

#include "troupe/planner/weights/segment_map.hpp"

namespace troupe::planner::weights {

namespace {

constexpr std::uint64_t alignment = 8;

std::uint64_t aligned(std::uint64_t x) {
  return (x + alignment - 1) / alignment * alignment;
}

/// One end of a part; key and wire position are not known yet.
program_part make_part(const stored_place& place, const box& where,
                       std::uint64_t wire_bytes) {
  auto runs = segment_map{*place.tensor, *place.segment}.runs_of(where);
  auto element = size_of(place.tensor->type);
  program_part out;
  out.tensor = place.index;
  out.wire_bytes = wire_bytes;
  out.offset_bytes = runs.offset * element;
  out.run_elements = runs.run;
  out.loops = std::move(runs.loops);
  for (auto& x : out.loops)
    x.stride_bytes *= element;
  return out;
}

} // namespace

void bucket_packer::add(const routed_box& x) {
  add_cut(x, x.where);
}

/// Adds `where`, cut along its outermost dimensions until it fits a bucket.
void bucket_packer::add_cut(const routed_box& x, const box& where) {
  auto bytes = static_cast<std::uint64_t>(where.size()) * size_of(x.wire_type);
  if (bytes <= bucket_bytes_) {
    std::vector<program_part> to;
    for (const auto& place : x.to)
      to.push_back(make_part(place, where, bytes));
    auto from = make_part(x.from, where, bytes);
    if (to.size() > 1 || !extend(x, from, to.front()))
      append(x, std::move(from), to);
    return;
  }
  std::size_t dim = 0;
  while (where[dim].size() == 1)
    ++dim;
  auto row = bytes / static_cast<std::uint64_t>(where[dim].size());
  auto rows = std::max<std::int64_t>(1, static_cast<std::int64_t>(bucket_bytes_
                                                                  / row));
  for (auto begin = where[dim].begin; begin < where[dim].end; begin += rows)
    add_cut(x,
            where.part(dim, {begin, std::min(begin + rows, where[dim].end)}));
}

/// Joins what continues the part before it at both ends.
bool bucket_packer::extend(const routed_box& x, const program_part& from,
                           const program_part& to) {
  if (sends_.buckets.empty())
    return false;
  auto& out = sends_.buckets.back();
  auto& in = receives_.buckets.back();
  auto& last_out = out.parts.back();
  auto& last_in = in.parts.back();
  auto shared = in.parts.size() > 1
                && in.parts[in.parts.size() - 2].wire_begin
                     == last_in.wire_begin;
  auto follows = [](const program_part& a, const program_part& b,
                    const stored_place& place) {
    return a.tensor == b.tensor && a.loops.empty() && b.loops.empty()
           && a.offset_bytes + a.run_elements * size_of(place.tensor->type)
                == b.offset_bytes;
  };
  if (shared || out.wire_type != x.wire_type
      || out.wire_bytes + from.wire_bytes > bucket_bytes_
      || !follows(last_out, from, x.from)
      || !follows(last_in, to, x.to.front()))
    return false;
  for (auto* part : {&last_out, &last_in}) {
    part->wire_bytes += from.wire_bytes;
    part->run_elements += from.run_elements;
  }
  out.wire_bytes += from.wire_bytes;
  in.wire_bytes = out.wire_bytes;
  return true;
}

void bucket_packer::append(const routed_box& x, program_part from,
                           const std::vector<program_part>& to) {
  auto fits = !sends_.buckets.empty()
              && sends_.buckets.back().wire_type == x.wire_type
              && aligned(sends_.buckets.back().wire_bytes) + from.wire_bytes
                   <= bucket_bytes_;
  if (!fits) {
    sends_.buckets.push_back({x.wire_type, 0, {}});
    receives_.buckets.push_back({x.wire_type, 0, {}});
  }
  auto& out = sends_.buckets.back();
  auto& in = receives_.buckets.back();
  from.wire_begin = aligned(out.wire_bytes);
  for (auto part : to) {
    from.key = next_key_++;
    part.key = from.key;
    part.wire_begin = from.wire_begin;
    out.parts.push_back(from);
    in.parts.push_back(std::move(part));
  }
  out.wire_bytes = from.wire_begin + from.wire_bytes;
  in.wire_bytes = out.wire_bytes;
}

} // namespace troupe::planner::weights
