// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/host_types.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>

#include <fmt/format.h>
#include <sys/wait.h>

namespace troupe::process {

std::string host_exit::describe() const {
  // One that crashes gives no signs while its core is written.
  auto crashed = WIFSIGNALED(wait_status) && WTERMSIG(wait_status) != SIGKILL;
  if (silent_ms > 0 && !crashed)
    return fmt::format("frozen: no sign of life for {} ms, killed by the guard",
                       silent_ms);
  if (WIFSIGNALED(wait_status)) {
    auto signal = WTERMSIG(wait_status);
    auto text = fmt::format("killed by signal {}", signal);
    if (auto* name = ::sigabbrev_np(signal))
      text += fmt::format(" (SIG{})", name);
    if (silent_ms > 0 && !WCOREDUMP(wait_status))
      text += fmt::format("; its core dump, if any, was cut after {} ms "
                          "without a sign of life",
                          silent_ms);
    return text;
  }
  if (WIFEXITED(wait_status))
    return fmt::format("exited with code {}", WEXITSTATUS(wait_status));
  return fmt::format("ended with status {:#x}", wait_status);
}

bool is_job_id(std::string_view x) noexcept {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !x.empty() && x.size() <= 64
         && std::all_of(x.begin(), x.end(), allowed);
}

} // namespace troupe::process
