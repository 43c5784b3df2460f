// SPDX-License-Identifier: Apache-2.0
#include "apps/fault_matrix/cell.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace fault_matrix {

std::string_view to_string(fault x) {
  switch (x) {
    case fault::kill: return "SIGKILL";
    case fault::stop: return "SIGSTOP";
    case fault::segv: return "SIGSEGV";
    case fault::exit0: return "exit 0";
    case fault::exit1: return "exit 1";
    case fault::throws: return "throw";
    case fault::oom: return "memory";
  }
  return "?";
}

std::string_view to_string(victim x) {
  switch (x) {
    case victim::driver: return "driver";
    case victim::node: return "node";
    case victim::parent: return "parent";
    case victim::guard: return "guard";
    case victim::trainer: return "trainer";
    case victim::policy: return "policy";
    case victim::cpu: return "cpu";
    case victim::far_driver: return "far-driver";
    case victim::far_guard: return "far-guard";
    case victim::far_trainer: return "far-trainer";
  }
  return "?";
}

std::string_view to_string(phase x) {
  switch (x) {
    case phase::setup: return "set-up";
    case phase::generation: return "generation";
    case phase::training: return "training";
    case phase::sync: return "sync";
    case phase::checkpoint: return "checkpoint";
  }
  return "?";
}

std::string to_string(const cell& x) {
  return fmt::format("{} {} {}{}", to_string(x.what), to_string(x.whom),
                     to_string(x.when), x.restart ? " restart" : "");
}

std::string_view senseless(const cell& x) {
  auto by_code = x.what == fault::exit0 || x.what == fault::exit1
                 || x.what == fault::throws;
  if (by_code && !is_host(x.whom) && !is_driver(x.whom))
    return "no code of the application runs in nodes and guards";
  // Signals are another matter: they come from elsewhere.
  if (is_driver(x.whom) && x.when == phase::sync
      && (by_code || x.what == fault::oom))
    return "no code of the application runs in the driver during a sync";
  if (x.restart && !is_host(x.whom))
    return "only hosts are started anew";
  return {};
}

std::vector<cell> all_cells() {
  std::vector<cell> out;
  for (auto restart : {false, true})
    for (auto what : all_faults)
      for (auto when : all_phases) {
        auto add = [&](victim whom) {
          cell x{what, whom, when, restart};
          if (senseless(x).empty())
            out.push_back(x);
        };
        std::ranges::for_each(near_victims, add);
        std::ranges::for_each(far_victims, add);
      }
  return out;
}

} // namespace fault_matrix
