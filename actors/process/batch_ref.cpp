// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/batch_ref.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "troupe/actors/process/batch_store.hpp"

namespace troupe::process {

namespace {

result<void> check_range(std::int64_t begin, std::int64_t end,
                         std::int64_t rows) {
  if (begin < 0 || begin > end || end > rows)
    return fail(errc::invalid,
                fmt::format("rows [{}, {}) of {} rows", begin, end, rows));
  return {};
}

} // namespace

result<void> batch_part::check() const {
  if (auto ok = check_range(row_begin, row_end, rows_total); !ok)
    return ok;
  if (slot < node_slot || slot >= slots_max)
    return fail(errc::invalid, fmt::format("there is no slot {}", slot));
  if (is_inline()
        ? payload.size() != bytes || bytes > batch_store::inline_bytes_max
        : !payload.empty())
    return fail(errc::invalid,
                fmt::format("a part of {} bytes carries {} bytes", bytes,
                            payload.size()));
  return {};
}

std::int64_t batch_ref::rows() const noexcept {
  std::int64_t sum = 0;
  for (const auto& x : parts)
    sum += x.rows();
  return sum;
}

std::uint64_t batch_ref::inline_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& x : parts)
    sum += x.payload.size();
  return sum;
}

result<batch_ref> batch_ref::slice(std::int64_t begin, std::int64_t end) const {
  if (auto ok = check_range(begin, end, rows()); !ok)
    return fail(ok.error());
  batch_ref out;
  std::int64_t at = 0;
  for (const auto& x : parts) {
    auto first = std::max(begin, at);
    auto last = std::min(end, at + x.rows());
    if (first < last) {
      auto& part = out.parts.emplace_back(x);
      part.row_begin = x.row_begin + first - at;
      part.row_end = x.row_begin + last - at;
    }
    at += x.rows();
  }
  // No rows still have names and types: some part must say which.
  if (out.parts.empty() && !parts.empty()) {
    auto& part = out.parts.emplace_back(parts.front());
    part.row_end = part.row_begin;
  }
  return out;
}

result<std::vector<batch_ref>> batch_ref::split(std::size_t n) const {
  if (n == 0)
    return fail(errc::invalid, "a batch cannot be split into 0 parts");
  std::vector<batch_ref> out;
  out.reserve(n);
  for (const auto& range : split_rows(rows(), n)) {
    auto part = slice(range.begin, range.end);
    if (!part)
      return fail(part.error());
    out.push_back(std::move(*part));
  }
  return out;
}

batch_ref batch_ref::concat(std::span<const batch_ref> xs) {
  batch_ref out;
  for (const auto& x : xs)
    out.parts.insert(out.parts.end(), x.parts.begin(), x.parts.end());
  return out;
}

std::vector<row_range> split_rows(std::int64_t rows, std::size_t n) {
  auto count = static_cast<std::int64_t>(n);
  std::vector<row_range> out;
  out.reserve(n);
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    auto end = begin + rows / count + (i < rows % count ? 1 : 0);
    out.push_back({begin, end});
    begin = end;
  }
  return out;
}

result<batch> slice_rows(const batch& x, std::int64_t begin, std::int64_t end) {
  auto rows = x.rows();
  if (!rows)
    return fail(rows.error());
  if (auto ok = check_range(begin, end, *rows); !ok)
    return fail(ok.error());
  if (begin == 0 && end == *rows)
    return x;
  batch out;
  for (const auto& [name, value] : x.meta())
    out.set_meta(name, value);
  for (const auto& [name, value] : x.tensors())
    out.set(name, value.rows(begin, end));
  return out;
}

} // namespace troupe::process
