// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/bare_nccl.hpp"
#include "troupe/bench/sync/cuda_rounds.hpp"
#include "troupe/bench/sync/each_round.hpp"
#include "troupe/bench/sync/paired_link.hpp"
#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/nccl/endpoint.hpp"

namespace troupe::bench {

namespace {

using namespace comm::transfer;

constexpr unsigned seed = 1;

/// Our end of a link over NCCL.
result<comm::link_ptr> connect(const two_processes& with, gpu& on) {
  comm::nccl::settings config;
  config.device = on.number();
  config.runtime = on.runtime();
  config.library = on.library();
  auto self = comm::nccl::make_endpoint(own_rank(with), 2, config);
  if (!self)
    return fail(self.error());
  return paired_link(with, **self, "nccl");
}

} // namespace

result<nccl_figures> measure_nccl(const two_processes& with, gpu& on,
                                  const sync_load& load, std::size_t rounds) {
  auto sends = with.self() == sync_end::source;
  auto bare = bare_nccl::connect(with, on);
  if (!bare)
    return fail(bare.error());
  auto tensors = on.make_tensors(load);
  if (!tensors)
    return fail(tensors.error());
  // Both: the destination knows so what shall arrive.
  auto expected = on.fill(*tensors, seed);
  if (!expected)
    return fail(expected.error());
  auto line = connect(with, on);
  if (!line)
    return fail(line.error());
  executor_options options;
  options.engines = on.device().engines();
  auto made = sends ? executor::make(load.sends(link_kind::nccl), tensors->list,
                                     {*line}, {}, options)
                    : executor::make(load.receives(link_kind::nccl),
                                     tensors->list, {}, {*line}, options);
  if (!made)
    return fail(made.error());
  auto before = [&]() -> result<void> {
    return sends ? result<void>{} : on.clear(tensors->bytes());
  };
  auto after = [&] { return on.check(*tensors, *expected); };
  nccl_figures out;
  auto first = timed_run(with, **made, run_mode::in_place);
  if (!first)
    return fail(first.error());
  out.first = *first;
  auto done = each_round(rounds, [&](auto add) {
    return before()
      .and_then([&] {
        return add(out.raw, bare->send(tensors->bytes(), load.bucket_bytes()));
      })
      .and_then(after)
      .and_then(before)
      .and_then([&] {
        return add(out.link, timed_run(with, **made, run_mode::in_place));
      })
      .and_then(after);
  });
  if (!done)
    return fail(done.error());
  // Nobody leaves while the other is at work.
  if (auto met = with.exchange({}, ample()); !met)
    return fail(met.error());
  return out;
}

} // namespace troupe::bench
