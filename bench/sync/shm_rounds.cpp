// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/rounds.hpp"
#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/comm/transfer/executor.hpp"

namespace troupe::bench {

namespace {

using namespace comm::transfer;
using executor_ptr = std::unique_ptr<executor>;
using arena_ptr = std::shared_ptr<comm::shm::arena>;

constexpr unsigned seed = 1;

/// This end's executor over its socket.
result<executor_ptr> make_end(const two_processes& with, const sync_load& load,
                              const sync_tensors& tensors,
                              const arena_ptr& home,
                              std::pair<int, int> sockets, bool digests) {
  executor_options options;
  options.digests = digests;
  if (with.self() == sync_end::source) {
    std::vector<arena_ptr> arenas;
    if (home)
      arenas.push_back(home);
    auto line = comm::shm::make_sender(sockets.first, std::move(arenas));
    if (!line)
      return fail(line.error());
    return executor::make(load.sends(link_kind::shm), tensors.list, {*line}, {},
                          options);
  }
  auto line = comm::shm::make_receiver(sockets.second);
  if (!line)
    return fail(line.error());
  return executor::make(load.receives(link_kind::shm), tensors.list, {},
                        {*line}, options);
}

result<void> add(seconds_list& to, const result<double>& seconds) {
  if (!seconds)
    return fail(seconds.error());
  to.push_back(*seconds);
  return {};
}

/// The source's tensors in an arena, if there is one.
result<sync_tensors> make_own(const two_processes& with, const sync_load& load,
                              const arena_ptr& home) {
  if (!home)
    return make_tensors(load, with.self() == sync_end::source ? seed : 0, heap);
  return make_tensors(load, seed,
                      [&](std::size_t size) { return home->allocate(size); });
}

result<void> check(const sync_tensors& tensors, const sync_tensors& reference) {
  if (!same_bytes(tensors, reference))
    return fail(errc::corrupt, "a sync did not copy what it should");
  return {};
}

} // namespace

result<arena_figures> measure_arena(const two_processes& with, bare_gloo& bare,
                                    const sync_load& load,
                                    std::pair<int, int> digested,
                                    std::pair<int, int> undigested,
                                    std::size_t rounds) {
  auto sends = with.self() == sync_end::source;
  arena_ptr home;
  if (sends) {
    auto made = comm::shm::arena::create(
      load.bytes() + load.sizes().size() * buffer::alignment);
    if (!made)
      return fail(made.error());
    home = *made;
  }
  auto tensors = make_own(with, load, home);
  auto reference = sends ? result<sync_tensors>{sync_tensors{}}
                         : make_tensors(load, seed, heap);
  if (!tensors || !reference)
    return fail(!tensors ? tensors.error() : reference.error());
  arena_figures out;
  if (auto met = with.exchange({}, ample()); !met)
    return fail(met.error());
  executor_ptr first;
  result<void> done;
  out.first = seconds_of([&] {
    auto made = make_end(with, load, *tensors, home, digested, true);
    if (!made) {
      done = fail(made.error());
      return;
    }
    first = std::move(*made);
    out.warm_up = seconds_of(
      [&] { done = first->warm_up(run_mode::in_place, ample()); });
    if (done)
      done = first->run({}, ample());
  });
  if (!done)
    return fail(done.error());
  auto second = make_end(with, load, *tensors, home, undigested, false);
  if (!second)
    return fail(second.error());
  if (auto warm = (*second)->warm_up(run_mode::in_place, ample()); !warm)
    return fail(warm.error());
  for (std::size_t i = 0; i <= rounds; ++i) {
    if (!sends)
      out.memcpy.push_back(seconds_of_memcpy(*tensors, *reference));
    done = add(out.arena, timed_run(with, *first, run_mode::in_place));
    if (done)
      done = add(out.undigested, timed_run(with, **second, run_mode::in_place));
    if (done && !sends)
      done = check(*tensors, *reference);
    if (done)
      done = add(out.broadcast, bare.broadcast(*tensors));
    if (!done)
      return fail(done.error());
    // The first of each is for caches and page tables.
    if (i == 0)
      for (auto* x : {&out.memcpy, &out.arena, &out.undigested, &out.broadcast})
        x->clear();
  }
  return out;
}

result<packed_figures> measure_packed(const two_processes& with,
                                      const sync_load& load,
                                      std::pair<int, int> sockets,
                                      std::size_t rounds) {
  auto sends = with.self() == sync_end::source;
  auto tensors = make_own(with, load, nullptr);
  if (!tensors)
    return fail(tensors.error());
  packed_figures out;
  if (auto met = with.exchange({}, ample()); !met)
    return fail(met.error());
  executor_ptr line;
  result<void> done;
  out.first = seconds_of([&] {
    auto made = make_end(with, load, *tensors, nullptr, sockets, true);
    if (made)
      line = std::move(*made);
    done = made ? line->run({}, ample()) : result<void>{fail(made.error())};
  });
  if (!done)
    return fail(done.error());
  for (std::size_t i = 0; i < rounds; ++i)
    if (auto timed = add(out.in_place,
                         timed_run(with, *line, run_mode::in_place));
        !timed)
      return fail(timed.error());
  if (auto warm = line->warm_up(run_mode::staged, ample()); !warm)
    return fail(warm.error());
  for (std::size_t i = 0; i < rounds; ++i) {
    if (auto timed = add(out.staged, timed_run(with, *line, run_mode::staged));
        !timed)
      return fail(timed.error());
    if (sends)
      continue;
    result<void> committed;
    out.commit.push_back(seconds_of([&] { committed = line->commit(); }));
    if (!committed)
      return fail(committed.error());
  }
  return out;
}

} // namespace troupe::bench
