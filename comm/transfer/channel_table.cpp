// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/channel_table.hpp"

#include <fmt/format.h>

#include "troupe/comm/transfer/convert.hpp"

namespace troupe::comm::transfer {

namespace {

constexpr std::uint32_t magic = 0x31544254;

// Upper bounds on what is encoded below, in bytes.
constexpr std::uint64_t head_bytes = 16;
constexpr std::uint64_t bucket_bytes = 32;
constexpr std::uint64_t part_bytes = 64;
constexpr std::uint64_t loop_bytes = 16;

void put(encoder& to, window x) {
  to.put(x.region);
  to.put(x.offset);
}

bool get(decoder& from, window& x) {
  return from.get(x.region) && from.get(x.offset);
}

error malformed() {
  return {errc::corrupt, "the peer's table of buckets is malformed"};
}

error other_parts(const channel& what, std::size_t bucket,
                  const program_part* part, std::string_view how) {
  auto name = part != nullptr ? fmt::format("tensor '{}'", what.name_of(*part))
                              : what.where(bucket);
  return {errc::invalid, fmt::format("{} is not what rank {} sends: {}", name,
                                     what.program().peer.value(), how)};
}

/// A region that the peer describes, in memory it has shared.
result<void> get_region(decoder& from, const channel& what,
                        std::uint64_t elements, dtype wire_type,
                        std::vector<memory_loop>& loops, region& out) {
  std::uint8_t type = 0;
  std::uint8_t count = 0;
  window where;
  if (!from.get(type) || !get(from, where) || !from.get(out.run_elements)
      || !from.get(count) || count > loops_max)
    return fail(malformed());
  loops.resize(count);
  for (auto& loop : loops)
    if (!from.get(loop.count) || !from.get(loop.stride_bytes))
      return fail(malformed());
  out.type = static_cast<dtype>(type);
  out.elements = elements;
  out.loops = loops;
  auto extent = region_extent(elements, out.run_elements, loops, out.type);
  if (!extent || !convertible(out.type, wire_type))
    return fail(malformed());
  auto memory = what.sink()->view(where, *extent);
  if (!memory)
    return fail(memory.error());
  out.first = memory->data();
  return {};
}

} // namespace

result<bytes> encode_table(const channel& what,
                           const std::vector<bucket_source>& sources,
                           bool digests) {
  bytes out;
  encoder to{out};
  to.put(magic);
  to.put(static_cast<std::uint8_t>(digests));
  to.put(static_cast<std::uint64_t>(what.buckets()));
  for (std::size_t b = 0; b < what.buckets(); ++b) {
    const auto& bucket = what.bucket(b);
    to.put(static_cast<std::uint8_t>(bucket.wire_type));
    to.put(bucket.wire_bytes);
    to.put(static_cast<std::uint32_t>(bucket.parts.size()));
    to.put(static_cast<std::uint8_t>(sources[b].kind));
    put(to, sources[b].staged);
    for (const auto& part : bucket.parts) {
      to.put(part.key);
      to.put(part.wire_begin);
      to.put(part.wire_bytes);
      if (sources[b].kind != bucket_kind::in_place)
        continue;
      auto here = what.local(part);
      auto extent = region_extent(here.elements, here.run_elements, here.loops,
                                  here.type);
      auto where = what.source()->locate(
        {here.first, static_cast<std::size_t>(extent.value_or(0))});
      if (!where)
        return fail(errc::internal, "a part that was in a window left it");
      to.put(static_cast<std::uint8_t>(here.type));
      put(to, *where);
      to.put(here.run_elements);
      to.put(static_cast<std::uint8_t>(here.loops.size()));
      for (const auto& loop : here.loops) {
        to.put(loop.count);
        to.put(loop.stride_bytes);
      }
    }
  }
  return out;
}

std::uint64_t table_bytes_max(const channel& what) noexcept {
  auto size = head_bytes;
  for (const auto& bucket : what.program().buckets)
    size += bucket_bytes
            + bucket.parts.size() * (part_bytes + loops_max * loop_bytes);
  return size;
}

result<remote_channel> decode_table(std::span<const std::byte> table,
                                    const channel& what, bool digests) {
  decoder from{table};
  std::uint32_t kind = 0;
  std::uint8_t digested = 0;
  std::uint64_t buckets = 0;
  if (!from.get(kind) || kind != magic || !from.get(digested)
      || !from.get(buckets))
    return fail(malformed());
  if ((digested != 0) != digests)
    return fail(errc::invalid, "one end digests and the other does not");
  if (buckets != what.buckets())
    return fail(errc::invalid,
                fmt::format("rank {} sends {} buckets, {} are expected",
                            what.program().peer.value(), buckets,
                            what.buckets()));
  remote_channel out;
  out.buckets.resize(what.buckets());
  for (std::size_t b = 0; b < what.buckets(); ++b) {
    const auto& mine = what.bucket(b);
    auto& theirs = out.buckets[b];
    std::uint8_t type = 0;
    std::uint64_t wire_bytes = 0;
    std::uint32_t parts = 0;
    std::uint8_t how = 0;
    window staged;
    if (!from.get(type) || !from.get(wire_bytes) || !from.get(parts)
        || !from.get(how) || !get(from, staged))
      return fail(malformed());
    theirs.kind = static_cast<bucket_kind>(how);
    auto windows = theirs.kind == bucket_kind::in_place
                   || theirs.kind == bucket_kind::staged;
    if (windows != (what.sink() != nullptr)
        || (!windows && theirs.kind != bucket_kind::stream))
      return fail(malformed());
    if (static_cast<dtype>(type) != mine.wire_type)
      return fail(other_parts(what, b, nullptr, "another type"));
    // As many as there are on both sides, so that the first that differs is
    // named rather than their number.
    for (std::size_t p = 0; p < parts; ++p) {
      if (p >= mine.parts.size())
        return fail(other_parts(what, b, nullptr, "it has more parts"));
      const auto& part = mine.parts[p];
      std::uint64_t key = 0;
      std::uint64_t begin = 0;
      std::uint64_t size = 0;
      if (!from.get(key) || !from.get(begin) || !from.get(size))
        return fail(malformed());
      if (key != part.key || begin != part.wire_begin
          || size != part.wire_bytes)
        return fail(other_parts(what, b, &part, "another part stands there"));
      if (theirs.kind != bucket_kind::in_place)
        continue;
      auto& where = theirs.parts.emplace_back();
      auto& loops = out.loops.emplace_back();
      auto got = get_region(from, what, size / size_of(mine.wire_type),
                            mine.wire_type, loops, where);
      if (!got)
        return fail(got.error());
    }
    if (parts < mine.parts.size())
      return fail(other_parts(what, b, &mine.parts[parts], "it is missing"));
    if (wire_bytes != mine.wire_bytes)
      return fail(other_parts(what, b, nullptr, "another size"));
    if (theirs.kind == bucket_kind::staged) {
      auto memory = what.sink()->view(staged, staged_digest_at(wire_bytes)
                                                + staged_digest_bytes);
      if (!memory)
        return fail(memory.error());
      theirs.staged = *memory;
    }
  }
  if (from.left() != 0)
    return fail(malformed());
  return out;
}

} // namespace troupe::comm::transfer
