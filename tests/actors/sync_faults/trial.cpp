// SPDX-License-Identifier: Apache-2.0
#include "actors/sync_faults/trial.hpp"

#include <array>
#include <csignal>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>
#include <thread>

#include <fmt/core.h>

namespace sync_faults {

using namespace troupe;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr std::uint32_t short_timeout_ms = 300;
constexpr std::uint32_t long_timeout_ms = 10'000;

/// A few steps' deadlines, those of the layers above, and a busy machine.
constexpr auto hang_bound = milliseconds{6000};

/// Counted over both models: ranks of the source first.
std::size_t index_of(const protocol::worker_name& x) {
  auto first = x.model == "trainer" ? 0 : 2 + x.replica.value();
  return static_cast<std::size_t>(first + x.rank.value());
}

/// The state letter of a process, as in /proc/PID/stat.
char state_of(std::int32_t pid) {
  std::ifstream file{fmt::format("/proc/{}/stat", pid)};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  // Behind the name, which may contain anything.
  auto at = text.rfind(") ");
  return at == std::string::npos ? 'X' : text[at + 2];
}

/// Returns once no thread of the process runs any more: the signal alone takes
/// effect when one of them gets a processor, and others go on until then.
void freeze(std::int32_t pid) {
  ::kill(pid, SIGSTOP);
  auto until = deadline::after(std::chrono::seconds{2});
  while (std::string_view{"TtXZ"}.find(state_of(pid)) == std::string_view::npos
         && !until.passed())
    std::this_thread::yield();
}

} // namespace

std::string trial::run() {
  first_call_ = all_.next_call();
  if (auto made = all_.make(what_.where()); !made)
    return "setting up: " + troupe::to_string(made.error());
  if (auto first = good_sync(); !first.empty())
    return "before the fault: " + first;
  static_cast<void>(all_.call("trainer", "fill", 2));
  arm();
  auto wrong = what_.preparing() ? fail_to_prepare() : fail_to_sync();
  ends_.missed += !struck();
  if (!what_.freeze)
    return wrong;
  // Whoever wakes up finds its place again.
  ::kill(victim_, SIGCONT);
  return wrong.empty() ? heal({2, 3}) : wrong;
}

// -- the fault ----------------------------------------------------------------

std::string trial::good_sync() {
  static_cast<void>(all_.call("trainer", "fill", 1));
  auto got = all_.sync(long_timeout_ms);
  if (!got)
    return troupe::to_string(got.error());
  version_ = got->version.value();
  return "";
}

void trial::arm() {
  victim_ = all_.page().ranks[what_.victim].pid;
  if (!what_.step.empty()) {
    all_.listen([this](const std::string& step,
                       const protocol::worker_name& to) { hear(step, to); });
    return;
  }
  auto& x = all_.page().ranks[what_.trap_rank];
  x.trap_at = what_.trap_at;
  x.target = victim_;
  x.fired = false;
  x.signal = what_.freeze ? SIGSTOP : SIGKILL;
  static_cast<void>(
    all_.call(what_.trap_rank < 2 ? "trainer" : "policy", "arm"));
}

void trial::hear(const std::string& step, const protocol::worker_name& to) {
  // A run is undone only if somebody is in its way.
  if (what_.unwinding() && accomplice_ == 0 && step == "transfer"
      && index_of(to) == 0) {
    accomplice_ = all_.page().ranks[0].pid;
    freeze(accomplice_);
  }
  if (struck() || step != what_.step || index_of(to) != what_.victim)
    return;
  if (what_.freeze)
    freeze(victim_);
  else
    ::kill(victim_, SIGKILL);
  {
    std::lock_guard guard{mutex_};
    struck_ = true;
  }
  changed_.notify_all();
}

void trial::disarm_all() {
  // Nobody waits until a rank that was late has heard "reopen".
  if (accomplice_ != 0) {
    std::unique_lock guard{mutex_};
    changed_.wait_for(guard, std::chrono::seconds{1},
                      [this] { return struck_; });
  }
  all_.listen({});
  if (accomplice_ != 0)
    ::kill(accomplice_, SIGCONT);
  if (what_.step.empty())
    all_.page().ranks[what_.trap_rank].signal = disarm;
}

bool trial::struck() const {
  if (what_.step.empty())
    return all_.page().ranks[what_.trap_rank].fired;
  std::lock_guard guard{mutex_};
  return struck_;
}

// -- what it hits -------------------------------------------------------------

std::string trial::fail_to_sync() {
  auto begin = steady_clock::now();
  auto got = all_.sync(short_timeout_ms, what_.step == "compare");
  auto late = check_time(begin);
  disarm_all();
  ++(!got                   ? ends_.failed
     : got->dropped.empty() ? ends_.unharmed
                            : ends_.went_on);
  return late.empty() ? judge(got) : late;
}

std::string trial::fail_to_prepare() {
  auto begin = steady_clock::now();
  auto got = all_.prepare_again(short_timeout_ms);
  auto late = check_time(begin);
  disarm_all();
  ++(got ? ends_.unharmed : ends_.failed);
  if (!late.empty())
    return late;
  if (struck() && got)
    return "it was prepared without the rank";
  if (!got) {
    // Until it is prepared it does not run.
    begin = steady_clock::now();
    if (all_.sync(short_timeout_ms))
      return "a sync ran that could not be prepared";
    if (late = check_time(begin); !late.empty())
      return late;
  }
  // A preparation touches nobody's weights and closes nobody.
  return check(others(), version_, true);
}

std::string trial::judge(const result<protocol::sync_report>& got) {
  if (struck() && what_.awaited() && got && got->dropped.empty())
    return "it succeeded without the rank";
  if (what_.unwinding())
    return judge_unwinding(got.has_value());
  if (what_.pair && struck())
    return judge_pair();
  // By policy it has run again without the dead; or the next one does, if a
  // living rank was late as well, on a busy machine.
  if (!got && what_.drop && !what_.freeze && struck())
    return heal(others());
  if (got)
    return check(others(), got->version.value(), true);
  // In place, the destination may be closed; staged, only if it failed after
  // the swap, when it is compared, or of itself, on a busy machine.
  auto closed = !what_.staged || what_.step == "compare" || !struck();
  return check(others(), std::nullopt, !closed);
}

std::string trial::judge_unwinding(bool succeeded) {
  if (accomplice_ != 0 && succeeded)
    return "it succeeded without the source";
  if (what_.pair && struck())
    return judge_pair();
  // Staged: whoever lives serves what it served.
  if (auto wrong = check(others(), version_, true); !wrong.empty())
    return wrong;
  return what_.drop && !what_.freeze && struck() ? heal(others()) : "";
}

std::string trial::judge_pair() {
  // While half of it does not answer the only replica is none.
  auto begin = steady_clock::now();
  if (all_.sync(short_timeout_ms))
    return "a sync ran with half a replica";
  if (auto late = check_time(begin); !late.empty())
    return late;
  const auto& survivor = all_.page().ranks[others().front()];
  auto before = survivor.served.load();
  if (auto wrong = check(others(), std::nullopt, false); !wrong.empty())
    return wrong;
  // It would wait in a collective for the one that did not get so far.
  auto apart = what_.step == "swap" || what_.step == "open";
  return apart && survivor.served > before ? "half a replica is open" : "";
}

// -- what must hold -----------------------------------------------------------

std::string trial::check_time(time_point begin) {
  auto spent = steady_clock::now() - begin;
  if (spent <= hang_bound)
    return "";
  return fmt::format("it took {} ms",
                     std::chrono::duration_cast<milliseconds>(spent).count());
}

std::string trial::check(const std::vector<std::size_t>& ranks,
                         std::optional<std::uint64_t> version, bool all_serve) {
  auto& page = all_.page();
  std::array<std::uint64_t, num_ranks> before{};
  for (auto i : ranks)
    before[i] = page.ranks[i].served;
  auto answered = all_.look(ranks);
  std::set<std::uint64_t> versions;
  for (auto i : ranks) {
    const auto& x = page.ranks[i];
    if (x.violations > 0)
      return fmt::format("rank {} served a mixture", i);
    if (x.served > before[i])
      versions.insert(x.version);
    else if (all_serve)
      return fmt::format("rank {} does not serve", i);
  }
  // A replica serves with all its ranks or not at all.
  if (what_.pair && ranks.size() == 1 && struck() && answered)
    return "half a replica serves";
  if (versions.size() > 1)
    return "two versions are served";
  if (version && versions.count(*version) == 0)
    return fmt::format("version {} was reported, {} is served", *version,
                       versions.empty() ? 0 : *versions.begin());
  return check_calls();
}

std::string trial::check_calls() const {
  for (auto call = first_call_; call < all_.next_call(); ++call) {
    std::set<std::uint64_t> versions;
    for (const auto& rank : all_.page().ranks)
      if (auto x = served_call::unpack(rank.calls[call % num_calls]);
          x.call == call)
        versions.insert(x.version);
    if (versions.size() > 1)
      return fmt::format("a call was served at versions {} and {}",
                         *versions.begin(), *versions.rbegin());
  }
  return "";
}

std::string trial::heal(const std::vector<std::size_t>& ranks) {
  std::string last;
  for (auto i = 0; i < 5; ++i) {
    if (what_.preparing())
      if (auto made = all_.prepare_again(long_timeout_ms); !made) {
        last = troupe::to_string(made.error());
        continue;
      }
    auto got = all_.sync(long_timeout_ms);
    if (got)
      return check(ranks, got->version.value(), true);
    last = troupe::to_string(got.error());
  }
  return "it does not heal: " + last;
}

std::vector<std::size_t> trial::others() const {
  std::vector<std::size_t> out;
  for (std::size_t i = 2; i < num_ranks; ++i)
    if (i != what_.victim)
      out.push_back(i);
  return out;
}

} // namespace sync_faults
