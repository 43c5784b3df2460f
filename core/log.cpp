// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/log.hpp"

#include <atomic>
#include <memory>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

namespace troupe::log {

namespace {

/// Atomic, because others may still write a line while main closes; never
/// destroyed, because they may while somebody's exit() runs.
std::atomic<std::shared_ptr<spdlog::logger>>& sink() {
  static auto* const
    instance = new std::atomic<std::shared_ptr<spdlog::logger>>;
  return *instance;
}

spdlog::level::level_enum to_spdlog(level x) {
  switch (x) {
    case level::debug: return spdlog::level::debug;
    case level::info: return spdlog::level::info;
    case level::warning: return spdlog::level::warn;
    default: return spdlog::level::err;
  }
}

} // namespace

result<void> open(const settings& config) {
  try {
    auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(
      config.path);
    auto logger = std::make_shared<spdlog::logger>(config.tag, file);
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %L [%n] %v");
    logger->set_level(to_spdlog(config.threshold));
    // A killed process must leave its last words behind.
    logger->flush_on(spdlog::level::debug);
    sink() = std::move(logger);
    return {};
  } catch (const spdlog::spdlog_ex& x) {
    return fail(errc::refused, fmt::format("cannot write the log '{}': {}",
                                           config.path, x.what()));
  }
}

void close() noexcept {
  if (auto logger = sink().exchange(nullptr))
    logger->flush();
}

void write(level severity, std::string_view subject, std::string_view text) {
  if (auto logger = sink().load())
    logger->log(to_spdlog(severity), "{}: {}", subject, text);
}

} // namespace troupe::log
