// SPDX-License-Identifier: Apache-2.0
#include "apps/fault_matrix/trial.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <unistd.h>

#include "apps/fault_matrix/expectation.hpp"
#include "apps/fault_matrix/scene.hpp"
#include "apps/support/run_files.hpp"

namespace fault_matrix {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using steady = std::chrono::steady_clock;
using troupe::deadline;
using troupe::test::contains;

namespace {

/// For a run to come where it is to fail; a busy machine takes long.
constexpr auto reach_max = 60s;

/// Between two looks at the file of errors.
constexpr auto look_interval = 5ms;

/// For a driver that is continued.
constexpr auto wake_max = 5s;

/// For a node to begin anew: a second's pause and its start.
constexpr auto again_max = 6s;

/// Lines of the driver's output that hold the cause.
constexpr std::size_t last_words = 12;

/// A worker, where in its life, and what it does there.
struct wanted {
  std::string model;
  int replica = 0;
  int rank = 0;
  std::string phase;
};

/// The function that stands for a phase in the test program.
wanted worker_at(phase x, victim whom) {
  switch (x) {
    case phase::setup:
      if (whom == victim::trainer || whom == victim::far_trainer)
        return {"trainer", 0, 1, "setup"};
      if (whom == victim::cpu)
        return {"reward", 0, 0, "setup"};
      return {"policy", 1, 0, "setup"};
    case phase::generation:
      if (whom == victim::cpu)
        return {"reward", 0, 0, "reward"};
      return {"policy", 1, 0, "generation"};
    case phase::training: return {"trainer", 0, 1, "training"};
    case phase::sync: return {"policy", 1, 0, "on_sync"};
    case phase::checkpoint: return {"trainer", 0, 1, "saving"};
  }
  return {};
}

std::string_view action_of(fault x) {
  switch (x) {
    case fault::exit0: return "quit0";
    case fault::exit1: return "quit1";
    case fault::throws: return "throw";
    case fault::oom: return "oom";
    case fault::segv: return "segv";
    default: return "hold";
  }
}

std::string_view driver_phase(phase x) {
  switch (x) {
    case phase::setup: return "setup";
    case phase::generation: return "generation";
    case phase::training: return "training";
    default: return "saving";
  }
}

/// Once around, so that there is a checkpoint to go back to.
int nth_of(phase x) {
  return x == phase::setup ? 1 : 2;
}

class trial {
public:
  trial(const cell& x, baseline& undisturbed,
        const std::vector<std::string>& more)
    : cell_(x),
      undisturbed_(undisturbed),
      more_(more),
      place_(worker_at(x.when, x.whom)) {
    out_.where = x;
    if (is_host(x.whom)) {
      auto own = victim_worker(x).starts_with(place_.model + "/");
      by_thread_ = !own;
    }
    // Signals come from outside, wherever the process is.
    from_inside_ = x.what == fault::exit0 || x.what == fault::exit1
                   || x.what == fault::throws
                   || (x.what == fault::oom
                       && (is_host(x.whom) || is_driver(x.whom)))
                   || (x.what == fault::segv && is_host(x.whom));
    by_thread_ = by_thread_ && from_inside_;
  }

  outcome run() {
    if (auto wrong = attempt(); !wrong.empty())
      out_.wrong = wrong;
    if (scene_.started())
      out_.words = end_of(scene_.driver());
    if (!out_.wrong.empty())
      out_.words += " | errors: " + recorded();
    if (is_far(cell_.whom))
      out_.words += " | node: " + end_of(scene_.victim_node());
    return out_;
  }

private:
  static std::string end_of(const troupe::test::program& x) {
    return troupe::test::flat(troupe::test::last_lines(x.output(), last_words));
  }

  /// The errors that the run recorded, for whoever looks for a mistake.
  [[nodiscard]] std::string recorded() const {
    return troupe::test::flat(
      troupe::test::read_file(scene_.run() / "errors.jsonl"));
  }

  std::string attempt() {
    if (is_far(cell_.whom) && !scene_.start_nodes())
      return "the nodes did not come up";
    scene_.start_run(options(), driver_env());
    if (auto wrong = make_fault(); !wrong.empty())
      return wrong;
    auto right = expected(cell_, by_thread_);
    auto wrong = is_driver(cell_.whom) && cell_.what == fault::stop
                   ? watch_frozen_driver(right)
                   : watch(right);
    if (!wrong.empty())
      return wrong;
    if (wrong = check_words(right); !wrong.empty())
      return wrong;
    if (cell_.restart)
      wrong = compare();
    if (wrong.empty() && is_far(cell_.whom))
      wrong = check_nodes();
    return wrong;
  }

  // -- making -----------------------------------------------------------------

  [[nodiscard]] std::vector<std::string> options() const {
    auto out = more_;
    auto set = [&](const std::string& key, const auto& value) {
      out.push_back("--set");
      out.push_back(fmt::format("{}={}", key, value));
    };
    auto fault = [&](const std::string& model, const char* key,
                     const auto& value) {
      set(fmt::format("models.{}.fault_{}", model, key), value);
    };
    if (cell_.whom == victim::policy)
      set("models.policy.isolated", "true");
    if (cell_.restart)
      set("runtime.on_failure", "restart");
    auto inside_driver = from_inside_ && is_driver(cell_.whom);
    if (!inside_driver) {
      fault(place_.model, "phase", place_.phase);
      fault(place_.model, "action",
            from_inside_ && !by_thread_ ? action_of(cell_.what) : "hold");
      fault(place_.model, "replica", place_.replica);
      fault(place_.model, "rank", place_.rank);
      fault(place_.model, "nth", nth_of(cell_.when));
      fault(place_.model, "once", scene_.once().string());
      fault(place_.model, "fifo", scene_.fifo().string());
    }
    if (by_thread_) {
      auto own = victim_worker(cell_);
      auto model = own.substr(0, own.find('/'));
      fault(model, "action", action_of(cell_.what));
      fault(model, "replica", model == "policy" ? 1 : 0);
      fault(model, "order", scene_.order().string());
      fault(model, "fifo", scene_.fifo().string());
    }
    return out;
  }

  [[nodiscard]] std::vector<std::string> driver_env() const {
    if (!from_inside_ || !is_driver(cell_.whom))
      return {};
    return {fmt::format("FAULTY_DRIVER={} {} {} {}", driver_phase(cell_.when),
                        action_of(cell_.what), nth_of(cell_.when),
                        scene_.fifo().string())};
  }

  std::string make_fault() {
    auto held = scene_.hear(deadline::after(reach_max));
    begin_ = steady::now();
    if (!held)
      return "the run never came there";
    if (by_thread_) {
      begin_ = steady::now();
      scene_.give_order();
      if (!scene_.hear(deadline::after(reach_max)))
        return "no thread of the module took the order";
    }
    if (from_inside_)
      return {};
    auto pid = find_victim(*held);
    if (!pid)
      return "the process was not found";
    victim_pid_ = *pid;
    begin_ = steady::now();
    switch (cell_.what) {
      case fault::kill: ::kill(*pid, SIGKILL); break;
      case fault::stop: ::kill(*pid, SIGSTOP); break;
      case fault::segv: ::kill(*pid, SIGSEGV); break;
      default: leave_without_memory(*pid); break;
    }
    // Whoever is still needed must not wait for the worker that stands still.
    if (cell_.what == fault::oom
        || (cell_.what == fault::stop && cell_.whom == victim::parent))
      scene_.release();
    return {};
  }

  std::optional<pid_t> find_victim(const said_line& held) {
    using role = job_process::role;
    auto soon = deadline::after(10s);
    auto like = [&](role part, int slot) {
      return scene_
        .find([=](
                const job_process&
                  x) { return x.part == part && (slot < 0 || x.slot == slot); },
              soon);
    };
    switch (cell_.whom) {
      case victim::driver:
      case victim::far_driver: return scene_.driver().pid();
      // Where the worker stands.
      case victim::far_trainer: return held.pid;
      case victim::far_guard: return scene_.find_node_guard();
      case victim::node: return scene_.find_node_process();
      case victim::parent: return scene_.victim_node().pid();
      case victim::guard: return like(role::guard, -1);
      case victim::cpu: return like(role::cpu_host, -1);
      // The second device.
      case victim::trainer: return like(role::device_host, 1);
      // Behind two devices and the CPU host: which replica has which is known
      // only of one that spoke.
      case victim::policy:
        if (held.name.starts_with("policy/"))
          return held.pid;
        return like(role::device_host, 4);
    }
    return std::nullopt;
  }

  /// The process gets no more memory than it has.
  static void leave_without_memory(pid_t pid) {
    std::ifstream in{fmt::format("/proc/{}/statm", pid)};
    rlim_t pages = 0;
    in >> pages;
    rlimit limit{};
    ::prlimit(pid, RLIMIT_AS, nullptr, &limit);
    limit.rlim_cur = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
    ::prlimit(pid, RLIMIT_AS, &limit, nullptr);
  }

  // -- watching ---------------------------------------------------------------

  [[nodiscard]] int since_fault() const {
    return static_cast<int>(
      std::chrono::duration_cast<milliseconds>(steady::now() - begin_).count());
  }

  void look_for_error() {
    if (!out_.detect_ms && scene_.has_error())
      out_.detect_ms = since_fault();
  }

  std::string watch(const expectation& right) {
    auto until = deadline::after(right.end_max + 10s);
    do {
      out_.code = scene_.driver().wait(deadline::after(look_interval));
      look_for_error();
    } while (!out_.code && !until.passed());
    if (!out_.code)
      return "the run did not end";
    out_.end_ms = since_fault();
    // What is frozen cannot end by itself.
    auto frozen = cell_.what == fault::stop
                  && (cell_.whom == victim::node
                      || cell_.whom == victim::parent);
    if (frozen && !right.leave_frozen)
      ::kill(victim_pid_, SIGCONT);
    out_.left = scene_.left(deadline::after(right.left_max));
    if (right.leave_frozen)
      out_.end_ms = since_fault();
    if (frozen)
      ::kill(victim_pid_, SIGCONT);
    if (!out_.left.empty())
      return "left: " + out_.left;
    // Of one that was killed, the end is that of all it had.
    if (is_driver(cell_.whom))
      out_.end_ms = since_fault();
    auto end_max = right.end_max;
    if (right.leave_frozen)
      end_max += right.left_max;
    if (*out_.end_ms > end_max.count())
      return fmt::format("it took {} ms to end", *out_.end_ms);
    if (right.detect_max.count() > 0 && !out_.detect_ms)
      return "no error was recorded";
    if (right.detect_max.count() > 0
        && *out_.detect_ms > right.detect_max.count())
      return fmt::format("it took {} ms to be seen", *out_.detect_ms);
    return {};
  }

  /// Everything else ends by itself; when it wakes, the driver fails.
  std::string watch_frozen_driver(const expectation& right) {
    auto& driver = scene_.driver();
    out_.left = scene_.left(deadline::after(right.end_max + 2s),
                            {driver.pid()});
    out_.end_ms = since_fault();
    if (!out_.left.empty())
      return "left beside the driver: " + out_.left;
    if (*out_.end_ms > right.end_max.count())
      return fmt::format("it took {} ms to end", *out_.end_ms);
    driver.signal(SIGCONT);
    out_.code = driver.wait(deadline::after(wake_max));
    if (!out_.code)
      return "the driver did not end when it woke up";
    out_.left = scene_.left(deadline::after(right.left_max));
    return out_.left.empty() ? "" : "left: " + out_.left;
  }

  // -- judging ----------------------------------------------------------------

  std::string check_words(const expectation& right) {
    auto output = scene_.driver().output();
    auto end = troupe::test::flat(troupe::test::last_lines(output, last_words));
    for (const auto& x : right.endings) {
      auto said = std::ranges::all_of(x.words, [&](const auto& word) {
        return contains(end, word);
      });
      if (x.code == *out_.code && said)
        return {};
    }
    std::vector<std::string> wanted;
    for (const auto& x : right.endings)
      wanted.push_back(
        fmt::format("{} \"{}\"", x.code, fmt::join(x.words, "\" \"")));
    return fmt::format("it ended with {}, not with {}", *out_.code,
                       fmt::join(wanted, " or "));
  }

  /// A run that went on gives what an undisturbed one gives.
  std::string compare() {
    const auto& whole = undisturbed_.of(cell_.whom == victim::policy);
    if (!whole.wrong.empty())
      return whole.wrong;
    auto run = scene_.run();
    if (troupe::test::read_rows(run / "ledger.jsonl") != whole.ledger)
      return "the ledger is not that of an undisturbed run";
    if (troupe::test::timeless_metrics(run) != whole.metrics)
      return "the metrics are not those of an undisturbed run";
    auto summary = nlohmann::json::parse(
      troupe::test::read_file(run / "summary.json"));
    if (summary["restarts"] != 1)
      return fmt::format("it was started anew {} times",
                         summary["restarts"].dump());
    return {};
  }

  /// A node whose process has gone offers its machine again. One whose parent
  /// has gone is for whoever started it to start anew; what a parent without
  /// memory starts has none either.
  std::string check_nodes() {
    auto useless = cell_.whom == victim::parent && cell_.what != fault::stop;
    if (!useless && !scene_.serves_again(deadline::after(again_max)))
      return "the node does not wait for another job";
    auto left = scene_.stop_nodes();
    return left.empty() ? "" : "left of the nodes: " + left;
  }

  cell cell_;
  baseline& undisturbed_;
  const std::vector<std::string>& more_;
  wanted place_;
  bool by_thread_ = false;
  bool from_inside_ = false;
  scene scene_;
  steady::time_point begin_;
  pid_t victim_pid_ = 0;
  outcome out_;
};

} // namespace

const baseline::figures& baseline::of(bool isolated) {
  auto [i, fresh] = made_.try_emplace(isolated);
  auto& out = i->second;
  if (!fresh)
    return out;
  scene one;
  std::vector<std::string> more;
  if (isolated)
    more = {"--set", "models.policy.isolated=true"};
  one.start_run(more);
  auto code = one.driver().wait(deadline::after(reach_max));
  if (code.value_or(-1) != 0) {
    out.wrong = "an undisturbed run failed: " + one.driver().output();
    return out;
  }
  out.metrics = troupe::test::timeless_metrics(one.run());
  out.ledger = troupe::test::read_rows(one.run() / "ledger.jsonl");
  return out;
}

outcome try_cell(const cell& x, baseline& undisturbed,
                 const std::vector<std::string>& more) {
  return trial{x, undisturbed, more}.run();
}

} // namespace fault_matrix
