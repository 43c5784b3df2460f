// SPDX-License-Identifier: Apache-2.0
// The fault matrix: every fault, in every process of a job, in every phase of a
// run, over real processes: how soon it is seen, how the run ends, what is
// left.
//
//   test_fault_matrix [--seed S] [--count N | --all] [--seconds T]
//                     [--only TEXT] [--set KEY=VALUE] [--json FILE] [--verbose]
//
// Without --all, N cells (default 60) are drawn; with --seconds no new one
// begins after T. --only keeps the cells whose name contains TEXT, as --verbose
// prints it ("SIGSTOP", "guard training", "restart"). --set goes to the runs:
// with runtime.debug=true nobody is taken for frozen, and SIGSTOP fails.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "apps/fault_matrix/table.hpp"
#include "apps/fault_matrix/trial.hpp"
#include "support/random_seed.hpp"

using namespace fault_matrix;

namespace {

struct arguments {
  std::uint64_t seed = troupe::test::random_seed();
  std::size_t count = 60;
  bool all = false;
  std::chrono::seconds time{24 * 3600};
  std::string only;
  std::vector<std::string> more;
  std::string json;
  bool verbose = false;
};

arguments read(const std::vector<std::string>& words) {
  arguments out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto& word = words[i];
    auto value = i + 1 < words.size() ? words[i + 1] : std::string{};
    if (word == "--seed")
      out.seed = std::stoull(value);
    if (word == "--count")
      out.count = std::stoull(value);
    if (word == "--seconds")
      out.time = std::chrono::seconds{std::stoll(value)};
    if (word == "--only")
      out.only = value;
    if (word == "--set")
      out.more.insert(out.more.end(), {word, value});
    if (word == "--json")
      out.json = value;
    if (word == "--all")
      out.all = true;
    if (word == "--verbose")
      out.verbose = true;
  }
  return out;
}

void tell(const outcome& x) {
  auto ms = [](const std::optional<int>& y) {
    return y ? fmt::format("{}", *y) : std::string{"-"};
  };
  fmt::print("{:38} {:>6} {:>6}  {}\n", to_string(x.where), ms(x.detect_ms),
             ms(x.end_ms), x.wrong.empty() ? "as expected" : x.wrong);
  if (!x.wrong.empty())
    fmt::print("  the driver's last words: {}\n", x.words);
  std::fflush(stdout);
}

} // namespace

int main(int argc, char** argv) {
  auto args = read({argv + 1, argv + argc});
  auto cells = all_cells();
  auto num_cell = cells.size();
  std::erase_if(cells, [&](const cell& x) {
    return to_string(x).find(args.only) == std::string::npos;
  });
  if (cells.empty()) {
    fmt::print("no cell is called '{}'\n", args.only);
    return 1;
  }
  if (!args.all) {
    std::mt19937_64 random{args.seed};
    std::ranges::shuffle(cells, random);
    if (cells.size() > args.count)
      cells.resize(args.count);
  }
  fmt::print("TROUPE_SEED={}: {} of {} cells\n", args.seed, cells.size(),
             num_cell);
  std::fflush(stdout);
  baseline undisturbed;
  std::vector<outcome> done;
  auto begin = std::chrono::steady_clock::now();
  for (const auto& x : cells) {
    if (std::chrono::steady_clock::now() - begin > args.time)
      break;
    done.push_back(try_cell(x, undisturbed, args.more));
    if (args.verbose || !done.back().wrong.empty())
      tell(done.back());
  }
  std::chrono::duration<double> spent = std::chrono::steady_clock::now()
                                        - begin;
  fmt::print("\n{}{:.0f} s\n", render(done), spent.count());
  if (!args.json.empty())
    std::ofstream{args.json} << to_json(done, args.seed).dump(1) << '\n';
  return std::ranges::all_of(done,
                             [](const outcome& x) { return x.wrong.empty(); })
           ? 0
           : 1;
}
