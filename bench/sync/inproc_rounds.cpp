// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/inproc_pair.hpp"
#include "troupe/bench/sync/rounds.hpp"
#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/transfer/executor.hpp"

namespace troupe::bench {

using namespace comm::transfer;

result<inproc_figures> measure_inproc(const sync_load& load,
                                      const sync_load& eighth,
                                      std::size_t rounds) {
  auto from = make_tensors(load, 1, heap);
  auto to = make_tensors(load, 0, heap);
  if (!from || !to)
    return fail(!from ? from.error() : to.error());
  inproc_figures out;
  auto copies = inproc_pair::make(load, link_kind::inproc, from->list,
                                  to->list);
  if (!copies)
    return fail(copies.error());
  for (std::size_t i = 0; i <= rounds; ++i) {
    auto bare = seconds_of_memcpy(*to, *from);
    auto copy = (*copies)->run(run_mode::in_place);
    if (!copy)
      return fail(copy.error());
    if (!same_bytes(*to, *from))
      return fail(errc::corrupt, "a sync did not copy what it should");
    // The first of each is for caches and page tables.
    if (i == 0)
      continue;
    out.memcpy.push_back(bare);
    out.copy.push_back(*copy);
  }
  copies->reset();
  // Whole tensors only: one bucket bound that none exceeds.
  auto whole = [](const sync_load& x) {
    return sync_load{x.bytes(), 2 * x.bytes()};
  };
  for (auto* x : {&load, &eighth}) {
    auto size = whole(*x);
    auto a = make_tensors(size, 1, heap);
    auto b = make_tensors(size, 0, heap);
    if (!a || !b)
      return fail(!a ? a.error() : b.error());
    auto shares = inproc_pair::make(size, link_kind::inproc, a->list, b->list);
    if (!shares)
      return fail(shares.error());
    auto& to_list = x == &load ? out.share : out.share_eighth;
    for (std::size_t i = 0; i <= rounds * 10; ++i) {
      auto seconds = (*shares)->run(run_mode::share);
      if (!seconds)
        return fail(seconds.error());
      if (i > 0)
        to_list.push_back(*seconds);
    }
  }
  return out;
}

} // namespace troupe::bench
