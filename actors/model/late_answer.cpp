// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/late_answer.hpp"

#include <string>
#include <utility>

#include <fmt/core.h>

#include "troupe/actors/protocol/errors.hpp"
#include "troupe/core/units.hpp"

namespace troupe::model {

namespace {

/// No module has a part in these.
bool is_joining(std::string_view operation) {
  return operation == "open groups" || operation == "connect groups"
         || operation == "close groups";
}

/// Some operations are a part of several: groups are opened for a set-up, a
/// repair and a sync.
std::string_view keys_of(std::string_view operation) {
  if (is_joining(operation))
    return "runtime.setup_timeout_ms, runtime.sync_timeout_ms in a sync, "
           "runtime.rejoin_timeout_ms in a repair";
  if (operation == "start" || operation == "set up")
    return "runtime.setup_timeout_ms, or runtime.rejoin_timeout_ms in a repair";
  if (operation == "save checkpoint")
    return "runtime.checkpoint_timeout_ms";
  if (operation == "load checkpoint")
    return "runtime.checkpoint_timeout_ms, or runtime.setup_timeout_ms in a "
           "repair";
  if (operation == "prepare sync" || operation == "weight sync"
      || operation == "on_sync" || operation.starts_with("sync ("))
    return "runtime.sync_timeout_ms";
  return "runtime.call_timeout_ms";
}

} // namespace

error late_or(const error& why, std::string_view operation,
              std::chrono::milliseconds timeout) {
  if (!protocol::is_silence(why))
    return why;
  return {errc::timed_out,
          fmt::format("not done in the {} it had: see {}",
                      format_duration(timeout), keys_of(operation))};
}

error still_at_it(std::string_view operation, std::chrono::nanoseconds age) {
  auto out = fmt::format("is still at it after {}, while all others have given "
                         "up waiting: see ",
                         format_duration(age));
  // They have waited as long as the whole may take.
  if (is_joining(operation))
    out += keys_of(operation);
  else
    out += fmt::format("runtime.collective_timeout_ms for how long they wait, "
                       "{} for how long it may take",
                       keys_of(operation));
  return {errc::timed_out, std::move(out)};
}

} // namespace troupe::model
