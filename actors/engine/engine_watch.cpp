// SPDX-License-Identifier: Apache-2.0
// What the engine notices about a run that goes on.
#include <fmt/core.h>

#include "troupe/actors/engine/engine.hpp"
#include "troupe/core/units.hpp"

namespace troupe::engine {

bool engine::refuse(const std::map<std::string, double>& metrics) {
  auto sentences = metrics_.look(metrics, episode_.episode);
  if (sentences.empty())
    return false;
  auto warn = parts_.config.runtime.warn_on_non_finite;
  const auto& graph = parts_.app->training;
  const auto& last = graph.nodes[graph.output];
  protocol::error_report report;
  report.level = warn ? protocol::severity::warning : protocol::severity::error;
  report.code = errc::failed;
  report.model = last.model;
  report.operation = last.model.empty() ? last.name : last.function;
  // The first error is the cause: a run with many metrics tells one story.
  for (const auto& sentence : sentences) {
    report.message += report.message.empty() ? "" : ", ";
    report.message += sentence;
  }
  failing_ = !warn;
  send(parts_.errors, report);
  return !warn;
}

void engine::watch_stragglers(const flow_node& call,
                              const std::vector<protocol::rank_time>& times) {
  for (const auto& x : stragglers_.look(times, episode_.episode)) {
    protocol::error_report report;
    report.level = protocol::severity::warning;
    report.code = errc::timed_out;
    report.model = x.rank.model;
    report.replica = x.rank.replica;
    report.rank = x.rank.rank;
    report.operation = call.function;
    report.message = fmt::format("slow: {}, the median of its peers is {}",
                                 format_duration(x.own),
                                 format_duration(x.peers));
    send(parts_.errors, report);
  }
}

void engine::warn_of_sync(std::size_t index,
                          const std::vector<std::string>& sentences) {
  for (const auto& sentence : sentences) {
    protocol::error_report report;
    report.level = protocol::severity::warning;
    report.code = errc::invalid;
    report.operation = fmt::format("sync {}", parts_.syncs[index].name);
    report.message = sentence;
    // Replicas that come or go, and attempts, let it be prepared again.
    report.once = true;
    send(parts_.errors, report);
  }
}

} // namespace troupe::engine
