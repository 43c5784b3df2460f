// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/layout_builders.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace troupe::planner::weights {

namespace {

tl::unexpected<error> wrong(std::string_view name, std::string_view what) {
  return fail(errc::invalid, fmt::format("tensor '{}': {}", name, what));
}

/// The box of all of `x`; fails for extents that are none.
result<box> whole_of(const logical_tensor& x) {
  auto out = box::whole(x.extents);
  if (!out)
    return fail(out.error().within(fmt::format("tensor '{}'", x.name)));
  return out;
}

bool is_slice(slice x) {
  return x.count >= 1 && x.index >= 0 && x.index < x.count;
}

/// Appends rows of logical tensors to a stored one.
class row_stack {
public:
  row_stack(std::string name, dtype type) {
    out_.name = std::move(name);
    out_.type = type;
  }

  /// The first call decides about the extents of a row.
  result<void> add(const logical_tensor& x, interval rows) {
    auto all = whole_of(x);
    if (!all)
      return fail(all.error());
    if (x.extents.empty())
      return wrong(x.name, "a scalar has no rows");
    if (rows.begin < 0 || rows.end < rows.begin || rows.end > x.extents[0])
      return wrong(x.name, fmt::format("it has no rows [{}, {})", rows.begin,
                                       rows.end));
    if (out_.extents.empty()) {
      out_.extents = x.extents;
      out_.extents[0] = 0;
    }
    if (!std::equal(out_.extents.begin() + 1, out_.extents.end(),
                    x.extents.begin() + 1, x.extents.end()))
      return wrong(x.name, "its rows are of another size than those it is "
                           "stored with");
    if (rows.size() > 0) {
      std::vector<std::int64_t> at(x.extents.size(), 0);
      at[0] = out_.extents[0];
      out_.segments.push_back({x.name, all->part(0, rows), std::move(at)});
    }
    out_.extents[0] += rows.size();
    return {};
  }

  stored_tensor take() { return std::move(out_); }

private:
  stored_tensor out_;
};

/// Cuts flat elements of a row-major tensor into boxes.
class flat_cutter {
public:
  flat_cutter(const logical_tensor& x, std::int64_t at)
    : x_(x),

      at_(at) {
    // nop
  }

  /// Elements [begin, end) of `inside`, whose dimensions before `dim` have one
  /// index.
  void cut(const box& inside, std::size_t dim, std::int64_t begin,
           std::int64_t end) {
    if (begin >= end)
      return;
    if (end - begin == inside.size()) {
      add(inside);
      return;
    }
    auto row = inside.size() / inside[dim].size();
    auto one = [&](std::int64_t i) {
      auto at = inside[dim].begin + i;
      return inside.part(dim, {at, at + 1});
    };
    auto first = begin / row;
    auto last = end / row;
    if (first == last) {
      cut(one(first), dim + 1, begin - first * row, end - first * row);
      return;
    }
    if (begin > first * row) {
      cut(one(first), dim + 1, begin - first * row, row);
      ++first;
    }
    if (first < last)
      add(inside.part(dim,
                      {inside[dim].begin + first, inside[dim].begin + last}));
    if (end > last * row)
      cut(one(last), dim + 1, 0, end - last * row);
  }

  std::vector<weight_segment> take() { return std::move(out_); }

private:
  void add(const box& where) {
    out_.push_back({x_.name, where, {at_}});
    at_ += where.size();
  }

  const logical_tensor& x_;
  std::int64_t at_;
  std::vector<weight_segment> out_;
};

} // namespace

interval even_part(std::int64_t extent, slice x) noexcept {
  // Without the product of extent and count, which might not fit.
  auto size = extent / x.count;
  auto rest = extent % x.count;
  auto begin = x.index * size + std::min(x.index, rest);
  return {begin, begin + size + (x.index < rest ? 1 : 0)};
}

interval chunk_part(std::int64_t extent, slice x) noexcept {
  auto size = extent / x.count + (extent % x.count > 0 ? 1 : 0);
  auto begin = std::min(extent, x.index * size);
  return {begin, std::min(extent, begin + size)};
}

result<stored_tensor> whole_tensor(std::string name, const logical_tensor& x,
                                   dtype type) {
  auto segment = whole_segment(x.name, x.extents);
  if (!segment)
    return fail(segment.error());
  return stored_tensor{std::move(name), type, x.extents, {std::move(*segment)}};
}

result<stored_tensor> sliced_tensor(std::string name, const logical_tensor& x,
                                    dtype type, std::size_t dim,
                                    interval part) {
  auto all = whole_of(x);
  if (!all)
    return fail(all.error());
  if (dim >= x.extents.size() || part.begin < 0 || part.end < part.begin
      || part.end > x.extents[dim])
    return wrong(x.name, fmt::format("there is no part [{}, {}) of dimension "
                                     "{}",
                                     part.begin, part.end, dim));
  stored_tensor out{std::move(name), type, x.extents, {}};
  out.extents[dim] = part.size();
  if (part.size() > 0)
    out.segments.push_back({x.name, all->part(dim, part),
                            std::vector<std::int64_t>(x.extents.size(), 0)});
  return out;
}

result<std::vector<weight_segment>> flat_segments(const logical_tensor& x,
                                                  interval elements,
                                                  std::int64_t local_begin) {
  auto all = whole_of(x);
  if (!all)
    return fail(all.error());
  if (elements.begin < 0 || elements.end < elements.begin
      || elements.end > all->size())
    return wrong(x.name, fmt::format("it has no elements [{}, {})",
                                     elements.begin, elements.end));
  flat_cutter out{x, local_begin};
  out.cut(*all, 0, elements.begin, elements.end);
  return out.take();
}

result<stored_tensor> flat_shard(std::string name,
                                 const std::vector<logical_tensor>& tensors,
                                 dtype type, slice part) {
  if (!is_slice(part))
    return wrong(name, fmt::format("there is no part {} of {}", part.index,
                                   part.count));
  std::int64_t total = 0;
  for (const auto& x : tensors) {
    auto all = whole_of(x);
    if (!all)
      return fail(all.error());
    if (__builtin_add_overflow(total, all->size(), &total))
      return wrong(name, "has too many elements");
  }
  auto size = total / part.count + (total % part.count > 0 ? 1 : 0);
  auto own = chunk_part(total, part);
  stored_tensor out{std::move(name), type, {size}, {}};
  std::int64_t first = 0;
  for (const auto& x : tensors) {
    auto end = first + whole_of(x)->size();
    interval both{std::max(first, own.begin), std::min(end, own.end)};
    if (both.begin < both.end) {
      auto segments = flat_segments(x, {both.begin - first, both.end - first},
                                    both.begin - own.begin);
      if (!segments)
        return fail(segments.error());
      std::ranges::move(*segments, std::back_inserter(out.segments));
    }
    first = end;
  }
  return out;
}

result<stored_tensor> fused_rows(std::string name,
                                 const std::vector<logical_tensor>& tensors,
                                 dtype type, slice part) {
  if (!is_slice(part))
    return wrong(name, fmt::format("there is no part {} of {}", part.index,
                                   part.count));
  row_stack out{std::move(name), type};
  for (const auto& x : tensors) {
    auto rows = x.extents.empty() ? 0 : x.extents[0];
    if (auto added = out.add(x, even_part(rows, part)); !added)
      return fail(added.error());
  }
  return out.take();
}

result<stored_tensor> fused_qkv(std::string name, const qkv_heads& x,
                                dtype type, slice part, qkv_order order) {
  if (!is_slice(part))
    return wrong(name, fmt::format("there is no part {} of {}", part.index,
                                   part.count));
  auto n = part.count;
  if (x.heads < 1 || x.kv_heads < 1 || x.head_dim < 1
      || x.heads % x.kv_heads != 0 || x.heads % n != 0
      || (x.kv_heads % n != 0 && n % x.kv_heads != 0))
    return wrong(name, fmt::format("{} query heads and {} of keys and values "
                                   "cannot be cut for {} ranks",
                                   x.heads, x.kv_heads, n));
  std::int64_t query_rows = 0;
  if (__builtin_mul_overflow(x.heads, x.head_dim, &query_rows))
    return wrong(name, "has too many rows");
  auto tensor = [&](const std::string& logical, std::int64_t heads) {
    logical_tensor out{logical, {heads * x.head_dim}};
    out.extents.insert(out.extents.end(), x.rest.begin(), x.rest.end());
    return out;
  };
  auto query = tensor(x.query, x.heads);
  auto key = tensor(x.key, x.kv_heads);
  auto value = tensor(x.value, x.kv_heads);
  auto queries = x.heads / n;
  auto first_query = part.index * queries;
  // With more ranks than heads, neighbours hold the same one.
  auto groups = std::max<std::int64_t>(1, x.kv_heads / n);
  auto first_group = n > x.kv_heads ? part.index / (n / x.kv_heads)
                                    : part.index * groups;
  row_stack out{std::move(name), type};
  result<void> done;
  auto add = [&](const logical_tensor& from, std::int64_t head,
                 std::int64_t count) {
    if (done)
      done = out.add(from, {head * x.head_dim, (head + count) * x.head_dim});
  };
  if (order == qkv_order::blocks) {
    add(query, first_query, queries);
    add(key, first_group, groups);
    add(value, first_group, groups);
  } else {
    auto each = queries / groups;
    for (std::int64_t g = 0; g < groups; ++g) {
      add(query, first_query + g * each, each);
      add(key, first_group + g, 1);
      add(value, first_group + g, 1);
    }
  }
  if (!done)
    return fail(done.error());
  return out.take();
}

result<stored_tensor> padded_rows(std::string name, const logical_tensor& x,
                                  dtype type, std::int64_t padded_rows,
                                  slice part) {
  if (!is_slice(part) || padded_rows < 0 || padded_rows % part.count != 0
      || x.extents.empty() || x.extents[0] > padded_rows)
    return wrong(name,
                 fmt::format("shape {} cannot be padded to {} rows for "
                             "{} ranks",
                             to_string(x.extents), padded_rows, part.count));
  auto rows = padded_rows / part.count;
  auto first = std::min(x.extents[0], rows * part.index);
  auto last = std::min(x.extents[0], rows * (part.index + 1));
  auto out = sliced_tensor(std::move(name), x, type, 0, {first, last});
  if (out)
    out->extents[0] = rows;
  return out;
}

result<stored_tensor> stacked_tensor(std::string name,
                                     const std::vector<logical_tensor>& tensors,
                                     dtype type) {
  stored_tensor out{std::move(name), type, {}, {}};
  out.extents.push_back(static_cast<std::int64_t>(tensors.size()));
  for (const auto& x : tensors) {
    auto all = whole_of(x);
    if (!all)
      return fail(all.error());
    if (x.extents != tensors.front().extents)
      return wrong(x.name, "is of another shape than those it is stacked "
                           "with");
    std::vector<std::int64_t> at(x.extents.size() + 1, 0);
    at[0] = static_cast<std::int64_t>(out.segments.size());
    out.segments.push_back({x.name, *all, std::move(at)});
  }
  if (!tensors.empty())
    out.extents.insert(out.extents.end(), tensors.front().extents.begin(),
                       tensors.front().extents.end());
  return out;
}

weight_layout replicated(const weight_layout& x, std::int32_t copies) {
  weight_layout out{x.model, {}};
  std::int32_t next = 0;
  for (std::int32_t i = 0; i < copies; ++i)
    for (const auto& rank : x.ranks) {
      out.ranks.push_back(rank);
      out.ranks.back().rank = rank_id{next++};
    }
  return out;
}

void seat(weight_layout& x, std::int32_t per_node, std::int32_t first_node) {
  std::int32_t next = 0;
  for (auto& rank : x.ranks) {
    rank.node = node_id{first_node + next / per_node};
    rank.device = device_id{first_node * per_node + next};
    ++next;
  }
}

} // namespace troupe::planner::weights
