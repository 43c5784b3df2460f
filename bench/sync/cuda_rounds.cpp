// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/cuda_rounds.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "troupe/bench/sync/each_round.hpp"
#include "troupe/bench/sync/inproc_pair.hpp"
#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/cuda/memory.hpp"
#include "troupe/core/units.hpp"

namespace troupe::bench {

namespace {

using namespace comm::transfer;

constexpr unsigned seed = 1;

} // namespace

// -- colocated -----------------------------------------------------------------

result<colocated_figures> measure_colocated(gpu& on, const sync_load& load,
                                            std::size_t rounds) {
  auto from = on.make_tensors(load);
  auto to = on.make_tensors(load);
  if (!from || !to)
    return fail(!from ? from.error() : to.error());
  auto expected = on.fill(*from, seed);
  if (!expected)
    return fail(expected.error());
  auto source = from->bytes();
  auto target = to->bytes();
  auto make = [&](bool digests) {
    executor_options options;
    options.engines = on.device().engines();
    options.digests = digests;
    // Nothing is allocated of it: all is read in place.
    options.bytes_in_flight_max = std::max(options.bytes_in_flight_max,
                                           4 * load.bucket_bytes());
    return inproc_pair::make(load, link_kind::cuda, from->list, to->list,
                             options);
  };
  auto digested = make(true);
  auto undigested = make(false);
  if (!digested || !undigested)
    return fail(!digested ? digested.error() : undigested.error());
  colocated_figures out;
  auto sync = [&](inproc_pair& with) -> result<double> {
    if (auto empty = on.clear(target); !empty)
      return fail(empty.error());
    auto seconds = with.run(run_mode::in_place);
    if (!seconds)
      return seconds;
    if (auto good = on.check(*to, *expected); !good)
      return fail(good.error());
    return seconds;
  };
  auto done = each_round(rounds, [&](auto add) {
    return add(out.copy,
               on.timed_copy(target.data(), source.data(), source.size()))
      .and_then([&] { return add(out.sync, sync(**digested)); })
      .and_then([&] { return add(out.undigested, sync(**undigested)); });
  });
  if (!done)
    return fail(done.error());
  return out;
}

// -- pack ----------------------------------------------------------------------

namespace {

constexpr std::uint64_t row_bytes = 8 * kib;
constexpr std::uint64_t shards = 4;
constexpr std::uint64_t run_bytes = row_bytes / shards;

/// What packs all buckets from `from` to `to`.
class packer {
public:
  packer(std::span<std::byte> from, std::span<std::byte> to,
         const pack_load& load, dtype type)
    : rows_(load.bucket_bytes / row_bytes),
      loops_{{{rows_, row_bytes}}},
      ratio_(size_of(type) / size_of(wire)) {
    auto elements = rows_ * run_bytes / size_of(type);
    for (std::uint64_t at = 0; at < load.bytes; at += load.bucket_bytes) {
      auto& bucket = buckets_.emplace_back();
      for (std::uint64_t s = 0; s < shards; ++s) {
        region strided{from.data() + at + s * run_bytes, type, elements,
                       run_bytes / size_of(type), loops_};
        auto* first = to.data() + (at + s * rows_ * run_bytes) / ratio_;
        bucket.push_back({dense(first, wire, elements), strided, ++keys_});
      }
    }
  }

  packer(const packer&) = delete;
  packer& operator=(const packer&) = delete;

  /// Packs; the digest of what was written goes to `sum`.
  result<void> run(copy_engine& engine, digesting digests, digest& sum) const {
    for (const auto& bucket : buckets_)
      if (auto done = engine.copy(bucket, wire, digests, sum, ample()); !done)
        return done;
    return engine.finish(ample());
  }

  /// Of what is there.
  result<digest> look(copy_engine& engine) const {
    digest sum;
    std::vector<keyed_region> all;
    for (const auto& bucket : buckets_)
      for (const auto& part : bucket)
        all.push_back({part.to, part.key});
    auto done = engine.digest_regions(all, wire, sum, ample());
    if (done)
      done = engine.finish(ample());
    if (!done)
      return fail(done.error());
    return sum;
  }

  /// True if the first and the last row of each shard of the first and the last
  /// bucket stand where they should: digests do not tell where bytes came from.
  /// Not of a packer that converts.
  result<bool> samples(comm::device& device) const {
    std::array<std::byte, run_bytes> source{};
    std::array<std::byte, run_bytes> target{};
    for (const auto* bucket : {&buckets_.front(), &buckets_.back()})
      for (const auto& part : *bucket)
        for (auto row : {std::uint64_t{0}, rows_ - 1}) {
          auto done = device
                        .get(source, part.from.first + row * row_bytes, ample())
                        .and_then([&] {
                          return device.get(target,
                                            part.to.first + row * run_bytes,
                                            ample());
                        });
          if (!done)
            return fail(done.error());
          if (source != target)
            return false;
        }
    return true;
  }

private:
  static constexpr auto wire = dtype::bfloat16;

  std::uint64_t rows_;
  std::array<memory_loop, 1> loops_;
  std::uint64_t ratio_;
  std::uint64_t keys_ = 0;
  std::vector<std::vector<keyed_copy>> buckets_;
};

} // namespace

result<pack_figures> measure_pack(gpu& on, const pack_load& load,
                                  std::size_t rounds) {
  auto source = on.device().allocate(load.bytes);
  auto target = on.device().allocate(load.bytes);
  if (!source || !target)
    return fail(!source ? source.error() : target.error());
  auto from = (*source)->memory().first(load.bytes);
  auto to = (*target)->memory().first(load.bytes);
  std::vector<std::span<std::byte>> pieces;
  for (std::uint64_t at = 0; at < load.bytes; at += load.bucket_bytes)
    pieces.push_back(from.subspan(at, load.bucket_bytes));
  if (auto filled = on.fill(pieces, seed); !filled)
    return fail(filled.error());
  packer same{from, to, load, dtype::bfloat16};
  packer narrowing{from, to, load, dtype::float32};
  // Of bfloat16: the copies without digests must give it too.
  digest expected;
  auto pack = [&](const packer& with, digesting digests) -> result<double> {
    if (auto empty = on.clear(to); !empty)
      return fail(empty.error());
    digest sum;
    result<void> done;
    auto seconds = seconds_of(
      [&] { done = with.run(on.engine(), digests, sum); });
    if (!done)
      return fail(done.error());
    auto there = with.look(on.engine());
    auto right = &with == &same ? same.samples(on.device())
                                : result<bool>{true};
    if (!there || !right)
      return fail(!there ? there.error() : right.error());
    if (*there != (digests == digesting::on ? sum : expected) || !*right)
      return fail(errc::corrupt, "a pack did not write what it should");
    if (&with == &same)
      expected = *there;
    return seconds;
  };
  pack_figures out;
  auto done = each_round(rounds, [&](auto add) {
    return add(out.copy, on.timed_copy(to.data(), from.data(), load.bytes))
      .and_then([&] { return add(out.pack, pack(same, digesting::on)); })
      .and_then([&] { return add(out.undigested, pack(same, digesting::off)); })
      .and_then(
        [&] { return add(out.convert, pack(narrowing, digesting::on)); });
  });
  if (!done)
    return fail(done.error());
  return out;
}

// -- offload -------------------------------------------------------------------

result<offload_figures> measure_offload(gpu& on, const sync_load& load,
                                        std::size_t rounds) {
  auto tensors = on.make_tensors(load);
  if (!tensors)
    return fail(tensors.error());
  auto pinned = comm::cuda::pinned_memory::allocate(on.runtime(), load.bytes());
  auto line = comm::cuda::stream::create(on.runtime(), on.number());
  if (!pinned || !line)
    return fail(!pinned ? pinned.error() : line.error());
  auto expected = on.fill(*tensors, seed);
  if (!expected)
    return fail(expected.error());
  auto there = tensors->bytes();
  auto here = pinned->bytes();
  auto each_tensor = [&](auto copy) -> result<double> {
    result<void> done;
    auto seconds = seconds_of([&] {
      auto view = line->view();
      for (const auto& x : tensors->list) {
        auto* mine = here.data() + (x.memory.data() - there.data());
        done = copy(view, mine, x.memory);
        if (!done)
          return;
      }
      done = line->synchronize(ample());
    });
    if (!done)
      return fail(done.error());
    return seconds;
  };
  auto leave = [](const auto& view, std::byte* mine, auto x) {
    return view.copy(mine, x.data(), x.size());
  };
  auto come_back = [](const auto& view, std::byte* mine, auto x) {
    return view.copy(x.data(), mine, x.size());
  };
  offload_figures out;
  auto done = each_round(rounds, [&](auto add) {
    return add(out.copy_out,
               on.timed_copy(here.data(), there.data(), there.size()))
      .and_then([&] {
        std::memset(here.data(), 0, here.size());
        return add(out.out, each_tensor(leave));
      })
      .and_then([&] { return on.clear(there); })
      .and_then([&] {
        return add(out.copy_in,
                   on.timed_copy(there.data(), here.data(), there.size()));
      })
      .and_then([&] { return on.clear(there); })
      .and_then([&] { return add(out.in, each_tensor(come_back)); })
      .and_then([&] { return on.check(*tensors, *expected); });
  });
  if (!done)
    return fail(done.error());
  return out;
}

} // namespace troupe::bench
