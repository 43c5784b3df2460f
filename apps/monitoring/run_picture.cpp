// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/monitoring/run_picture.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "troupe/actors/monitor/monitor_version.hpp"
#include "troupe/apps/console/text.hpp"

namespace troupe::monitoring {

namespace {

using json = nlohmann::ordered_json;

/// Deeper than anything we say; nlohmann's parser itself does not recurse.
constexpr int depth_max = 16;

result<json> parse(std::string_view line) {
  auto deep = [](int depth, json::parse_event_t, json&) {
    return depth <= depth_max;
  };
  auto out = json::parse(line, deep, false);
  if (out.is_discarded() || !out.is_object())
    return fail(errc::corrupt, "what is told there is not understood: this is "
                               "no run of Troupe");
  return out;
}

const json* find(const json& from, const char* key) {
  if (!from.is_object())
    return nullptr;
  auto i = from.find(key);
  return i == from.end() ? nullptr : &*i;
}

std::string text(const json& from, const char* key) {
  const auto* x = find(from, key);
  return x && x->is_string() ? x->get<std::string>() : std::string{};
}

std::int64_t whole(const json& from, const char* key,
                   std::int64_t otherwise = 0) {
  const auto* x = find(from, key);
  return x && x->is_number_integer() ? x->get<std::int64_t>() : otherwise;
}

bool flag(const json& from, const char* key) {
  const auto* x = find(from, key);
  return x && x->is_boolean() && x->get<bool>();
}

/// Calls `f` for each object in a list; not a list: never.
template <class F>
void each(const json& from, const char* key, F f) {
  const auto* x = find(from, key);
  if (x && x->is_array())
    for (const auto& item : *x)
      if (item.is_object())
        f(item);
}

std::vector<std::string> texts(const json& from, const char* key) {
  std::vector<std::string> out;
  const auto* x = find(from, key);
  if (x && x->is_array())
    for (const auto& item : *x)
      if (item.is_string())
        out.push_back(item.get<std::string>());
  return out;
}

protocol::error_report report_of(const json& x) {
  protocol::error_report out;
  out.id = static_cast<std::uint64_t>(whole(x, "id"));
  out.time_ms = static_cast<std::uint64_t>(whole(x, "time_ms"));
  out.level = text(x, "level") == "warning" ? protocol::severity::warning
                                            : protocol::severity::error;
  if (!from_string(text(x, "code"), out.code))
    out.code = errc::internal;
  out.model = text(x, "model");
  auto number = [&](const char* key) {
    return static_cast<std::int32_t>(whole(x, key, -1));
  };
  out.replica = replica_id{number("replica")};
  out.rank = rank_id{number("rank")};
  out.node = node_id{number("node")};
  out.device = text(x, "device");
  out.operation = text(x, "operation");
  out.message = text(x, "message");
  out.cause = static_cast<std::uint64_t>(whole(x, "cause"));
  return out;
}

host_picture host_of(const json& x, std::int64_t node) {
  return {node,
          whole(x, "slot"),
          text(x, "device"),
          whole(x, "pid"),
          flag(x, "alive"),
          whole(x, "life"),
          texts(x, "workers")};
}

} // namespace

result<introduction> parse_hello(std::string_view line,
                                 std::string_view own_version) {
  auto x = parse(line);
  if (!x)
    return fail(x.error());
  auto type = text(*x, "type");
  if (type == "refused")
    return fail(errc::refused,
                fmt::format("the run refuses: {}",
                            console::printable(text(*x, "why"))));
  if (type != "hello")
    return fail(errc::corrupt, "what is told there is no greeting: this is no "
                               "run of Troupe");
  introduction out{text(*x, "version"), text(*x, "app"), text(*x, "run")};
  auto speaks = whole(*x, "monitor");
  if (speaks != monitor::monitor_version || out.version != own_version)
    return fail(errc::refused,
                fmt::format("the run is of Troupe {} (monitor protocol {}), "
                            "this program of {} ({}); look at it with the "
                            "program that runs it",
                            console::printable(out.version), speaks,
                            own_version, monitor::monitor_version));
  return out;
}

result<run_picture> parse_status(std::string_view line) {
  auto x = parse(line);
  if (!x)
    return fail(x.error());
  run_picture out;
  out.app = text(*x, "app");
  out.run = text(*x, "run");
  out.job = text(*x, "job");
  out.uptime_ms = whole(*x, "uptime_ms");
  out.phase = text(*x, "phase");
  out.phase_done = whole(*x, "phase_done");
  out.phase_total = whole(*x, "phase_total");
  out.phase_ms = whole(*x, "phase_ms");
  out.episode = whole(*x, "episode");
  out.num_episode = whole(*x, "num_episode");
  out.restarts = whole(*x, "restarts");
  out.end = text(*x, "end");
  out.cause = text(*x, "cause");
  if (const auto* metrics = find(*x, "metrics");
      metrics && metrics->is_object())
    for (const auto& item : metrics->items()) {
      std::optional<double> value;
      if (item.value().is_number())
        value = item.value().get<double>();
      out.metrics.emplace_back(item.key(), value);
    }
  each(*x, "nodes", [&](const json& node) {
    each(node, "hosts", [&](const json& host) {
      out.hosts.push_back(host_of(host, whole(node, "node")));
    });
  });
  each(*x, "models", [&](const json& y) {
    model_picture model{text(y, "model"), whole(y, "replicas"),
                        whole(y, "ranks"), flag(y, "trainable"), std::nullopt};
    if (const auto* version = find(y, "version");
        version && version->is_number_integer())
      model.version = version->get<std::int64_t>();
    out.models.push_back(std::move(model));
  });
  each(*x, "workers", [&](const json& y) {
    out.workers.push_back({text(y, "worker"), text(y, "operation"),
                           whole(y, "ms"), flag(y, "answers"),
                           whole(y, "version")});
  });
  if (const auto* errors = find(*x, "errors")) {
    out.errors = whole(*errors, "errors");
    out.warnings = whole(*errors, "warnings");
    each(*errors, "last",
         [&](const json& y) { out.reports.push_back(report_of(y)); });
  }
  out.silent = texts(*x, "silent");
  return out;
}

result<std::string> clean_json(std::string_view line) {
  auto x = parse(line);
  if (!x)
    return fail(x.error());
  return x->dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace troupe::monitoring
