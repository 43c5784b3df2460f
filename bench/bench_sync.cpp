// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include "troupe/bench/support/bench_main.hpp"
#include "troupe/bench/sync/cuda_run.hpp"
#include "troupe/bench/sync/rounds.hpp"
#include "troupe/bench/transfer_plan_figures.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/core/units.hpp"

// Weight syncs of one channel beside the bare means they are made of, and what
// their plans cost.

namespace {

using namespace troupe;
using namespace troupe::bench;

constexpr std::size_t bucket_bytes = std::size_t{8} << 20;

struct extent {
  std::size_t bytes;
  std::size_t rounds;
};

extent extent_of(const bench_options& options) {
  return options.quick ? extent{128 * mib, 3} : extent{gib, 15};
}

struct between_processes {
  arena_figures arena;
  packed_figures packed;
  gloo_figures gloo;
};

/// What both processes do, in the same order.
result<between_processes>
measure(const two_processes& with, const sync_load& load, std::size_t rounds,
        const std::vector<std::pair<int, int>>& sockets) {
  between_processes out;
  auto keep = [](auto& to, auto measured) -> result<void> {
    if (!measured)
      return fail(measured.error());
    to = std::move(*measured);
    return {};
  };
  auto bare = bare_gloo::connect(with);
  if (!bare)
    return fail(bare.error());
  auto done = keep(out.arena, measure_arena(with, *bare, load, sockets[0],
                                            sockets[1], rounds));
  if (done)
    done = keep(out.packed, measure_packed(with, load, sockets[2], rounds));
  if (done)
    done = keep(out.gloo, measure_gloo(with, *bare, load, rounds));
  if (!done)
    return fail(done.error());
  return out;
}

void report_shm(bench_report& to, const sync_load& load,
                const between_processes& x) {
  const auto& arena = x.arena;
  to.begin_section(fmt::format("shm: two processes, {} tensors, {}",
                               load.sizes().size(),
                               format_bytes(load.bytes())));
  add_rate(to, "memcpy", load.bytes(), arena.memcpy);
  add_rate(to, "shm", load.bytes(), arena.arena);
  add_ratio(to, "shm_over_memcpy", arena.memcpy, arena.arena, ">= 0.8");
  add_rate(to, "gloo_broadcast", load.bytes(), arena.broadcast);
  add_ratio(to, "shm_over_gloo", arena.broadcast, arena.arena, ">= 3");
  add_rate(to, "shm_undigested", load.bytes(), arena.undigested);
  add_ratio(to, "digest_overhead", arena.arena, arena.undigested, "< 0.1", 1);
  to.add({"shm_first_sync_seconds", arena.first, {}, {}});
  to.add({"shm_warm_up_seconds", arena.warm_up, {}, {}});
  add_rate(to, "shm_packed", load.bytes(), x.packed.in_place);
  add_rate(to, "shm_packed_staged", load.bytes(), x.packed.staged);
  add_rate(to, "staged_commit", load.bytes(), x.packed.commit);
  to.add({"shm_packed_first_sync_seconds", x.packed.first, {}, {}});
  to.note("shm: from an arena, in place, warm; packed: from other memory");
}

void report_gloo(bench_report& to, const sync_load& load,
                 const gloo_figures& x) {
  to.begin_section("gloo: the same tensors over TCP on this machine");
  add_rate(to, "gloo_raw", load.bytes(), x.raw);
  add_rate(to, "gloo_link", load.bytes(), x.link);
  add_ratio(to, "gloo_over_raw", x.raw, x.link, ">= 0.9");
  to.add({"gloo_first_sync_seconds", x.first, {}, {}});
}

void report_inproc(bench_report& to, const sync_load& load,
                   const inproc_figures& x) {
  to.begin_section("inproc: the same tensors between two threads");
  add_rate(to, "inproc_memcpy", load.bytes(), x.memcpy);
  add_rate(to, "inproc", load.bytes(), x.copy);
  add_ratio(to, "inproc_over_memcpy", x.memcpy, x.copy, ">= 0.9");
  to.add({"inproc_share_us", median(x.share) * 1e6, {}, {}});
  to.add({"inproc_share_eighth_us", median(x.share_eighth) * 1e6, {}, {}});
  to.note("sharing gives out addresses: an eighth of the bytes, the same time");
}

void report_plans(bench_report& to, const transfer_plan_figures& x) {
  to.begin_section("plans: reshard, PP8 x EP32 -> EP128, 60,000 tensors");
  to.add({"plan_seconds", x.plan_seconds, {}, "< 1"});
  to.add({"plan_megabytes", x.plan_megabytes, {}, "< 500"});
  to.add({"plan_exponent", x.plan_exponent, {}, {}});
  to.add({"dense_plan_seconds", x.dense_plan_seconds, {}, {}});
  for (auto [tensors, seconds] : x.plan_samples)
    to.note(fmt::format("{} tensors: {:.3f} s", tensors, seconds));
  to.note(fmt::format("60,000 tensors are {} transfers of {}", x.plan_transfers,
                      format_bytes(x.plan_bytes)));
  to.note("dense: 126 layers, TP8 x PP32 -> TP8 x DP16");
}

result<void> run(const bench_options& options, bench_report& report) {
  if (options.gpu) {
    cuda_plan plan;
    plan.number = *options.gpu;
    if (options.quick) {
      plan.bytes = gib;
      plan.nccl_bytes = 128 * mib;
      plan.rounds = 11;
    }
    return run_cuda(plan, report);
  }
  // First: what it measures of memory is then its own.
  auto plans = measure_transfer_plans(options.quick);
  if (!plans)
    return fail(plans.error());
  auto size = extent_of(options);
  sync_load load{size.bytes, bucket_bytes};
  sync_load eighth{size.bytes / 8, bucket_bytes};
  std::vector<std::pair<int, int>> sockets;
  for (int i = 0; i < 3; ++i) {
    auto made = comm::shm::make_sockets();
    if (!made)
      return fail(made.error());
    sockets.push_back(*made);
  }
  // Only with our copy of the other's end closed does a dead end hang up.
  auto processes = two_processes::fork([&](two_processes& source) {
    for (const auto& x : sockets)
      ::close(x.second);
    auto done = measure(source, load, size.rounds, sockets);
    return done ? result<void>{} : result<void>{fail(done.error())};
  });
  if (!processes)
    return fail(processes.error());
  for (const auto& x : sockets)
    ::close(x.first);
  auto pair = measure(*processes, load, size.rounds, sockets);
  if (!pair)
    return fail(pair.error());
  auto inside = measure_inproc(load, eighth, size.rounds);
  if (!inside)
    return fail(inside.error());
  report_shm(report, load, *pair);
  report_gloo(report, load, pair->gloo);
  report_inproc(report, load, *inside);
  report_plans(report, *plans);
  return {};
}

} // namespace

int main(int argc, char** argv) {
  return bench_main(argc, argv,
                    {"bench_sync",
                     "Weight syncs beside memcpy and bare Gloo: shm, gloo, "
                     "inproc, digests, plans",
                     {},
                     "Instead: the syncs of a GPU beside bare copies and bare "
                     "NCCL"},
                    run);
}
