// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/cuda_rounds.hpp"
#include "troupe/bench/sync/each_round.hpp"
#include "troupe/bench/sync/stopwatch.hpp"

namespace troupe::bench {

namespace {

using namespace comm::transfer;

constexpr unsigned seed = 1;

/// This end's executor over its socket.
result<std::unique_ptr<executor>> make_end(const two_processes& with, gpu& on,
                                           const sync_load& load,
                                           const device_tensors& tensors,
                                           std::pair<int, int> sockets) {
  executor_options options;
  options.engines = on.device().engines();
  if (with.self() == sync_end::source) {
    auto line = on.device().make_sender(sockets.first, {tensors.memory});
    if (!line)
      return fail(line.error());
    return executor::make(load.sends(link_kind::cuda_ipc), tensors.list,
                          {*line}, {}, options);
  }
  auto line = on.device().make_receiver(sockets.second);
  if (!line)
    return fail(line.error());
  return executor::make(load.receives(link_kind::cuda_ipc), tensors.list, {},
                        {*line}, options);
}

} // namespace

result<ipc_figures> measure_ipc(const two_processes& with, gpu& on,
                                const sync_load& load,
                                std::pair<int, int> sockets,
                                std::size_t rounds) {
  auto sends = with.self() == sync_end::source;
  auto tensors = on.make_tensors(load);
  // The destination has what the source has, to copy it within the process.
  auto reference = sends ? tensors : on.make_tensors(load);
  if (!tensors || !reference)
    return fail(!tensors ? tensors.error() : reference.error());
  auto expected = on.fill(*reference, seed);
  if (!expected)
    return fail(expected.error());
  auto source = reference->bytes();
  auto target = tensors->bytes();
  ipc_figures out;
  if (auto met = with.exchange({}, ample()); !met)
    return fail(met.error());
  std::unique_ptr<executor> end;
  result<void> done;
  out.first = seconds_of([&] {
    auto made = make_end(with, on, load, *tensors, sockets);
    if (made)
      end = std::move(*made);
    done = made ? end->run({}, ample()) : result<void>{fail(made.error())};
  });
  if (!done)
    return fail(done.error());
  done = each_round(rounds, [&](auto add) -> result<void> {
    if (sends)
      return add(out.sync, timed_run(with, *end, run_mode::in_place));
    return add(out.copy,
               on.timed_copy(target.data(), source.data(), source.size()))
      .and_then([&] { return on.clear(target); })
      .and_then([&] {
        return add(out.sync, timed_run(with, *end, run_mode::in_place));
      })
      .and_then([&] { return on.check(*tensors, *expected); });
  });
  if (!done)
    return fail(done.error());
  // The source frees its memory when nobody has it open any more.
  if (!sends)
    end.reset();
  if (auto met = with.exchange({}, ample()); !met)
    return fail(met.error());
  return out;
}

} // namespace troupe::bench
