// SPDX-License-Identifier: Apache-2.0
// Kills and freezes ranks of a weight sync over real processes, at every step
// of the protocol and wherever a byte is copied, and looks what is left.
//
//   test_sync_faults [--count N] [--seed S]
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <unistd.h>

#include "actors/sync_faults/job.hpp"
#include "actors/sync_faults/weights.hpp"
#include "troupe/actors/node/host_main.hpp"

using namespace troupe;
using namespace sync_faults;
using std::chrono::milliseconds;

namespace {

constexpr std::uint32_t sync_timeout_ms = 300;

/// A step's deadline, those of the layers above it, and a busy machine.
constexpr auto hang_bound = milliseconds{6000};

/// One fault, and when.
struct injection {
  bool staged = false;
  bool sockets = false;
  bool freeze = false;
  std::size_t victim = 0;
  /// A step of the protocol; empty: when `trap_rank` touches byte `trap_at`.
  std::string step;
  std::size_t trap_rank = 0;
  std::uint64_t trap_at = 0;
};

std::string to_string(const injection& x) {
  auto when = x.step.empty() ? fmt::format("as rank {} touches byte {}",
                                           x.trap_rank, x.trap_at)
                             : "at " + x.step;
  return fmt::format("{}, {}: rank {} is {} {}",
                     x.staged ? "staged" : "in place",
                     x.sockets ? "gloo" : "shm", x.victim,
                     x.freeze ? "frozen" : "killed", when);
}

injection draw(std::mt19937_64& random) {
  static const std::vector<std::string> source_steps{"pin", "transfer",
                                                     "unpin"};
  static const std::vector<std::string> staged_steps{"enroll", "transfer",
                                                     "fence", "swap", "open"};
  static const std::vector<std::string> in_place_steps{"enroll", "fence",
                                                       "transfer", "open"};
  injection x;
  x.staged = random() % 2 == 0;
  x.sockets = random() % 4 == 0;
  x.freeze = random() % 2 == 0;
  x.victim = random() % num_ranks;
  const auto& steps = x.victim < 2 ? source_steps
                      : x.staged   ? staged_steps
                                   : in_place_steps;
  // The kernel copies to and from sockets, and traps do not catch it.
  if (!x.sockets && random() % 2 == 0) {
    // Whoever packs or unpacks, and any victim: also the other end.
    x.trap_rank = random() % num_ranks;
    // Bucket boundaries among them.
    auto bucket = tensor_bytes / 8;
    x.trap_at = random() % 2 == 0 ? random() % 8 * bucket
                                  : random() % tensor_bytes;
  } else {
    x.step = steps[random() % steps.size()];
  }
  return x;
}

/// Counted over both models: ranks of the source first.
std::size_t index_of(const protocol::worker_name& x) {
  return static_cast<std::size_t>(x.model == "trainer" ? x.rank.value()
                                                       : 2 + x.replica.value());
}

class trial {
public:
  trial(job& all, const injection& what) : all_(all), what_(what) {
    // nop
  }

  /// What went wrong; empty if nothing did.
  std::string run() {
    protocol::sync_options options;
    options.mode = what_.staged ? "staged" : "in_place";
    options.link = what_.sockets ? "gloo" : "auto";
    options.buffer_bytes_max = tensor_bytes / 2;
    if (auto made = all_.make(options); !made)
      return "setting up: " + troupe::to_string(made.error());
    if (auto first = good_sync(1); !first.empty())
      return "before the fault: " + first;
    all_.call("trainer", "fill", 2);
    arm();
    auto begin = std::chrono::steady_clock::now();
    auto got = all_.sync(sync_timeout_ms);
    auto spent = std::chrono::steady_clock::now() - begin;
    all_.listen({});
    if (spent > hang_bound)
      return fmt::format("the sync took {} ms",
                         std::chrono::duration_cast<milliseconds>(spent)
                           .count());
    if (auto wrong = check(); !wrong.empty())
      return wrong;
    if (!what_.freeze)
      return "";
    // Whoever wakes up finds its place again.
    ::kill(all_.page().ranks[what_.victim].pid, SIGCONT);
    return got ? "" : heal();
  }

private:
  std::string good_sync(double value) {
    all_.call("trainer", "fill", value);
    auto got = all_.sync(10'000);
    return got ? "" : troupe::to_string(got.error());
  }

  void arm() {
    auto& page = all_.page();
    auto pid = page.ranks[what_.victim].pid.load();
    auto signal = what_.freeze ? SIGSTOP : SIGKILL;
    if (what_.step.empty()) {
      auto& x = page.ranks[what_.trap_rank];
      x.trap_at = what_.trap_at;
      x.target = pid;
      x.signal = signal;
      all_.call(what_.trap_rank < 2 ? "trainer" : "policy", "arm");
      return;
    }
    all_.listen([this, pid, signal,
                 done = false](const std::string& step,
                               const protocol::worker_name& to) mutable {
      if (!done && step == what_.step && index_of(to) == what_.victim) {
        done = true;
        ::kill(pid, signal);
      }
    });
  }

  /// WS-1, WS-2: whoever serves does so at one version, whole.
  std::string check() {
    auto& page = all_.page();
    std::uint64_t before[num_ranks];
    for (std::size_t i = 2; i < num_ranks; ++i)
      before[i] = page.ranks[i].served;
    static_cast<void>(all_.call("policy", "look"));
    std::set<std::uint64_t> versions;
    for (std::size_t i = 2; i < num_ranks; ++i) {
      const auto& x = page.ranks[i];
      if (x.violations > 0)
        return fmt::format("rank {} served a mixture", i);
      auto frozen = what_.freeze && i == what_.victim;
      if (!frozen && x.served > before[i])
        versions.insert(x.version);
    }
    if (versions.size() > 1)
      return "two versions are served";
    return "";
  }

  /// A sync that failed is run again until it succeeds.
  std::string heal() {
    std::string last;
    for (auto i = 0; i < 5; ++i) {
      auto got = all_.sync(10'000);
      if (got)
        return check();
      last = troupe::to_string(got.error());
    }
    return "it does not heal: " + last;
  }

  job& all_;
  injection what_;
};

int test(std::uint64_t seed, std::int64_t count) {
  fmt::print("TROUPE_SEED={}\n", seed);
  std::fflush(stdout);
  char folder[] = "/tmp/sync_faults.XXXXXX";
  if (!::mkdtemp(folder))
    return 1;
  auto failed = 0;
  {
    job all{folder};
    std::mt19937_64 random{seed};
    for (std::int64_t i = 0; i < count && failed < 5; ++i) {
      auto what = draw(random);
      auto wrong = trial{all, what}.run();
      if (wrong.empty())
        continue;
      ++failed;
      fmt::print("injection {}: {}: {}\n", i, to_string(what), wrong);
      std::fflush(stdout);
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  fmt::print("{} injections, {} failed\n", count, failed);
  return failed == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  module_registry models;
  declare(models);
  std::vector<std::string> words{argv + 1, argv + argc};
  if (!words.empty() && words[0] == node::host_verb)
    return node::host_main(models, {words.begin() + 1, words.end()}, {});
  auto seed = std::uint64_t{std::random_device{}()};
  if (auto* given = std::getenv("TROUPE_SEED"))
    seed = std::strtoull(given, nullptr, 10);
  std::int64_t count = 200;
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
    if (words[i] == "--count")
      count = std::stoll(words[i + 1]);
    if (words[i] == "--seed")
      seed = std::stoull(words[i + 1]);
  }
  auto code = test(seed, count);
  std::fflush(nullptr);
  ::_exit(code);
}
