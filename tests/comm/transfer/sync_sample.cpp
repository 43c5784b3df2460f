// SPDX-License-Identifier: Apache-2.0
#include "comm/transfer/sync_sample.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "support/rank_threads.hpp"
#include "troupe/comm/transfer/convert.hpp"
#include "troupe/comm/transfer/region.hpp"

namespace troupe::test {

using namespace comm::transfer;

namespace {

std::uint64_t below(std::mt19937_64& random, std::uint64_t bound) {
  return std::uniform_int_distribution<std::uint64_t>{0, bound - 1}(random);
}

/// Source, wire, destination.
constexpr std::array<std::array<dtype, 3>, 8> kinds{{
  {dtype::float32, dtype::float32, dtype::float32},
  {dtype::bfloat16, dtype::bfloat16, dtype::bfloat16},
  {dtype::uint8, dtype::uint8, dtype::uint8},
  {dtype::int64, dtype::int64, dtype::int64},
  {dtype::float32, dtype::bfloat16, dtype::bfloat16},
  {dtype::float32, dtype::float32, dtype::bfloat16},
  {dtype::bfloat16, dtype::bfloat16, dtype::float32},
  {dtype::float64, dtype::float16, dtype::float32},
}};

} // namespace

std::vector<std::byte> sync_memory::read(std::span<std::byte> what) const {
  std::vector<std::byte> out(what.size());
  if (!out.empty())
    get(out, what.data());
  return out;
}

void sync_sample::fill(std::mt19937_64& random, std::span<std::byte> what) {
  std::vector<std::byte> values(what.size());
  for (std::size_t i = 0; i < values.size(); i += sizeof(std::uint64_t)) {
    std::uint64_t word = random();
    std::memcpy(&values[i], &word, std::min(sizeof(word), values.size() - i));
  }
  if (!values.empty())
    memory_.put(what.data(), values);
}

program_part
sync_sample::add_tensor(std::mt19937_64& random, sample_rank& to, dtype type,
                        std::uint64_t elements, bool whole,
                        const std::function<buffer(std::size_t)>& allocate) {
  program_part out;
  out.tensor = static_cast<std::uint32_t>(to.tensors.size());
  auto size = size_of(type);
  auto left = elements;
  std::vector<std::uint64_t> extents;
  for (auto tries = whole || elements == 0 ? 0 : below(random, 4); tries > 0;
       --tries) {
    auto factor = 1 + below(random, 12);
    if (left % factor == 0) {
      extents.push_back(factor);
      left /= factor;
    }
  }
  out.run_elements = left;
  auto stride = left * size;
  for (auto extent : extents) {
    stride += below(random, 5) * size;
    out.loops.insert(out.loops.begin(), {extent, stride});
    stride *= extent;
  }
  out.offset_bytes = whole ? 0 : below(random, 3) * size;
  auto behind = whole ? 0 : below(random, 3) * size;
  auto made = allocate(out.offset_bytes + stride + behind);
  fill(random, made.bytes());
  to.tensors.push_back(
    {fmt::format("{}.t{}", to.program.rank.value(), out.tensor), type,
     made.bytes()});
  to.memory.push_back(std::move(made));
  return out;
}

sync_sample::sync_sample(std::mt19937_64& random, const sample_options& options,
                         const sync_memory& memory)
  : sources(options.sources),
    destinations(options.destinations),
    memory_(memory) {
  auto number = [](auto& ranks) {
    for (std::size_t i = 0; i < ranks.size(); ++i)
      ranks[i].program.rank = rank_id{static_cast<std::int32_t>(i)};
  };
  number(sources);
  number(destinations);
  auto allocator =
    [&](std::size_t rank, const auto& by_rank,
        const auto& plain) -> std::function<buffer(std::size_t)> {
    if (!by_rank)
      return plain;
    return [&by_rank, rank](std::size_t bytes) { return by_rank(rank, bytes); };
  };
  std::uint64_t key = below(random, 1000);
  for (std::size_t s = 0; s < sources.size(); ++s)
    for (std::size_t d = 0; d < destinations.size(); ++d) {
      program_channel out{destinations[d].program.rank, {}, {}};
      program_channel in{sources[s].program.rank, {}, {}};
      auto buckets = 1 + below(random, options.buckets);
      for (std::uint64_t b = 0; b < buckets; ++b) {
        auto kind = options.whole ? kinds[below(random, 4)]
                                  : kinds[below(random, kinds.size())];
        program_bucket from;
        program_bucket to;
        from.wire_type = to.wire_type = kind[1];
        for (auto parts = 1 + below(random, options.parts); parts > 0;
             --parts) {
          // Small, empty and odd ones often.
          auto bound = below(random, 3) == 0 ? 4 : options.elements_max;
          auto elements = below(random, bound + 1);
          auto a = add_tensor(random, sources[s], kind[0], elements,
                              options.whole,
                              allocator(s, memory_.source_of, memory_.source));
          a.wire_begin = from.wire_bytes;
          a.wire_bytes = elements * size_of(kind[1]);
          from.wire_bytes = (a.wire_begin + a.wire_bytes + 7) / 8 * 8;
          to.wire_bytes = from.wire_bytes;
          auto again = false;
          do {
            auto z = add_tensor(random, destinations[d], kind[2], elements,
                                options.whole,
                                allocator(d, memory_.destination_of,
                                          memory_.destination));
            a.key = z.key = key++;
            z.wire_begin = a.wire_begin;
            z.wire_bytes = a.wire_bytes;
            pieces_.push_back({s, d, kind[1], a, z, elements, again});
            from.parts.push_back(a);
            to.parts.push_back(std::move(z));
            again = true;
          } while (below(random, 4) == 0);
        }
        out.buckets.push_back(std::move(from));
        in.buckets.push_back(std::move(to));
      }
      sources[s].program.sends.push_back(std::move(out));
      destinations[d].program.receives.push_back(std::move(in));
    }
}

void sync_sample::refill(std::mt19937_64& random) {
  for (auto& rank : sources)
    for (auto& x : rank.memory)
      fill(random, x.bytes());
}

std::vector<std::vector<std::byte>>
sync_sample::expected(std::size_t destination) const {
  auto out = held(destination);
  for (const auto& x : pieces_) {
    if (x.destination != destination)
      continue;
    const auto& from = sources[x.source].tensors[x.from.tensor];
    auto there = memory_.read(from.memory);
    const auto& to = destinations[destination].tensors[x.to.tensor];
    // Run by run through a dense copy of the wire's bytes.
    std::vector<std::byte> wire(x.elements * size_of(x.wire));
    auto each_run = [&](const program_part& part, dtype type, auto f) {
      for (std::uint64_t i = 0; i < x.elements; i += part.run_elements)
        f(wire.data() + i * size_of(x.wire),
          part.offset_bytes
            + region_offset(i, part.run_elements, part.loops, type));
    };
    each_run(x.from, from.type, [&](std::byte* at, std::uint64_t offset) {
      convert(at, x.wire, there.data() + offset, from.type,
              x.from.run_elements);
    });
    each_run(x.to, to.type, [&](std::byte* at, std::uint64_t offset) {
      convert(out[x.to.tensor].data() + offset, to.type, at, x.wire,
              x.to.run_elements);
    });
  }
  return out;
}

std::vector<std::vector<std::byte>>
sync_sample::held(std::size_t destination) const {
  std::vector<std::vector<std::byte>> out;
  for (const auto& x : destinations[destination].memory)
    out.push_back(memory_.read(x.bytes()));
  return out;
}

std::uint64_t sync_sample::bytes(std::size_t source,
                                 std::size_t destination) const {
  std::uint64_t sum = 0;
  for (const auto& x : pieces_)
    if (x.source == source && x.destination == destination && !x.again)
      sum += x.elements * size_of(x.wire);
  return sum;
}

sample_group::sample_group(const sync_sample& sample,
                           const sync_backend& backend,
                           executor_options options) {
  options.engines = backend.engines;
  std::vector<std::vector<comm::link_ptr>> out(sample.sources.size());
  std::vector<std::vector<comm::link_ptr>> in(sample.destinations.size());
  for (std::size_t s = 0; s < out.size(); ++s)
    for (std::size_t d = 0; d < in.size(); ++d) {
      auto ends = backend.make_link_of ? backend.make_link_of(s, d)
                                       : backend.make_link();
      out[s].push_back(std::move(ends.first));
      in[d].push_back(std::move(ends.second));
    }
  auto options_of = [&](bool sends, std::size_t rank) {
    if (backend.engines_of)
      options.engines = backend.engines_of(sends, rank);
    return options;
  };
  auto with_kind = [&](rank_program x) {
    for (auto* channels : {&x.sends, &x.receives})
      for (auto& channel : *channels)
        channel.link = backend.kind;
    return x;
  };
  for (std::size_t i = 0; i < out.size(); ++i)
    sources.push_back(executor::make(with_kind(sample.sources[i].program),
                                     sample.sources[i].tensors,
                                     std::move(out[i]), {}, options_of(true, i))
                        .value());
  for (std::size_t i = 0; i < in.size(); ++i)
    destinations.push_back(
      executor::make(with_kind(sample.destinations[i].program),
                     sample.destinations[i].tensors, {}, std::move(in[i]),
                     options_of(false, i))
        .value());
}

std::vector<result<void>> sample_group::run(const run_options& options,
                                            deadline until) {
  return in_threads(sources.size() + destinations.size(), [&](std::size_t i) {
    auto& rank = i < sources.size() ? sources[i]
                                    : destinations[i - sources.size()];
    return rank->run(options, until);
  });
}

} // namespace troupe::test
