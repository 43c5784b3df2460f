// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "troupe/comm/cuda/copy_launch.hpp"
#include "troupe/comm/cuda/element_bits.hpp"

// What the threads of a block do with a tile. The kernel (copy_kernels.cu) and
// the tests, which run it thread by thread on the CPU, compile the same text.
// It touches tensors through `Memory` alone:
//
//   T load<T>(const std::byte*)          one of 1, 2, 4 or 8 bytes, aligned
//   vector load_vector(const std::byte*) 16 bytes, aligned
//   void store(std::byte*, T)            likewise
//   void store_vector(std::byte*, vector)

namespace troupe::comm::cuda::kernel {

/// Independent loads of a thread: what hides the memory's latency.
inline constexpr unsigned items_at_once = 4;

/// Of one type everywhere: an item is 16 bytes. Else it is four elements,
/// which make whole words of the digest in any type that converts.
inline constexpr unsigned plain_bytes = 16;
inline constexpr unsigned converted_elements = 4;

struct vector {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
};

// -- digest --------------------------------------------------------------------

inline constexpr std::uint64_t weyl = 0x9E3779B97F4A7C15u;

/// What one thread has digested.
struct sums {
  std::uint64_t products = 0;
  std::uint64_t words = 0;
};

/// `x` of word 0 (core/digest.hpp).
TROUPE_HOST_DEVICE constexpr std::uint64_t
digest_start(std::uint64_t key) noexcept {
  auto z = key + weyl;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

TROUPE_HOST_DEVICE inline void take(sums& sum, std::uint64_t x,
                                    std::uint64_t word) noexcept {
  auto low_of = [](std::uint64_t y) { return static_cast<std::uint32_t>(y); };
  auto high_of = [](std::uint64_t y) {
    return static_cast<std::uint32_t>(y >> 32);
  };
  auto key = x + static_cast<std::uint64_t>(low_of(x)) * high_of(x);
  auto low = low_of(word) + low_of(key);
  auto high = high_of(word) + high_of(key);
  sum.products += static_cast<std::uint64_t>(low) * high;
  sum.words += word;
}

// -- addresses -----------------------------------------------------------------

TROUPE_HOST_DEVICE inline std::uint64_t divide(std::uint64_t x,
                                               const divider& by) noexcept {
  if (by.magic == 0)
    return x;
#ifdef __CUDA_ARCH__
  return __umul64hi(x, by.magic) >> by.shift;
#else
  __extension__ using wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<wide>(x) * by.magic) >> 64)
         >> by.shift;
#endif
}

/// One side of a part. What only strided regions need stays in the tables, near
/// enough, and leaves the registers to the elements.
struct side {
  /// Of a region of one run, the part's first byte.
  std::byte* first;
  const device_region* region;
  const copy_launch* launch;
  bool strided;
  unsigned unit;
};

/// Where a byte stands, and how many follow it.
struct place {
  std::byte* at;
  std::uint64_t left;
};

TROUPE_HOST_DEVICE inline side side_of(const copy_launch& launch,
                                       const device_region& x) noexcept {
  auto strided = x.loops > 0;
  auto* first = strided ? x.first : x.first + x.skip * bytes_of(x.type);
  return {first, &x, &launch, strided, x.unit};
}

/// In a region of several runs.
TROUPE_HOST_DEVICE inline place seek(const side& what,
                                     std::uint64_t position) noexcept {
  const auto& x = *what.region;
  auto size = bytes_of(x.type);
  auto run_bytes = x.run_elements * size;
  position += x.skip * size;
  auto run = divide(position, x.run);
  auto inside = position - run * run_bytes;
  const auto* loops = what.launch->loops + x.loops_begin;
  const auto* dividers = what.launch->dividers + x.loops_begin;
  auto* at = what.first + inside;
  TROUPE_NO_UNROLL
  for (unsigned d = x.loops - 1u; d > 0; --d) {
    auto outer = divide(run, dividers[d]);
    at += (run - outer * loops[d].count) * loops[d].stride_bytes;
    run = outer;
  }
  return {at + run * loops[0].stride_bytes, run_bytes - inside};
}

/// In any.
TROUPE_HOST_DEVICE inline std::byte* address(const side& what,
                                             std::uint64_t position) noexcept {
  return what.strided ? seek(what, position).at : what.first + position;
}

/// `items_at_once` items, the words of each; how many words depends on the
/// type. The compiler keeps them in registers: all indices are constants.
template <unsigned Words>
using batch = std::uint64_t[items_at_once][Words];

/// The items of a thread: every `step` bytes from `first` on, before `end`.
struct stripe {
  std::uint64_t first;
  std::uint64_t step;
  std::uint64_t end;

  [[nodiscard]] TROUPE_HOST_DEVICE std::uint64_t
  operator[](unsigned index) const noexcept {
    return first + index * step;
  }
};

/// Calls `f` with each item's number and position.
template <class F>
TROUPE_HOST_DEVICE inline void for_each_item(const stripe& where,
                                             F f) noexcept {
  TROUPE_UNROLL
  for (unsigned k = 0; k < items_at_once; ++k)
    if (where[k] < where.end)
      f(k, where[k]);
}

// -- pieces --------------------------------------------------------------------

// An item is loaded and stored in pieces of 16, 8 or, seldom, fewer bytes.

template <class Memory>
TROUPE_HOST_DEVICE inline std::uint64_t
load_piece(const std::byte* from, unsigned bytes, Memory& memory) noexcept {
  switch (bytes) {
    case 1: return memory.template load<std::uint8_t>(from);
    case 2: return memory.template load<std::uint16_t>(from);
    case 4: return memory.template load<std::uint32_t>(from);
    default: return memory.template load<std::uint64_t>(from);
  }
}

template <class Memory>
TROUPE_HOST_DEVICE inline void store_piece(std::byte* to, std::uint64_t value,
                                           unsigned bytes,
                                           Memory& memory) noexcept {
  switch (bytes) {
    case 1: memory.store(to, static_cast<std::uint8_t>(value)); return;
    case 2: memory.store(to, static_cast<std::uint16_t>(value)); return;
    case 4: memory.store(to, static_cast<std::uint32_t>(value)); return;
    default: memory.store(to, value);
  }
}

/// Loads pieces of `Unit` bytes.
template <unsigned Unit, class Memory>
struct loader {
  static_assert(Unit == 16 || Unit == 8);

  Memory& memory;

  TROUPE_HOST_DEVICE void operator()(const std::byte* at,
                                     std::uint64_t* words) const noexcept {
    if constexpr (Unit == 16) {
      auto x = memory.load_vector(at);
      words[0] = x.low;
      words[1] = x.high;
    } else {
      words[0] = memory.template load<std::uint64_t>(at);
    }
  }
};

/// Stores them.
template <unsigned Unit, class Memory>
struct storer {
  static_assert(Unit == 16 || Unit == 8);

  Memory& memory;

  TROUPE_HOST_DEVICE void
  operator()(std::byte* at, const std::uint64_t* words) const noexcept {
    if constexpr (Unit == 16)
      memory.store_vector(at, {words[0], words[1]});
    else
      memory.store(at, words[0]);
  }
};

/// Gives each piece of the items of `items` to `move`, a loader or storer.
template <unsigned Bytes, unsigned Unit, class Batch, class Move>
TROUPE_HOST_DEVICE inline void move_items(Batch& items, const side& what,
                                          const stripe& where,
                                          const Move& move) noexcept {
  if (!what.strided) {
    for_each_item(where, [&](unsigned k, std::uint64_t position) {
      auto* at = what.first + position;
      TROUPE_UNROLL
      for (unsigned done = 0; done < Bytes; done += Unit)
        move(at + done, items[k] + done / 8);
    });
    return;
  }
  for_each_item(where, [&](unsigned k, std::uint64_t position) {
    place at{};
    TROUPE_UNROLL
    for (unsigned done = 0; done < Bytes; done += Unit) {
      if (done == 0 || at.left == 0)
        at = seek(what, position + done);
      move(at.at, items[k] + done / 8);
      at.at += Unit;
      at.left -= Unit;
    }
  });
}

/// Walks through the bytes of a word in pieces of less than a word, each of
/// which may begin a run. Slow, but only odd lengths and tensors that begin at
/// odd places come here.
template <class F>
TROUPE_HOST_DEVICE inline void for_each_piece(const side& what, place& at,
                                              std::uint64_t position,
                                              F f) noexcept {
  TROUPE_NO_UNROLL
  for (unsigned j = 0; j < 8; j += what.unit) {
    if (at.left == 0)
      at = what.strided ? seek(what, position + j)
                        : place{what.first + position + j, ~std::uint64_t{0}};
    f(at.at, 8 * j);
    at.at += what.unit;
    at.left -= what.unit;
  }
}

template <unsigned Bytes, unsigned Words, class Memory>
TROUPE_HOST_DEVICE inline void load(batch<Words>& into, const side& what,
                                    const stripe& where,
                                    Memory& memory) noexcept {
  static_assert(Bytes <= Words * 8);
  if constexpr (Bytes >= 16) {
    if (what.unit == 16) {
      move_items<Bytes, 16>(into, what, where, loader<16, Memory>{memory});
      return;
    }
  }
  if (what.unit >= 8) {
    move_items<Bytes, 8>(into, what, where, loader<8, Memory>{memory});
    return;
  }
  for_each_item(where, [&](unsigned k, std::uint64_t position) {
    place at{};
    TROUPE_UNROLL
    for (unsigned i = 0; i < Bytes / 8; ++i) {
      std::uint64_t word = 0;
      for_each_piece(what, at, position + 8 * i,
                     [&](const std::byte* from, unsigned bit) {
                       word |= load_piece(from, what.unit, memory) << bit;
                     });
      into[k][i] = word;
    }
  });
}

template <unsigned Bytes, unsigned Words, class Memory>
TROUPE_HOST_DEVICE inline void store(const batch<Words>& from, const side& what,
                                     const stripe& where,
                                     Memory& memory) noexcept {
  static_assert(Bytes <= Words * 8);
  if constexpr (Bytes >= 16) {
    if (what.unit == 16) {
      move_items<Bytes, 16>(from, what, where, storer<16, Memory>{memory});
      return;
    }
  }
  if (what.unit >= 8) {
    move_items<Bytes, 8>(from, what, where, storer<8, Memory>{memory});
    return;
  }
  for_each_item(where, [&](unsigned k, std::uint64_t position) {
    place at{};
    TROUPE_UNROLL
    for (unsigned i = 0; i < Bytes / 8; ++i)
      for_each_piece(what, at, position + 8 * i,
                     [&](std::byte* to, unsigned bit) {
                       store_piece(to, from[k][i] >> bit, what.unit, memory);
                     });
  });
}

// -- a tile --------------------------------------------------------------------

/// The elements of one tile, as all its threads see them.
struct tile_view {
  side to;
  side from;
  dtype to_type;
  dtype from_type;
  dtype wire_type;
  bool writes;
  bool digests;
  /// `x` of the part's first word.
  std::uint64_t start;
  /// In the part.
  std::uint64_t first;
  std::uint32_t count;
};

/// Digests what a thread has of the wire's form; `Words` of each item.
template <unsigned Words, unsigned Room>
TROUPE_HOST_DEVICE inline void take_items(sums& sum, const batch<Room>& items,
                                          const stripe& where,
                                          std::uint64_t start) noexcept {
  for_each_item(where, [&](unsigned k, std::uint64_t position) {
    auto x = start + position / 8 * weyl;
    TROUPE_UNROLL
    for (unsigned i = 0; i < Words; ++i)
      take(sum, x + i * weyl, items[k][i]);
  });
}

/// Elements [begin, count) of the tile, one by one: less than an item.
template <class Memory>
TROUPE_HOST_DEVICE inline void rest_of_tile(const tile_view& tile,
                                            std::uint32_t begin, sums& sum,
                                            Memory& memory) noexcept {
  auto from_bytes = bytes_of(tile.from_type);
  auto wire_bytes = bytes_of(tile.wire_type);
  auto to_bytes = bytes_of(tile.to_type);
  auto x = tile.start + (tile.first + begin) * wire_bytes / 8 * weyl;
  std::uint64_t word = 0;
  unsigned filled = 0;
  TROUPE_NO_UNROLL
  for (auto i = begin; i < tile.count; ++i) {
    std::uint64_t element = 0;
    auto step = tile.from.unit < from_bytes ? tile.from.unit : from_bytes;
    TROUPE_NO_UNROLL
    for (unsigned j = 0; j < from_bytes; j += step)
      element |= load_piece(address(tile.from,
                                    (tile.first + i) * from_bytes + j),
                            step, memory)
                 << (8 * j);
    element = convert_element(element, tile.from_type, tile.wire_type);
    word |= element << (8 * filled);
    filled += wire_bytes;
    if (tile.digests && (filled == 8 || i + 1 == tile.count)) {
      take(sum, x, word);
      x += weyl;
    }
    if (filled == 8)
      word = filled = 0;
    if (!tile.writes)
      continue;
    element = convert_element(element, tile.wire_type, tile.to_type);
    step = tile.to.unit < to_bytes ? tile.to.unit : to_bytes;
    TROUPE_NO_UNROLL
    for (unsigned j = 0; j < to_bytes; j += step)
      store_piece(address(tile.to, (tile.first + i) * to_bytes + j),
                  element >> (8 * j), step, memory);
  }
}

/// One type everywhere.
template <class Memory>
TROUPE_HOST_DEVICE inline void plain_tile(const tile_view& tile,
                                          unsigned thread, unsigned threads,
                                          sums& sum, Memory& memory) noexcept {
  auto size = bytes_of(tile.from_type);
  auto begin = tile.first * size;
  auto items = tile.count * size / plain_bytes;
  stripe mine{begin + thread * plain_bytes,
              std::uint64_t{threads} * plain_bytes,
              begin + std::uint64_t{items} * plain_bytes};
  for (; mine.first < mine.end; mine.first += items_at_once * mine.step) {
    batch<2> all;
    load<plain_bytes>(all, tile.from, mine, memory);
    if (tile.digests)
      take_items<2>(sum, all, mine, tile.start);
    if (tile.writes)
      store<plain_bytes>(all, tile.to, mine, memory);
  }
  if (thread == items % threads)
    rest_of_tile(tile, items * plain_bytes / size, sum, memory);
}

/// The stripe in bytes of a type.
TROUPE_HOST_DEVICE inline stripe scaled(const stripe& elements,
                                        unsigned size) noexcept {
  return {elements.first * size, elements.step * size, elements.end * size};
}

template <class Memory>
TROUPE_HOST_DEVICE inline void load_elements(batch<4>& into, const side& what,
                                             dtype type, const stripe& elements,
                                             Memory& memory) noexcept {
  auto where = scaled(elements, bytes_of(type));
  switch (bytes_of(type)) {
    case 2: load<8>(into, what, where, memory); return;
    case 4: load<16>(into, what, where, memory); return;
    default: load<32>(into, what, where, memory);
  }
}

template <class Memory>
TROUPE_HOST_DEVICE inline void
store_elements(const batch<4>& from, const side& what, dtype type,
               const stripe& elements, Memory& memory) noexcept {
  auto where = scaled(elements, bytes_of(type));
  switch (bytes_of(type)) {
    case 2: store<8>(from, what, where, memory); return;
    case 4: store<16>(from, what, where, memory); return;
    default: store<32>(from, what, where, memory);
  }
}

TROUPE_HOST_DEVICE inline void take_elements(sums& sum, const batch<4>& items,
                                             dtype type, const stripe& elements,
                                             std::uint64_t start) noexcept {
  auto where = scaled(elements, bytes_of(type));
  switch (bytes_of(type)) {
    case 2: take_items<1>(sum, items, where, start); return;
    case 4: take_items<2>(sum, items, where, start); return;
    default: take_items<4>(sum, items, where, start);
  }
}

/// Types differ somewhere.
template <class Memory>
TROUPE_HOST_DEVICE inline void
converted_tile(const tile_view& tile, unsigned thread, unsigned threads,
               sums& sum, Memory& memory) noexcept {
  auto whole = tile.count / converted_elements * converted_elements;
  stripe mine{tile.first + thread * converted_elements,
              std::uint64_t{threads} * converted_elements, tile.first + whole};
  for (; mine.first < mine.end; mine.first += items_at_once * mine.step) {
    batch<4> all = {};
    load_elements(all, tile.from, tile.from_type, mine, memory);
    convert_items(all, tile.from_type, tile.wire_type);
    if (tile.digests)
      take_elements(sum, all, tile.wire_type, mine, tile.start);
    if (!tile.writes)
      continue;
    convert_items(all, tile.wire_type, tile.to_type);
    store_elements(all, tile.to, tile.to_type, mine, memory);
  }
  if (thread == whole / converted_elements % threads)
    rest_of_tile(tile, whole, sum, memory);
}

/// What thread `thread` of `threads` does with tile `number` of a launch, which
/// lies in `part`. `Converts` may be false only if `launch.converts` is.
template <bool Converts, class Memory>
TROUPE_HOST_DEVICE inline void
tile(const copy_launch& launch, const device_part& part, std::uint64_t number,
     unsigned thread, unsigned threads, sums& sum, Memory& memory) noexcept {
  auto first = (number - part.first_tile) * tile_elements;
  auto left = part.elements - first;
  auto count = static_cast<std::uint32_t>(left < tile_elements ? left
                                                               : tile_elements);
  tile_view view{side_of(launch, part.to),
                 side_of(launch, part.from),
                 launch.writes ? part.to.type : launch.wire_type,
                 part.from.type,
                 launch.wire_type,
                 launch.writes,
                 launch.sums != nullptr,
                 part.digest_start,
                 first,
                 count};
  if constexpr (Converts) {
    if (view.from_type != view.wire_type || view.to_type != view.wire_type) {
      converted_tile(view, thread, threads, sum, memory);
      return;
    }
  }
  plain_tile(view, thread, threads, sum, memory);
}

/// The part that a tile lies in.
TROUPE_HOST_DEVICE inline std::uint32_t part_of(const copy_launch& launch,
                                                std::uint64_t tile) noexcept {
  std::uint32_t low = 0;
  auto high = launch.part_count;
  while (high - low > 1) {
    auto middle = low + (high - low) / 2;
    if (launch.parts[middle].first_tile <= tile)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/// What one thread of a block does in a launch of `blocks` blocks. A block
/// takes tiles that follow each other, so that it looks for its first part
/// alone: a bucket of many small tensors would else be mostly searches.
///
/// What was digested goes to `add_up(const sums&, digest*)`, which all threads of
/// a block call equally often, with the same target.
template <bool Converts, class Memory, class Add>
TROUPE_HOST_DEVICE inline void
run_thread(const copy_launch& launch, unsigned block, unsigned blocks,
           unsigned thread, unsigned threads, Memory& memory,
           const Add& add_up) noexcept {
  auto each = launch.tiles / blocks;
  auto more = launch.tiles % blocks;
  auto begin = block * each + (block < more ? block : more);
  auto end = begin + each + (block < more ? 1 : 0);
  if (begin == end)
    return;
  auto part = part_of(launch, begin);
  auto target = launch.parts[part].sum;
  sums sum;
  for (auto number = begin; number < end; ++number) {
    while (part + 1 < launch.part_count
           && launch.parts[part + 1].first_tile <= number)
      ++part;
    if (launch.sums != nullptr && launch.parts[part].sum != target) {
      add_up(sum, launch.sums + target);
      sum = {};
      target = launch.parts[part].sum;
    }
    tile<Converts>(launch, launch.parts[part], number, thread, threads, sum,
                   memory);
  }
  if (launch.sums != nullptr)
    add_up(sum, launch.sums + target);
}

} // namespace troupe::comm::cuda::kernel
