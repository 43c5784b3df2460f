// SPDX-License-Identifier: Apache-2.0
// What Troupe's calls and process starts cost, beside the bare means they are
// made of.
#include <string_view>

#include <unistd.h>

#include "troupe/actors/node/guarded_launcher.hpp"
#include "troupe/actors/node/host_main.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/process/signal_watch.hpp"
#include "troupe/bench/calls/bare_peer.hpp"
#include "troupe/bench/calls/call_rounds.hpp"
#include "troupe/bench/calls/raw_echo.hpp"
#include "troupe/bench/calls/start_rounds.hpp"
#include "troupe/bench/support/bench_main.hpp"
#include "troupe/bench/support/scratch_directory.hpp"
#include "troupe/bench/support/stub_model.hpp"

namespace {

using namespace troupe;
using std::chrono::seconds;

constexpr std::int32_t processes_max = 64;

/// One after the other; a quick run is done with all within 20 seconds.
result<void> measure(bench::troupe_node& node, bool quick,
                     bench::bench_report& out) {
  auto starts = [&](std::int32_t processes, std::size_t rounds) {
    return bench::measure_start(node,
                                {quick ? rounds / 3 : rounds, processes,
                                 quick ? seconds{3} : seconds{60}},
                                out);
  };
  auto fan_outs = [&](bench::worker_shape shape, std::size_t calls) {
    return bench::measure_fan_out(node, shape,
                                  {quick ? 7u : 15u, quick ? calls / 2 : calls,
                                   quick ? seconds{2} : seconds{30}},
                                  out);
  };
  if (auto done = starts(8, 9); !done)
    return done;
  if (auto done = starts(32, 5); !done)
    return done;
  auto trips = bench::measure_round_trips(node,
                                          {quick ? 7u : 15u,
                                           quick ? 200u : 500u,
                                           quick ? seconds{2} : seconds{30}},
                                          out);
  if (!trips)
    return trips;
  if (auto done = fan_outs({8, 1}, 100); !done)
    return done;
  if (auto done = fan_outs({8, 8}, 40); !done)
    return done;
  return fan_outs({64, 1}, 20);
}

result<void> run(const bench::bench_options& options,
                 bench::bench_report& out) {
  bench::scratch_directory logs;
  if (logs.path().empty())
    return fail(errc::refused, "cannot make a temporary directory");
  // The guard is forked before the first thread exists.
  process::guard_settings settings;
  settings.job_id = node::make_job_id();
  settings.pulse = std::chrono::milliseconds{100};
  settings.pulse_timeout = std::chrono::milliseconds{800};
  auto guard = process::guard_client::start(settings);
  if (!guard)
    return fail(guard.error().within("starting the guard"));
  // Hosts end with the guard, the guard with us, peers with our sockets.
  auto watch = process::signal_watch::start([&](int) {
    logs.remove();
    ::_exit(130);
  });
  if (!watch)
    return fail(watch.error());
  auto node = bench::troupe_node::start(**guard, {settings.job_id,
                                                  processes_max, logs.path()});
  if (!node)
    return fail(node.error());
  return measure(**node, options.quick, out);
}

} // namespace

int main(int argc, char** argv) {
  std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == bench::bare_copy_verb)
    return bench::bare_copy_main();
  if (verb == bench::raw_echo_verb)
    return bench::raw_echo_main();
  if (verb == bench::bare_peer_verb)
    return bench::bare_peer_main(argc > 2 ? argv[2] : "");
  if (verb == node::host_verb)
    return node::host_main(bench::stub_registry(), {argv + 2, argv + argc}, {});
  process::hold_signals();
  return bench::
    bench_main(argc, argv,
               {"bench_calls",
                "What calls between processes and starts of processes "
                "cost, beside bare CAF, a raw socket and bare processes."},
               run);
}
