// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/console/run_summary.hpp"

#include "troupe/apps/console/json_number.hpp"

namespace troupe::console {

namespace {

double seconds(std::chrono::nanoseconds span) {
  return std::chrono::duration<double>{span}.count();
}

} // namespace

nlohmann::ordered_json to_json(const run_summary& summary) {
  using json = nlohmann::ordered_json;
  json out;
  out["app"] = summary.app;
  out["run_name"] = summary.run_name;
  out["version"] = summary.version;
  out["seed"] = summary.seed;
  out["exit_reason"] = summary.exit_reason;
  out["episodes"] = summary.episodes;
  out["restarts"] = summary.restarts;
  out["wall_seconds"] = seconds(summary.wall);
  out["warm_start_accuracy"] = json_number(summary.warm_start_accuracy);
  out["final_accuracy"] = json_number(summary.final_accuracy);
  out["evaluated"] = summary.evaluated;
  out["weights_identical"] = summary.weights_identical
                               ? json(*summary.weights_identical)
                               : json();
  out["tokens_per_second"] = json_number(summary.tokens_per_second);
  out["sync_ms"] = json_number(summary.sync_ms);
  auto times = json::object();
  for (const auto& share : summary.times)
    times[share.name] = seconds(share.spent);
  out["times"] = std::move(times);
  auto processes = json::array();
  for (const auto& process : summary.processes)
    processes.push_back({{"slot", process.slot},
                         {"device", process.device},
                         {"pid", process.pid},
                         {"models", process.models},
                         {"restarts", process.restarts}});
  out["processes"] = std::move(processes);
  for (const auto& entry : summary.more)
    if (!out.contains(entry.first))
      out[entry.first] = json_number(entry.second);
  return out;
}

} // namespace troupe::console
