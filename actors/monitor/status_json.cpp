// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/monitor/status_json.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <nlohmann/json.hpp>

#include "troupe/actors/monitor/monitor_version.hpp"

namespace troupe::monitor {

namespace {

using json = nlohmann::ordered_json;

json word(const std::string& x) {
  return x.empty() ? json{} : json(x);
}

json index(std::int64_t x) {
  return x < 0 ? json{} : json(x);
}

json figure(double x) {
  return std::isfinite(x) ? json(x) : json{};
}

std::string line(const json& x) {
  return x.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
}

json names(const std::vector<protocol::worker_name>& workers) {
  auto out = json::array();
  for (const auto& x : workers)
    out.push_back(to_string(x));
  return out;
}

json node_json(const protocol::node_status& x) {
  auto hosts = json::array();
  for (const auto& y : x.hosts)
    hosts.push_back(json{{"slot", y.host.slot},
                         {"device", y.device},
                         {"pid", y.pid},
                         {"alive", y.alive},
                         {"life", y.host.life.value()},
                         {"workers", names(y.workers)}});
  return json{{"node", x.node.value()}, {"hosts", std::move(hosts)}};
}

json memory_json(const protocol::device_bytes& x) {
  if (x.total == 0)
    return {};
  return json{{"used_bytes", x.used},
              {"total_bytes", x.total},
              {"own_bytes", x.own}};
}

json worker_json(const protocol::worker_status& x) {
  return json{{"worker", to_string(x.worker)},
              {"model", x.worker.model},
              {"replica", x.worker.replica.value()},
              {"rank", x.worker.rank.value()},
              {"operation", x.operation},
              {"ms", x.age_ms},
              {"answers", !x.silent},
              {"version", x.version.value()},
              {"device_memory", memory_json(x.memory)}};
}

/// Replicas of a model may stand at different versions: the lowest counts.
json model_json(const protocol::model_status& x,
                const std::vector<protocol::worker_status>& workers) {
  json version;
  for (const auto& y : workers)
    if (y.worker.model == x.model && !y.silent
        && (version.is_null()
            || y.version.value() < version.get<std::uint64_t>()))
      version = y.version.value();
  return json{{"model", x.model},
              {"replicas", x.num_replica},
              {"ranks", x.num_rank},
              {"trainable", x.trainable},
              {"version", version}};
}

json errors_json(const protocol::error_history& x) {
  auto last = json::array();
  for (const auto& report : x.items) {
    auto y = to_json(report);
    y["cause"] = report.cause == 0 ? json{} : json(report.cause);
    last.push_back(std::move(y));
  }
  return json{{"errors", x.errors},
              {"warnings", x.warnings},
              {"last", std::move(last)}};
}

} // namespace

nlohmann::ordered_json to_json(const protocol::error_report& x) {
  json out;
  out["id"] = x.id;
  out["time_ms"] = x.time_ms;
  out["level"] = x.level == protocol::severity::warning ? "warning" : "error";
  out["code"] = to_string(x.code);
  out["model"] = word(x.model);
  out["replica"] = index(x.replica.value());
  out["rank"] = index(x.rank.value());
  out["node"] = index(x.node.value());
  out["slot"] = index(x.slot);
  out["device"] = word(x.device);
  out["operation"] = word(x.operation);
  out["message"] = x.message;
  return out;
}

std::string hello_line(const introduction& x) {
  return line(json{{"type", "hello"},
                   {"monitor", monitor_version},
                   {"version", x.version},
                   {"build", x.build},
                   {"app", x.app},
                   {"run", x.run},
                   {"job", x.job},
                   {"pid", x.pid}});
}

std::string status_line(const protocol::run_status& x) {
  const auto& at = x.progress;
  json out{{"type", "status"},
           {"app", x.app},
           {"run", x.run},
           {"job", x.job},
           {"uptime_ms", at.uptime_ms},
           {"phase", word(at.phase)},
           {"phase_done", at.done},
           {"phase_total", at.total},
           {"phase_ms", at.phase_ms},
           {"episode", at.episode},
           {"num_episode", at.num_episode},
           {"restarts", at.restarts},
           {"end", word(at.end)},
           {"cause", word(at.cause)}};
  auto metrics = json::object();
  for (const auto& [name, value] : at.metrics)
    metrics[name] = figure(value.value());
  out["metrics"] = std::move(metrics);
  auto add = [&](const char* name, const auto& items, auto make) {
    auto list = json::array();
    for (const auto& item : items)
      list.push_back(make(item));
    out[name] = std::move(list);
  };
  add("nodes", x.nodes, node_json);
  add("models", x.models,
      [&](const auto& model) { return model_json(model, x.workers); });
  add("workers", x.workers, worker_json);
  out["errors"] = errors_json(x.errors);
  out["silent"] = x.silent;
  return line(out);
}

std::string refusal_line(const std::string& why) {
  return line(json{{"type", "refused"}, {"why", why}});
}

} // namespace troupe::monitor
