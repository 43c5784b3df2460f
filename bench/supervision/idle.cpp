// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/supervision/idle.hpp"

#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "troupe/actors/process/process_tree.hpp"

namespace troupe::bench {

namespace {

/// After the last report of an end: nothing more is to come.
constexpr std::chrono::milliseconds quiet{500};

/// CPU time of one process in seconds; 0 if it is gone.
double cpu_seconds(std::int32_t pid) {
  std::ifstream in{fmt::format("/proc/{}/stat", pid)};
  std::string line;
  std::getline(in, line);
  // The name may hold anything; fields count from behind it.
  auto at = line.rfind(')');
  if (at == std::string::npos)
    return 0;
  double user = 0;
  double system = 0;
  // state, then ten fields, then the two.
  if (std::sscanf(line.c_str() + at + 1,
                  " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lf %lf", &user,
                  &system)
      != 2)
    return 0;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double all_cpu_seconds() {
  auto out = cpu_seconds(::getpid());
  for (auto pid : process::descendants())
    out += cpu_seconds(pid);
  return out;
}

/// Threads that compute until they are destroyed.
class busy_cores {
public:
  busy_cores() {
    for (auto i = 0u; i < std::max(1u, std::thread::hardware_concurrency());
         ++i)
      threads_.emplace_back([this] {
        volatile std::uint64_t sum = 0;
        while (!stop_)
          sum = sum + 1;
      });
  }

  ~busy_cores() {
    stop_ = true;
    for (auto& x : threads_)
      x.join();
  }

  busy_cores(const busy_cores&) = delete;
  busy_cores& operator=(const busy_cores&) = delete;

private:
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> threads_;
};

} // namespace

result<void> measure_idle(troupe_node& node, std::int32_t processes,
                          duration time, std::size_t alarms_max,
                          bench_report& out) {
  node.watch_errors();
  for (std::size_t alarms = 0;; ++alarms) {
    auto model = node.start_model({processes, 1});
    if (!model)
      return fail(model.error().within("starting the workers"));
    auto before = all_cpu_seconds();
    auto begin = std::chrono::steady_clock::now();
    if (auto alarm = node.next_process_error(deadline::after(time))) {
      if (alarms == alarms_max)
        return fail(errc::failed, "a false alarm: " + alarm->message);
      if (auto ended = node.stop_hosts(*model); !ended)
        return ended;
      // What stalled one host may have stalled others.
      while (node.next_process_error(deadline::after(quiet)))
        continue;
      continue;
    }
    std::chrono::duration<double> spent = std::chrono::steady_clock::now()
                                          - begin;
    auto percent = 100 * (all_cpu_seconds() - before) / spent.count();
    out.begin_section(
      fmt::format("{} idle workers in as many processes, {:.0f} s", processes,
                  spent.count()));
    out.add({"idle_cpu_percent", percent, std::nullopt, {}});
    out.note("Of one core: workers, guard and driver together.");
    if (alarms > 0)
      out.note(fmt::format("Begun anew after false alarms: {}.", alarms));
    return node.stop_hosts(*model);
  }
}

result<void> soak(troupe_node& node, duration time, bench_report& out) {
  constexpr auto processes = 8;
  auto model = node.start_model({processes, 1});
  if (!model)
    return fail(model.error().within("starting the workers"));
  node.watch_errors();
  auto alarms = 0;
  auto until = deadline::after(time);
  {
    busy_cores load;
    while (!until.passed())
      if (node.next_process_error(until))
        ++alarms;
  }
  out.begin_section(
    fmt::format("{} idle hosts beside busy cores, {:.1f} min", processes,
                std::chrono::duration<double, std::ratio<60>>{time}.count()));
  out.add({"false_alarms", static_cast<double>(alarms), std::nullopt, "0"});
  return node.stop_hosts(*model);
}

} // namespace troupe::bench
