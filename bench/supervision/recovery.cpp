// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/supervision/recovery.hpp"

#include <chrono>
#include <csignal>
#include <functional>
#include <thread>

#include <fmt/format.h>

#include "troupe/bench/supervision/minimal_run.hpp"

namespace troupe::bench {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds look_interval{1};
constexpr auto step_timeout = std::chrono::seconds{30};
constexpr auto run_timeout = std::chrono::minutes{20};

/// Looks every millisecond, because a run tells nobody outside.
result<void> wait_for(minimal_run& run, const std::string& what, duration time,
                      const std::function<bool()>& come) {
  auto until = deadline::after(time);
  while (!come()) {
    if (run.ended())
      return fail(errc::lost, "the run ended before " + what);
    if (until.passed())
      return fail(errc::timed_out, what + " did not come");
    std::this_thread::sleep_for(look_interval); // tidy: allow sleeps: polls
  }
  return {};
}

} // namespace

result<void> measure_recovery(const std::filesystem::path& folder,
                              std::size_t count, bench_report& out) {
  auto run = minimal_run::start(folder,
                                {"num_episode=1000000", "on_failure=restart",
                                 "max_restarts=1000000", "restart_backoff_ms=1",
                                 "save_episode_interval=1"});
  if (!run)
    return fail(run.error());
  std::vector<double> times;
  for (std::size_t i = 0; i < count; ++i) {
    auto working = (*run)->last_episode() + 5;
    if (auto came = wait_for(**run, "an episode", step_timeout,
                             [&] { return (*run)->last_episode() >= working; });
        !came)
      return came;
    auto hosts = (*run)->hosts();
    if (hosts.empty())
      return fail(errc::lost, "the run has no hosts");
    auto errors = (*run)->errors_bytes();
    auto begin = clock::now();
    ::kill(hosts[i % hosts.size()], SIGKILL);
    if (auto came = wait_for(**run, "the error", step_timeout,
                             [&] { return (*run)->errors_bytes() > errors; });
        !came)
      return came;
    auto episode = (*run)->last_episode();
    if (auto came = wait_for(**run, "the next episode", step_timeout,
                             [&] { return (*run)->last_episode() > episode; });
        !came)
      return came;
    times.push_back(
      std::chrono::duration<double>{clock::now() - begin}.count());
  }
  out.begin_section(fmt::format("A run that loses a host, {} times", count));
  out.add_rounds("recover_seconds", times);
  out.note("From the kill to the next episode: noticed, judged (250 ms), hosts "
           "started, models");
  out.note("set up, checkpoint loaded, weights synced, one episode of "
           "apps/minimal.");
  return {};
}

result<void> measure_memory(const std::filesystem::path& folder,
                            std::int64_t episodes, bench_report& out) {
  // More than are waited for: it must still be there when it is looked at.
  auto run = minimal_run::start(folder, {"num_episode=1000000"});
  if (!run)
    return fail(run.error());
  auto at = [&](std::int64_t episode) -> result<double> {
    auto came = wait_for(**run, fmt::format("episode {}", episode), run_timeout,
                         [&] { return (*run)->last_episode() >= episode; });
    if (!came)
      return fail(came.error());
    auto bytes = (*run)->resident_bytes();
    if (bytes == 0)
      return fail(errc::lost,
                  fmt::format("the run ended before its memory was read at "
                              "episode {}",
                              episode));
    return static_cast<double>(bytes) / 1e6;
  };
  auto before = at(episodes / 5);
  if (!before)
    return fail(before.error());
  auto after = at(episodes);
  if (!after)
    return fail(after.error());
  out.begin_section(fmt::format("Memory of the driver, episodes {} to {}",
                                episodes / 5, episodes));
  out.add({"driver_rss_growth_mb", *after - *before, std::nullopt, {}});
  out.note(fmt::format("It has {:.0f} MB then.", *after));
  return {};
}

} // namespace troupe::bench
