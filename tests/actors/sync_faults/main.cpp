// SPDX-License-Identifier: Apache-2.0
// Kills and freezes ranks of a weight sync over real processes, at every step
// of the protocol and wherever a byte is copied, and looks what is left.
//
//   test_sync_faults [--count N] [--seed S] [--verbose]
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
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

/// A few steps' deadlines, those of the layers above, and a busy machine.
constexpr auto hang_bound = milliseconds{6000};

/// The executor cuts the tensor into so many buckets; see `options_for`.
constexpr std::uint64_t num_buckets = 8;

/// One fault, and when.
struct injection {
  bool staged = false;
  bool sockets = false;
  bool freeze = false;
  /// What the sync does without the dead: `sync_options::when_lost`.
  bool drop = false;
  std::size_t victim = 0;
  /// A step of the protocol; empty: when `trap_rank` touches byte `trap_at`.
  std::string step = {};
  std::size_t trap_rank = 0;
  std::uint64_t trap_at = 0;
};

std::string to_string(const injection& x) {
  auto when = x.step.empty() ? fmt::format("as rank {} touches byte {}",
                                           x.trap_rank, x.trap_at)
                             : "at " + x.step;
  return fmt::format("{}, {}, {}: rank {} is {} {}",
                     x.staged ? "staged" : "in place",
                     x.sockets ? "gloo" : "shm", x.drop ? "drop" : "fail",
                     x.victim, x.freeze ? "frozen" : "killed", when);
}

constexpr bool either[] = {false, true};

/// Every step of the protocol at every rank that takes it.
std::vector<injection> all_steps() {
  std::vector<injection> out;
  for (auto staged : either)
    for (auto sockets : either)
      for (auto freeze : either)
        for (std::size_t victim = 0; victim < num_ranks; ++victim) {
          std::vector<std::string> steps{"open links", "connect", "transfer",
                                         "compare"};
          if (victim < 2)
            steps.insert(steps.end(), {"pin", "unpin"});
          else
            steps.insert(steps.end(), {"enroll", "fence", "open"});
          if (victim >= 2 && staged)
            steps.emplace_back("swap");
          for (const auto& step : steps)
            out.push_back({staged, sockets, freeze, false, victim, step});
        }
  return out;
}

/// The first byte of every bucket, and one inside it, as any rank touches it.
std::vector<injection> all_buckets() {
  std::vector<injection> out;
  constexpr auto bucket = tensor_bytes / num_buckets;
  for (auto staged : either)
    for (auto freeze : either)
      for (std::size_t victim = 0; victim < num_ranks; ++victim)
        for (std::size_t toucher = 0; toucher < num_ranks; ++toucher)
          for (std::uint64_t i = 0; i < num_buckets; ++i)
            // The kernel copies to and from sockets: no trap catches it.
            for (auto at : {i * bucket, i * bucket + bucket / 2})
              out.push_back(
                {staged, false, freeze, false, victim, {}, toucher, at});
  return out;
}

/// Deals all cards in random order, and again, so that none is missing long.
class deck {
public:
  explicit deck(std::vector<injection> cards) : cards_(std::move(cards)) {
    // nop
  }

  injection draw(std::mt19937_64& random) {
    if (next_ == 0)
      std::shuffle(cards_.begin(), cards_.end(), random);
    auto out = cards_[next_];
    next_ = (next_ + 1) % cards_.size();
    out.drop = random() % 2 == 0;
    return out;
  }

  [[nodiscard]] std::size_t size() const noexcept { return cards_.size(); }

private:
  std::vector<injection> cards_;
  std::size_t next_ = 0;
};

/// Counted over both models: ranks of the source first.
std::size_t index_of(const protocol::worker_name& x) {
  return static_cast<std::size_t>(x.model == "trainer" ? x.rank.value()
                                                       : 2 + x.replica.value());
}

/// What syncs came to: faults that change nothing would prove nothing.
struct tally {
  std::int64_t failed = 0;
  std::int64_t went_on = 0;
  std::int64_t unharmed = 0;
};

class trial {
public:
  trial(job& all, const injection& what, tally& ends)
    : all_(all),
      what_(what),
      ends_(ends) {
    // nop
  }

  /// What went wrong; empty if nothing did.
  std::string run() {
    if (auto made = all_.make(options_for()); !made)
      return "setting up: " + troupe::to_string(made.error());
    if (auto first = good_sync(1); !first.empty())
      return "before the fault: " + first;
    static_cast<void>(all_.call("trainer", "fill", 2));
    victim_ = all_.page().ranks[what_.victim].pid;
    arm();
    auto begin = std::chrono::steady_clock::now();
    auto got = all_.sync(sync_timeout_ms, what_.step == "compare");
    auto spent = std::chrono::steady_clock::now() - begin;
    all_.listen({});
    if (what_.step.empty())
      all_.page().ranks[what_.trap_rank].signal = disarm;
    auto wrong = judge(got, spent);
    if (!what_.freeze)
      return wrong;
    // Whoever wakes up finds its place again.
    ::kill(victim_, SIGCONT);
    return wrong.empty() ? heal({2, 3}) : wrong;
  }

private:
  [[nodiscard]] protocol::sync_options options_for() const {
    protocol::sync_options x;
    x.mode = what_.staged ? "staged" : "in_place";
    x.link = what_.sockets ? "gloo" : "auto";
    x.when_lost = what_.drop ? "drop" : "fail";
    // Only then a run builds links.
    x.free_groups = what_.step == "open links" || what_.step == "connect";
    // A bucket is a quarter of it.
    x.buffer_bytes_max = 4 * tensor_bytes / num_buckets;
    return x;
  }

  std::string good_sync(double value) {
    static_cast<void>(all_.call("trainer", "fill", value));
    auto got = all_.sync(10'000);
    return got ? "" : troupe::to_string(got.error());
  }

  void arm() {
    auto signal = what_.freeze ? SIGSTOP : SIGKILL;
    if (what_.step.empty()) {
      auto& x = all_.page().ranks[what_.trap_rank];
      x.trap_at = what_.trap_at;
      x.target = victim_;
      x.signal = signal;
      static_cast<void>(
        all_.call(what_.trap_rank < 2 ? "trainer" : "policy", "arm"));
      return;
    }
    all_.listen(
      [this, signal, done = false](const std::string& step,
                                   const protocol::worker_name& to) mutable {
        if (!done && step == what_.step && index_of(to) == what_.victim) {
          done = true;
          ::kill(victim_, signal);
        }
      });
  }

  std::string judge(const result<protocol::sync_report>& got,
                    std::chrono::steady_clock::duration spent) {
    ++(!got                   ? ends_.failed
       : got->dropped.empty() ? ends_.unharmed
                              : ends_.went_on);
    if (spent > hang_bound)
      return fmt::format("the sync took {} ms",
                         std::chrono::duration_cast<milliseconds>(spent)
                           .count());
    std::vector<std::size_t> alive;
    for (std::size_t i = 2; i < num_ranks; ++i)
      if (i != what_.victim)
        alive.push_back(i);
    // By policy it has run again without the dead; or the next one does, if a
    // living rank was late as well, on a busy machine.
    if (!got && what_.drop && !what_.freeze)
      return heal(alive);
    if (got)
      return check(alive, got->version.value(), true);
    // In place, the destination may be closed; staged, only if it failed after
    // the swap, when it is compared.
    return check(alive, std::nullopt, what_.staged && what_.step != "compare");
  }

  /// WS-1, WS-2: those of the destination's ranks that serve do so at one
  /// version, whole.
  std::string check(const std::vector<std::size_t>& ranks,
                    std::optional<std::uint64_t> version, bool all_serve) {
    auto& page = all_.page();
    std::array<std::uint64_t, num_ranks> before{};
    for (auto i : ranks)
      before[i] = page.ranks[i].served;
    all_.look(ranks);
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
    if (versions.size() > 1)
      return "two versions are served";
    if (version && versions.count(*version) == 0)
      return fmt::format("version {} was reported, {} is served", *version,
                         *versions.begin());
    return "";
  }

  /// A sync that failed is run again until it succeeds at these ranks.
  std::string heal(const std::vector<std::size_t>& ranks) {
    std::string last;
    for (auto i = 0; i < 5; ++i) {
      auto got = all_.sync(10'000);
      if (got)
        return check(ranks, got->version.value(), true);
      last = troupe::to_string(got.error());
    }
    return "it does not heal: " + last;
  }

  job& all_;
  injection what_;
  tally& ends_;
  std::int32_t victim_ = 0;
};

int test(std::uint64_t seed, std::int64_t count, bool verbose) {
  fmt::print("TROUPE_SEED={}\n", seed);
  std::fflush(stdout);
  char folder[] = "/tmp/sync_faults.XXXXXX";
  if (!::mkdtemp(folder))
    return 1;
  auto failed = 0;
  std::int64_t done = 0;
  tally ends;
  deck steps{all_steps()};
  deck buckets{all_buckets()};
  auto begin = std::chrono::steady_clock::now();
  {
    job all{folder};
    std::mt19937_64 random{seed};
    for (; done < count && failed < 5; ++done) {
      auto what = (done % 3 == 2 ? buckets : steps).draw(random);
      auto since = std::chrono::steady_clock::now();
      auto wrong = trial{all, what, ends}.run();
      if (verbose) {
        std::chrono::duration<double> spent = std::chrono::steady_clock::now()
                                              - since;
        fmt::print("{:6} {:6.2f} s  {}\n", done, spent.count(),
                   to_string(what));
        std::fflush(stdout);
      }
      if (wrong.empty())
        continue;
      ++failed;
      fmt::print("injection {}: {}: {}\n", done, to_string(what), wrong);
      std::fflush(stdout);
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  std::chrono::duration<double> spent = std::chrono::steady_clock::now()
                                        - begin;
  fmt::print("{} injections ({} steps and {} places in buckets, in random "
             "order), {} failed, {:.0f} s\n"
             "their syncs: {} failed, {} went on without the dead, {} were not "
             "harmed\n",
             done, steps.size(), buckets.size(), failed, spent.count(),
             ends.failed, ends.went_on, ends.unharmed);
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
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "--count")
      count = std::stoll(words[i + 1]);
    if (words[i] == "--seed")
      seed = std::stoull(words[i + 1]);
  }
  auto verbose = std::ranges::count(words, "--verbose") > 0;
  auto code = test(seed, count, verbose);
  std::fflush(nullptr);
  ::_exit(code);
}
