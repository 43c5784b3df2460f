// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/supervision/detection.hpp"

#include <csignal>

#include <fmt/format.h>

namespace troupe::bench {

namespace {

using clock = std::chrono::steady_clock;
using milliseconds = std::chrono::duration<double, std::milli>;

constexpr auto report_timeout = std::chrono::seconds{10};

/// Milliseconds from the signal to the report, for each host.
result<std::vector<double>> hit(troupe_node& node, int signal,
                                std::size_t count) {
  std::vector<double> out;
  while (out.size() < count) {
    auto worker = node.start_worker(0);
    if (!worker)
      return fail(worker.error().within("starting a worker"));
    auto pids = node.host_pids();
    if (!pids)
      return fail(pids.error());
    auto begin = clock::now();
    ::kill(pids->at(0), signal);
    auto report = node.next_process_error(deadline::after(report_timeout));
    if (!report)
      return fail(errc::timed_out,
                  fmt::format("nobody noticed signal {}", signal));
    out.push_back(milliseconds{clock::now() - begin}.count());
  }
  return out;
}

void put(bench_report& out, const std::string& name,
         const std::vector<double>& samples, const std::string& budget) {
  auto all = summarize(samples);
  out.add({name + "_p50_ms", all.median, all, {}});
  out.add({name + "_p99_ms", all.p99, std::nullopt, budget});
}

} // namespace

result<void> measure_detection(troupe_node& node, const detection_plan& plan,
                               bench_report& out) {
  node.watch_errors();
  auto kills = hit(node, SIGKILL, plan.kills);
  if (!kills)
    return fail(kills.error());
  auto freezes = hit(node, SIGSTOP, plan.freezes);
  if (!freezes)
    return fail(freezes.error());
  out.begin_section(
    fmt::format("From the signal to the report, {} hosts killed, "
                "{} frozen",
                plan.kills, plan.freezes));
  put(out, "kill_detect", *kills, "< 10");
  put(out, "freeze_detect", *freezes, "< 1000");
  out.note("A frozen host is taken for dead after 800 ms without a sign of "
           "life.");
  return {};
}

} // namespace troupe::bench
