// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/rates.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace troupe::bench {

double median(const seconds_list& rounds) {
  return summarize(rounds).median;
}

void add_rate(bench_report& to, const std::string& name, std::uint64_t bytes,
              const seconds_list& rounds, std::string budget) {
  std::vector<double> rates;
  for (auto x : rounds)
    rates.push_back(static_cast<double>(bytes) / x / 1e9);
  to.add_rounds(name + "_gb_per_s", rates, std::move(budget));
  auto all = summarize(rounds);
  to.note(fmt::format("{}: min {:.2f} ms, median {:.2f} ms, p99 {:.2f} ms",
                      name, all.min * 1e3, all.median * 1e3, all.p99 * 1e3));
}

void add_ratio(bench_report& to, std::string name, const seconds_list& a,
               const seconds_list& b, std::string budget, double less) {
  std::vector<double> rounds;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    rounds.push_back(a[i] / b[i] - less);
  to.add({std::move(name), median(a) / median(b) - less, summarize(rounds),
          std::move(budget)});
}

} // namespace troupe::bench
