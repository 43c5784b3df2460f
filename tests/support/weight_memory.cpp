// SPDX-License-Identifier: Apache-2.0
#include "support/weight_memory.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <set>
#include <stdexcept>
#include <unordered_map>

#include <fmt/format.h>

namespace troupe::test {

namespace {

using coordinates = std::vector<std::int64_t>;

double value_of(std::uint64_t seed, const std::string& logical,
                const coordinates& at) {
  std::uint64_t x = seed ^ std::hash<std::string>{}(logical);
  for (auto i : at) {
    x = (x ^ static_cast<std::uint64_t>(i)) * 0x9E3779B97F4A7C15;
    x ^= x >> 29;
  }
  // Any 23 bits: more digits than bfloat16 has, as many as float32.
  return static_cast<double>(x >> 41) / 4096.0 - 700.0;
}

double read(const std::byte* from, dtype type) {
  switch (type) {
    case dtype::float32: {
      float x = 0;
      std::memcpy(&x, from, sizeof x);
      return x;
    }
    case dtype::bfloat16: {
      bfloat16 x;
      std::memcpy(&x, from, sizeof x);
      return static_cast<float>(x);
    }
    case dtype::int64: {
      std::int64_t x = 0;
      std::memcpy(&x, from, sizeof x);
      return static_cast<double>(x);
    }
    default: {
      double x = 0;
      std::memcpy(&x, from, sizeof x);
      return x;
    }
  }
}

void write(std::byte* to, dtype type, double value) {
  auto put = [to](auto x) { std::memcpy(to, &x, sizeof x); };
  switch (type) {
    case dtype::float32: return put(static_cast<float>(value));
    case dtype::bfloat16: return put(bfloat16{static_cast<float>(value)});
    case dtype::int64: return put(static_cast<std::int64_t>(value));
    default: return put(value);
  }
}

/// Calls `each(rank position, tensor position, element position, logical,
/// coordinates)` for every element that a layout names.
template <class Each>
void for_each_element(const weight_layout& layout, Each&& each) {
  for (std::size_t r = 0; r < layout.ranks.size(); ++r)
    for (std::size_t t = 0; t < layout.ranks[r].tensors.size(); ++t) {
      const auto& tensor = layout.ranks[r].tensors[t];
      for (const auto& segment : tensor.segments) {
        auto positions = element_positions(tensor, segment);
        auto logical = elements_of(segment.where);
        for (std::size_t i = 0; i < logical.size(); ++i)
          each(r, t, positions[i], segment.logical, logical[i]);
      }
    }
}

/// Numbers the elements of logical tensors.
class element_numbers {
public:
  std::uint64_t operator()(const std::string& logical, const coordinates& at) {
    auto tensor = static_cast<std::uint64_t>(
      tensors_.try_emplace(logical, tensors_.size()).first->second);
    if (at.size() > std::size_t{max_dims})
      throw std::length_error{"more dimensions than a number holds"};
    std::uint64_t number = 0;
    for (auto i : at) {
      if (i >= std::int64_t{1} << bits)
        throw std::length_error{"a tensor larger than a number holds"};
      number = number << bits | static_cast<std::uint64_t>(i);
    }
    return tensor << (bits * max_dims) | number;
  }

private:
  // Tensors have few elements here.
  static constexpr int bits = 12;
  static constexpr int max_dims = 4;

  std::unordered_map<std::string, std::size_t> tensors_;
};

/// One element in a type.
struct typed_value {
  dtype type = dtype::float32;
  double value = 0;
};

/// The bytes of one end of a part, one element after the other.
std::vector<std::byte*> element_addresses(const program_part& part,
                                          std::byte* memory, std::size_t size) {
  std::vector<std::byte*> out;
  std::function<void(std::size_t, std::uint64_t)> descend =
    [&](std::size_t level, std::uint64_t offset) {
      if (level == part.loops.size()) {
        for (std::uint64_t i = 0; i < part.run_elements; ++i)
          out.push_back(memory + offset + i * size);
        return;
      }
      for (std::uint64_t i = 0; i < part.loops[level].count; ++i)
        descend(level + 1, offset + i * part.loops[level].stride_bytes);
    };
  descend(0, part.offset_bytes);
  return out;
}

/// Moves one bucket and complains about it.
class bucket_runner {
public:
  bucket_runner(naive_traffic& out, std::string where)
    : out_(out),
      where_(std::move(where)) {
    // nop
  }

  void complain(const std::string& what) {
    out_.problems.push_back(where_ + ": " + what);
  }

  /// Returns the bytes of its parts; equal wire positions count once.
  std::uint64_t run(const program_bucket& sends, const rank_layout& from,
                    const rank_memory& from_memory,
                    const program_bucket& receives, const rank_layout& to,
                    rank_memory& to_memory, std::set<std::uint64_t>& keys) {
    if (sends.wire_type != receives.wire_type
        || sends.wire_bytes != receives.wire_bytes
        || sends.parts.size() != receives.parts.size()) {
      complain("the ends of a bucket differ");
      return 0;
    }
    std::vector<std::byte> wire(sends.wire_bytes, std::byte{0xEE});
    std::uint64_t bytes = 0;
    std::optional<std::uint64_t> last;
    for (std::size_t i = 0; i < sends.parts.size(); ++i) {
      const auto& out = sends.parts[i];
      const auto& in = receives.parts[i];
      if (out.key != in.key || out.wire_begin != in.wire_begin
          || out.wire_bytes != in.wire_bytes || out.wire_begin % 8 != 0
          || out.wire_begin + out.wire_bytes > sends.wire_bytes) {
        complain("the ends of a part differ, or it lies outside");
        return bytes;
      }
      if (!keys.insert(in.key).second)
        complain("a key comes twice");
      if (last != out.wire_begin)
        bytes += out.wire_bytes;
      last = out.wire_begin;
      move(sends.wire_type, out, from, from_memory, wire, true);
    }
    for (const auto& in : receives.parts)
      move(sends.wire_type, in, to, to_memory, wire, false);
    return bytes;
  }

private:
  template <class Memory>
  void move(dtype wire_type, const program_part& part, const rank_layout& rank,
            Memory& memory, std::vector<std::byte>& wire, bool pack) {
    if (part.tensor >= memory.size())
      return complain("a part is of no tensor");
    const auto& tensor = rank.tensors[part.tensor];
    auto& bytes = memory[part.tensor];
    auto size = size_of(tensor.type);
    auto wire_size = size_of(wire_type);
    // Only reading if packing.
    auto* base = const_cast<std::byte*>(bytes.data());
    auto addresses = element_addresses(part, base, size);
    if (addresses.size() * wire_size != part.wire_bytes)
      return complain("a part has another number of elements than bytes");
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      if (addresses[i] + size > base + bytes.size())
        return complain("a part leaves its tensor");
      auto* at = wire.data() + part.wire_begin + i * wire_size;
      if (pack)
        convert(addresses[i], tensor.type, at, wire_type);
      else
        convert(at, wire_type, addresses[i], tensor.type);
    }
  }

  static void convert(const std::byte* from, dtype from_type, std::byte* to,
                      dtype to_type) {
    if (from_type == to_type)
      std::memcpy(to, from, size_of(from_type));
    else
      write(to, to_type, read(from, from_type));
  }

  naive_traffic& out_;
  std::string where_;
};

} // namespace

std::vector<std::vector<std::int64_t>> elements_of(const box& x) {
  std::vector<coordinates> out;
  if (x.empty())
    return out;
  coordinates at;
  for (std::size_t i = 0; i < x.dims(); ++i)
    at.push_back(x[i].begin);
  while (true) {
    out.push_back(at);
    auto i = x.dims();
    while (i > 0 && ++at[i - 1] == x[i - 1].end) {
      at[i - 1] = x[i - 1].begin;
      --i;
    }
    if (i == 0)
      return out;
  }
}

std::vector<std::int64_t> element_positions(const stored_tensor& tensor,
                                            const weight_segment& segment) {
  auto n = tensor.extents.size();
  auto m = segment.where.dims();
  auto strides = row_major_strides(tensor.extents);
  std::vector<std::int64_t> out;
  for (const auto& at : elements_of(segment.where)) {
    // Coordinates in the stored region.
    coordinates local(n, 0);
    for (std::size_t i = 0; i < m; ++i) {
      auto offset = at[i] - segment.where[i].begin;
      if (n >= m)
        local[n - m + i] = offset;
      else if (i + n <= m)
        local[0] = local[0] * segment.where[i].size() + offset;
      else
        local[i + n - m] = offset;
    }
    std::int64_t position = 0;
    for (std::size_t i = 0; i < n; ++i)
      position += (segment.local_begin[i] + local[i]) * strides[i];
    out.push_back(position);
  }
  return out;
}

layout_memory make_memory(const weight_layout& layout, std::byte filler) {
  layout_memory out;
  for (const auto& rank : layout.ranks) {
    auto& memory = out.emplace_back();
    for (const auto& x : rank.tensors)
      memory.emplace_back(static_cast<std::size_t>(*element_count(x.extents))
                            * size_of(x.type),
                          filler);
  }
  return out;
}

void write_weights(const weight_layout& layout, std::uint64_t seed,
                   layout_memory& memory) {
  for_each_element(layout, [&](auto r, auto t, auto position,
                               const auto& logical, const auto& at) {
    auto type = layout.ranks[r].tensors[t].type;
    write(memory[r][t].data()
            + static_cast<std::size_t>(position) * size_of(type),
          type, value_of(seed, logical, at));
  });
}

layout_memory expected_memory(const weight_layout& source,
                              const layout_memory& source_memory,
                              const weight_layout& destination,
                              layout_memory before) {
  element_numbers numbers;
  std::unordered_map<std::uint64_t, typed_value> weights;
  for_each_element(source, [&](auto r, auto t, auto position,
                               const auto& logical, const auto& at) {
    auto type = source.ranks[r].tensors[t].type;
    auto value = read(source_memory[r][t].data()
                        + static_cast<std::size_t>(position) * size_of(type),
                      type);
    auto [known, added] = weights.try_emplace(numbers(logical, at),
                                              typed_value{type, value});
    if (!added && size_of(type) > size_of(known->second.type))
      known->second = {type, value};
  });
  for_each_element(destination, [&](auto r, auto t, auto position,
                                    const auto& logical, const auto& at) {
    auto found = weights.find(numbers(logical, at));
    if (found == weights.end())
      return;
    auto type = destination.ranks[r].tensors[t].type;
    write(before[r][t].data()
            + static_cast<std::size_t>(position) * size_of(type),
          type, found->second.value);
  });
  return before;
}

std::uint64_t naive_lower_bound(const weight_layout& source,
                                const weight_layout& destination) {
  element_numbers numbers;
  std::unordered_map<std::uint64_t, std::size_t> held;
  for_each_element(source, [&](auto r, auto t, auto, const auto& logical,
                               const auto& at) {
    auto& size = held[numbers(logical, at)];
    size = std::max(size, size_of(source.ranks[r].tensors[t].type));
  });
  std::vector<std::unordered_map<std::uint64_t, std::size_t>> needed(
    destination.ranks.size());
  for_each_element(destination, [&](auto r, auto t, auto, const auto& logical,
                                    const auto& at) {
    auto& size = needed[r][numbers(logical, at)];
    size = std::max(size, size_of(destination.ranks[r].tensors[t].type));
  });
  std::uint64_t bytes = 0;
  for (const auto& rank : needed)
    for (const auto& [number, size] : rank)
      if (auto at = held.find(number); at != held.end())
        bytes += std::min(size, at->second);
  return bytes;
}

naive_traffic run_programs(const std::vector<rank_program>& sources,
                           const weight_layout& source,
                           const layout_memory& source_memory,
                           const std::vector<rank_program>& destinations,
                           const weight_layout& destination,
                           layout_memory& destination_memory,
                           std::uint64_t bucket_bytes) {
  naive_traffic out;
  std::map<std::pair<rank_id, rank_id>,
           std::pair<std::size_t, const program_channel*>>
    sending;
  for (std::size_t s = 0; s < sources.size(); ++s)
    for (const auto& x : sources[s].sends)
      if (!sending.try_emplace({sources[s].rank, x.peer}, s, &x).second)
        out.problems.push_back("two channels join one pair of ranks");
  for (std::size_t d = 0; d < destinations.size(); ++d) {
    std::set<std::uint64_t> keys;
    for (const auto& receives : destinations[d].receives) {
      bucket_runner runner{out, fmt::format("{} -> {}", receives.peer.value(),
                                            destinations[d].rank.value())};
      auto found = sending.find({receives.peer, destinations[d].rank});
      if (found == sending.end()) {
        runner.complain("nobody sends");
        continue;
      }
      auto [s, sends] = found->second;
      if (sends->link != receives.link
          || sends->buckets.size() != receives.buckets.size()) {
        runner.complain("the ends of the channel differ");
        continue;
      }
      for (std::size_t i = 0; i < receives.buckets.size(); ++i) {
        if (receives.buckets[i].wire_bytes > bucket_bytes)
          runner.complain("a bucket is larger than its bound");
        auto bytes = runner.run(sends->buckets[i], source.ranks[s],
                                source_memory[s], receives.buckets[i],
                                destination.ranks[d], destination_memory[d],
                                keys);
        out.bytes[receives.link] += bytes;
        out.sent[receives.peer] += bytes;
      }
      sending.erase(found);
    }
  }
  if (!sending.empty())
    out.problems.push_back("a channel has no receiver");
  return out;
}

} // namespace troupe::test
