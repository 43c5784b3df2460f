// SPDX-License-Identifier: Apache-2.0
#include "apps/fault_matrix/expectation.hpp"

#include <csignal>

namespace fault_matrix {

using std::chrono::milliseconds;

namespace {

/// pulse_timeout_ms, and time for the word to get around.
constexpr milliseconds host_silence{800};

/// The guard gets more time, because it starts processes.
constexpr milliseconds guard_silence{2'400};

/// driver_grace_ms as the scene sets it.
constexpr milliseconds driver_grace{2'000};

/// A node gives its hosts time to end well.
constexpr milliseconds node_end{1'500};

constexpr milliseconds report_max{1'500};

/// What people call the function that fails.
std::string function_at(const cell& x) {
  switch (x.when) {
    case phase::setup: return "set up";
    case phase::generation: return x.whom == victim::cpu ? "score" : "generate";
    case phase::training: return "train_step";
    case phase::sync: return "on_sync";
    case phase::checkpoint: return "save";
  }
  return "?";
}

bool by_signal(fault x) {
  return x == fault::kill || x == fault::stop;
}

expectation for_driver(const cell& x) {
  expectation out;
  // Whoever dies at once says nothing.
  switch (x.what) {
    case fault::kill: out.endings = {{-SIGKILL, {}}}; break;
    case fault::segv: out.endings = {{-SIGSEGV, {}}}; break;
    case fault::stop:
      // When it is continued.
      out.endings = {{1, {"error:"}}};
      out.end_max = driver_grace + milliseconds{2'000};
      if (is_far(x.whom))
        out.end_max += host_silence + node_end;
      break;
    case fault::exit0: out.endings = {{0, {}}}; break;
    case fault::exit1: out.endings = {{1, {}}}; break;
    case fault::throws: out.endings = {{1, {"broke on purpose"}}}; break;
    case fault::oom:
      out.endings = {{1, {"bad_alloc"}}, {-SIGABRT, {}}, {1, {"exhausted"}}};
      break;
  }
  return out;
}

expectation for_guard(const cell& x) {
  expectation out;
  out.endings = {{1, {"guard process is gone"}}};
  out.detect_max = report_max;
  if (x.what == fault::stop) {
    out.detect_max = guard_silence + report_max;
    out.end_max += guard_silence;
  }
  if (x.what == fault::oom) {
    // It may get along with what it has.
    out.endings.push_back({0, {}});
    out.detect_max = milliseconds{0};
    out.end_max = milliseconds{15'000};
  }
  return out;
}

expectation for_node(const cell& x) {
  expectation out;
  out.endings = {{1, {"node 1", "is gone"}}};
  out.detect_max = report_max;
  if (x.what == fault::stop && x.whom == victim::node) {
    out.endings = {{1, {"node 1", "no sign of life"}}};
    out.detect_max = host_silence + report_max;
    out.end_max += host_silence;
    // Once is enough, it takes long.
    if (x.when == phase::training) {
      out.leave_frozen = true;
      out.left_max += driver_grace;
    }
  }
  // A parent has nothing to do until the job is over.
  if (x.what == fault::stop && x.whom == victim::parent) {
    out.endings = {{0, {}}};
    out.detect_max = milliseconds{0};
    out.end_max = milliseconds{15'000};
  }
  if (x.what == fault::oom) {
    out.endings.push_back({0, {}});
    out.endings.push_back({1, {"error:"}});
    out.detect_max = milliseconds{0};
    out.end_max = milliseconds{15'000};
  }
  return out;
}

expectation for_host(const cell& x, bool by_thread) {
  expectation out;
  auto worker = victim_worker(x);
  // Signals hit a replica's host, whichever it is.
  if (x.whom == victim::policy && by_signal(x.what))
    worker = "policy/";
  out.detect_max = report_max;
  expectation::ending aborted{1, {"killed by signal 6", worker}};
  switch (x.what) {
    case fault::kill:
      out.endings = {{1, {"killed by signal 9", worker}}};
      break;
    case fault::segv:
      out.endings = {{1, {"killed by signal 11", worker}}};
      break;
    case fault::stop:
      out.endings = {{1, {"frozen", worker}}};
      out.detect_max += host_silence;
      out.end_max += host_silence;
      break;
    case fault::exit0:
      out.endings = {{1, {"exited with code 0", worker}}};
      break;
    case fault::exit1:
      out.endings = {{1, {"exited with code 1", worker}}};
      break;
    case fault::throws:
      out.endings = {
        by_thread
          ? aborted
          : expectation::ending{1, {"broke on purpose", function_at(x)}}};
      break;
    case fault::oom:
      // Whoever asks for memory next: the module or one of our threads.
      out.endings = {aborted};
      if (!by_thread)
        out.endings.push_back({1, {"bad_alloc", function_at(x)}});
      break;
  }
  return out;
}

} // namespace

expectation expected(const cell& x, bool by_thread) {
  expectation out;
  switch (x.whom) {
    case victim::driver:
    case victim::far_driver: out = for_driver(x); break;
    case victim::guard:
    case victim::far_guard: out = for_guard(x); break;
    case victim::node:
    case victim::parent: out = for_node(x); break;
    default: out = for_host(x, by_thread); break;
  }
  if (x.restart) {
    // It has yet to go on from there and to finish.
    out.endings = {{0, {}}};
    out.end_max += milliseconds{15'000};
  }
  return out;
}

std::string victim_worker(const cell& x) {
  switch (x.whom) {
    case victim::trainer:
    case victim::far_trainer:
      return x.when == phase::generation || x.when == phase::sync
               ? "policy/1/0"
               : "trainer/0/1";
    case victim::policy: return "policy/1/0";
    case victim::cpu: return "reward/0/0";
    default: return {};
  }
}

} // namespace fault_matrix
