// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/kernels.hpp"

#include <algorithm>
#include <array>

#include "troupe/comm/transfer/convert.hpp"

namespace troupe::comm::transfer {

namespace {

/// Elements that go through the scratch at once: with three types of eight
/// bytes still within a first-level cache. A multiple of 8, so that every
/// block's digest begins with a whole word.
constexpr std::size_t block_elements = 1024;
constexpr std::size_t block_bytes = block_elements * 8;

/// Runs shorter than this are gathered first: to begin and end a digest costs
/// about as much as so many bytes of it.
constexpr std::size_t direct_run_bytes_min = 512;

using scratch = std::array<std::byte, block_bytes>;

struct keyed {
  std::uint64_t key;
  digesting digests;

  digest copy(std::byte* to, const std::byte* from, std::size_t bytes,
              std::uint64_t position) const noexcept {
    if (digests == digesting::on)
      return copy_and_digest(to, {from, bytes}, key, position);
    std::memcpy(to, from, bytes);
    return {};
  }

  digest look(const std::byte* at, std::size_t bytes,
              std::uint64_t position) const noexcept {
    return digests == digesting::on ? digest_of({at, bytes}, key, position)
                                    : digest{};
  }
};

template <class Byte>
bool long_runs(const basic_region<Byte>& x) {
  return x.contiguous()
         || (x.run_bytes() >= direct_run_bytes_min && x.run_bytes() % 8 == 0);
}

/// One type everywhere, and runs that a digest can follow.
digest copy_runs(const writable_region& to, const region& from,
                 const keyed& by) {
  region_cursor<std::byte> out{to};
  region_cursor<const std::byte> in{from};
  digest sum;
  auto all = from.bytes();
  for (std::size_t done = 0; done < all;) {
    auto step = std::min(in.contiguous(), out.contiguous());
    sum += by.copy(out.data(), in.data(), step, done);
    in.advance(step);
    out.advance(step);
    done += step;
  }
  return sum;
}

/// One type everywhere, short runs: through a scratch that stays in the cache.
digest copy_blocks(const writable_region& to, const region& from,
                   const keyed& by) {
  region_cursor<std::byte> out{to};
  region_cursor<const std::byte> in{from};
  scratch block;
  digest sum;
  auto all = from.bytes();
  for (std::size_t done = 0; done < all;) {
    auto step = std::min(block_bytes, all - done);
    // What is written must be what is digested, and `from` may be somebody
    // else's memory: it is read once.
    auto* stop = to.contiguous() ? out.data() : block.data();
    if (from.contiguous()) {
      sum += by.copy(stop, in.data(), step, done);
      in.advance(step);
    } else {
      gather(stop, in, step);
      sum += by.look(stop, step, done);
    }
    if (to.contiguous())
      out.advance(step);
    else
      scatter(out, stop, step);
    done += step;
  }
  return sum;
}

/// Gives `f(wire bytes, index of the first element, count)` the wire form of
/// `from`, block by block.
template <class F>
void for_each_block(const region& from, dtype wire_type, F f) {
  region_cursor<const std::byte> in{from};
  scratch raw;
  scratch wire;
  for (std::uint64_t done = 0; done < from.elements;) {
    auto count = static_cast<std::size_t>(
      std::min<std::uint64_t>(block_elements, from.elements - done));
    gather(raw.data(), in, count * size_of(from.type));
    auto* at = raw.data();
    if (from.type != wire_type) {
      convert(wire.data(), wire_type, raw.data(), from.type, count);
      at = wire.data();
    }
    if (!f(at, done, count))
      return;
    done += count;
  }
}

digest copy_converted(const writable_region& to, const region& from,
                      dtype wire_type, const keyed& by) {
  region_cursor<std::byte> out{to};
  scratch local;
  digest sum;
  for_each_block(from, wire_type,
                 [&](const std::byte* wire, std::uint64_t first,
                     std::size_t count) {
                   sum += by.look(wire, count * size_of(wire_type),
                                  first * size_of(wire_type));
                   auto* stop = to.contiguous() ? out.data() : local.data();
                   auto bytes = count * size_of(to.type);
                   convert(stop, to.type, wire, wire_type, count);
                   if (to.contiguous())
                     out.advance(bytes);
                   else
                     scatter(out, stop, bytes);
                   return true;
                 });
  return sum;
}

} // namespace

digest copy_region(const writable_region& to, const region& from,
                   dtype wire_type, std::uint64_t key, digesting digests) {
  keyed by{key, digests};
  if (from.elements == 0)
    return {};
  if (from.type != wire_type || to.type != wire_type)
    return copy_converted(to, from, wire_type, by);
  if (long_runs(from) && long_runs(to))
    return copy_runs(to, from, by);
  return copy_blocks(to, from, by);
}

digest digest_region(const region& from, dtype wire_type, std::uint64_t key) {
  keyed by{key, digesting::on};
  digest sum;
  if (from.elements == 0)
    return sum;
  if (from.type == wire_type && long_runs(from)) {
    region_cursor<const std::byte> in{from};
    auto all = from.bytes();
    for (std::size_t done = 0; done < all;) {
      auto step = in.contiguous();
      sum += by.look(in.data(), step, done);
      in.advance(step);
      done += step;
    }
    return sum;
  }
  for_each_block(from, wire_type,
                 [&](const std::byte* wire, std::uint64_t first,
                     std::size_t count) {
                   sum += by.look(wire, count * size_of(wire_type),
                                  first * size_of(wire_type));
                   return true;
                 });
  return sum;
}

std::optional<region_difference>
first_difference(dtype type, std::span<const std::byte> here,
                 std::span<const std::byte> there, std::uint64_t first) {
  // Of nothing there may be no address, which memcmp must not be given.
  if (here.empty() || std::memcmp(here.data(), there.data(), here.size()) == 0)
    return std::nullopt;
  auto [a, b] = std::mismatch(here.begin(), here.end(), there.begin());
  auto size = size_of(type);
  auto at = static_cast<std::size_t>(a - here.begin()) / size;
  return region_difference{first + at,
                           element_text(type, here.data() + at * size),
                           element_text(type, there.data() + at * size)};
}

std::optional<region_difference>
compare_region(const region& here, const region& there, dtype wire_type,
               std::uint64_t key, digesting digests, digest& sum) {
  keyed by{key, digests};
  std::optional<region_difference> found;
  if (here.elements == 0)
    return found;
  region_cursor<const std::byte> in{here};
  scratch mine;
  scratch theirs;
  auto size = size_of(here.type);
  for_each_block(there, wire_type,
                 [&](const std::byte* wire, std::uint64_t first,
                     std::size_t count) {
                   sum += by.look(wire, count * size_of(wire_type),
                                  first * size_of(wire_type));
                   if (found)
                     return true;
                   auto bytes = count * size;
                   gather(mine.data(), in, bytes);
                   convert(theirs.data(), here.type, wire, wire_type, count);
                   found = first_difference(here.type, {mine.data(), bytes},
                                            {theirs.data(), bytes}, first);
                   if (!found)
                     return true;
                   return digests == digesting::on;
                 });
  return found;
}

} // namespace troupe::comm::transfer
