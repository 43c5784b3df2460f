// SPDX-License-Identifier: Apache-2.0
// How soon Troupe notices that a process has ended, what watching costs, and how
// long a run takes to be back.
#include <string_view>

#include <unistd.h>

#include "troupe/actors/node/guarded_launcher.hpp"
#include "troupe/actors/node/host_main.hpp"
#include "troupe/actors/node/process_info.hpp"
#include "troupe/actors/process/signal_watch.hpp"
#include "troupe/bench/supervision/detection.hpp"
#include "troupe/bench/supervision/idle.hpp"
#include "troupe/bench/supervision/recovery.hpp"
#include "troupe/bench/support/bench_main.hpp"
#include "troupe/bench/support/scratch_directory.hpp"
#include "troupe/bench/support/stub_model.hpp"

namespace {

using namespace troupe;
using std::chrono::seconds;

constexpr std::int32_t processes = 64;

result<void> measure(bench::troupe_node& node,
                     const std::filesystem::path& folder,
                     const bench::bench_options& options,
                     bench::bench_report& out) {
  if (options.soak_minutes > 0)
    return bench::soak(node,
                       std::chrono::duration_cast<duration>(
                         std::chrono::duration<double, std::ratio<60>>{
                           options.soak_minutes}),
                       out);
  auto quick = options.quick;
  bench::detection_plan plan{quick ? 20u : 200u, quick ? 3u : 30u};
  if (auto done = bench::measure_detection(node, plan, out); !done)
    return done;
  // A quick run is for machines under test, which may starve a host once.
  if (auto done = bench::measure_idle(node, processes, seconds{quick ? 2 : 20},
                                      quick ? 1 : 0, out);
      !done)
    return done;
  if (auto done = bench::measure_recovery(folder / "recovery", quick ? 3 : 30,
                                          out);
      !done)
    return done;
  return bench::measure_memory(folder / "memory", quick ? 100 : 10'000, out);
}

result<void> run(const bench::bench_options& options,
                 bench::bench_report& out) {
  bench::scratch_directory folder;
  if (folder.path().empty())
    return fail(errc::refused, "cannot make a temporary directory");
  // The guard is forked before the first thread exists.
  process::guard_settings settings;
  settings.job_id = node::make_job_id();
  settings.pulse = std::chrono::milliseconds{100};
  settings.pulse_timeout = std::chrono::milliseconds{800};
  auto guard = process::guard_client::start(settings);
  if (!guard)
    return fail(guard.error().within("starting the guard"));
  // Hosts end with the guard, the guard with us.
  auto watch = process::signal_watch::start([&](int) {
    folder.remove();
    ::_exit(130);
  });
  if (!watch)
    return fail(watch.error());
  auto node = bench::troupe_node::start(**guard, {settings.job_id, processes,
                                                  folder.path()});
  if (!node)
    return fail(node.error());
  return measure(**node, folder.path(), options, out);
}

} // namespace

int main(int argc, char** argv) {
  std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == node::host_verb)
    return node::host_main(bench::stub_registry(), {argv + 2, argv + argc}, {});
  process::hold_signals();
  return bench::bench_main(
    argc, argv,
    {"bench_supervision",
     "How soon the end of a process is noticed, what watching costs, and how "
     "long a run takes to be back.",
     "Instead: this long beside busy cores; counts false alarms"},
    run);
}
