// SPDX-License-Identifier: Apache-2.0
// Kills and freezes ranks of a weight sync over real processes, at every step
// of the protocol and wherever a byte is copied, and looks what is left.
//
//   test_sync_faults [--count N] [--seed S] [--jobs J] [--only TEXT]
//                    [--verbose]
//
// --only keeps the injections whose text, as --verbose prints it, contains TEXT
// ("at reopen", "arena"; but whether the dead are dropped is decided later).
// With --jobs, as many jobs side by side share the count; each has a seed of
// its own, counted from S on, which alone repeats it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/sync_faults/injection.hpp"
#include "actors/sync_faults/job.hpp"
#include "actors/sync_faults/trial.hpp"
#include "actors/sync_faults/weights.hpp"
#include "support/scratch.hpp"
#include "troupe/actors/node/host_main.hpp"

using namespace troupe;
using namespace sync_faults;

namespace {

int inject(std::uint64_t seed, std::int64_t count, const std::string& only,
           bool verbose) {
  fmt::print("TROUPE_SEED={}\n", seed);
  std::fflush(stdout);
  test::scratch folder;
  auto failed = 0;
  std::int64_t done = 0;
  tally ends;
  deck steps{all_steps()};
  deck buckets{all_buckets()};
  for (auto* x : {&steps, &buckets})
    x->keep(only);
  if (steps.size() + buckets.size() == 0) {
    fmt::print("no injection is called '{}'\n", only);
    return 1;
  }
  auto begin = std::chrono::steady_clock::now();
  {
    job all{folder.path()};
    std::mt19937_64 random{seed};
    for (; done < count && failed < 5; ++done) {
      auto wants_bucket = done % 2 == 1 ? buckets.size() > 0
                                        : steps.size() == 0;
      auto what = (wants_bucket ? buckets : steps).draw(random);
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
  std::chrono::duration<double> spent = std::chrono::steady_clock::now()
                                        - begin;
  fmt::print("{} injections ({} steps and {} places in buckets, in random "
             "order), {} failed, {:.0f} s\n"
             "their syncs: {} failed, {} went on without the dead, {} were not "
             "harmed; {} faults never came about\n",
             done, steps.size(), buckets.size(), failed, spent.count(),
             ends.failed, ends.went_on, ends.unharmed, ends.missed);
  return failed == 0 ? 0 : 1;
}

/// `words` without the option `name` and its value.
std::vector<std::string> without(std::vector<std::string> words,
                                 std::string_view name) {
  for (std::size_t i = 0; i + 1 < words.size();)
    if (words[i] == name)
      words.erase(words.begin() + static_cast<std::ptrdiff_t>(i),
                  words.begin() + static_cast<std::ptrdiff_t>(i) + 2);
    else
      ++i;
  return words;
}

/// Runs this program `jobs` times side by side. 0 if all of them are right.
int share_out(const char* program, std::vector<std::string> words,
              std::uint64_t seed, std::int64_t count, std::int64_t jobs) {
  for (const auto* name : {"--jobs", "--count", "--seed"})
    words = without(std::move(words), name);
  std::vector<pid_t> children;
  for (std::int64_t i = 0; i < jobs; ++i) {
    auto mine = words;
    mine.insert(mine.begin(), program);
    mine.insert(mine.end(),
                {"--count", std::to_string(count / jobs + (i < count % jobs)),
                 "--seed",
                 std::to_string(seed + static_cast<std::uint64_t>(i))});
    std::vector<char*> arguments;
    for (auto& x : mine)
      arguments.push_back(x.data());
    arguments.push_back(nullptr);
    auto child = ::fork();
    if (child == 0) {
      ::execv("/proc/self/exe", arguments.data());
      ::_exit(127);
    }
    children.push_back(child);
  }
  auto code = 0;
  for (auto child : children) {
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) < 0 || status != 0)
      code = 1;
  }
  return code;
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
  std::int64_t jobs = 1;
  std::string only;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "--count")
      count = std::stoll(words[i + 1]);
    if (words[i] == "--seed")
      seed = std::stoull(words[i + 1]);
    if (words[i] == "--jobs")
      jobs = std::stoll(words[i + 1]);
    if (words[i] == "--only")
      only = words[i + 1];
  }
  if (jobs > 1)
    return share_out(argv[0], words, seed, count, jobs);
  auto verbose = std::ranges::count(words, "--verbose") > 0;
  auto code = inject(seed, count, only, verbose);
  std::fflush(nullptr);
  ::_exit(code);
}
