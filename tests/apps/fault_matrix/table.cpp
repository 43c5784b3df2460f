// SPDX-License-Identifier: Apache-2.0
#include "apps/fault_matrix/table.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace fault_matrix {

namespace {

constexpr auto legend = R"(
A cell: seconds from the fault until an error was recorded / until the run had
ended; of a driver and of a node that stays frozen: until all they had was gone.
"-": nothing like this can happen. "!": not as expected, see above.

driver   the program that was started, on this machine with two devices
guard    its guard
trainer  the host of a device with a trainer's rank and a policy's replica
policy   the host of a policy's replica alone (isolated)
cpu      the CPU host
far-...  the same, of a run over two nodes of one device each
node     one node's process for the job; parent: what was started as `node`

Signals come from outside while a worker stands still in the phase. The others
happen in the application: in the function that runs then, or in a thread of
its own where the process has no such function; in drivers in data source and
metric. Nodes and guards run no code of the application, and during a sync the
driver runs none. memory: nothing can be allocated from then on (RLIMIT_AS); it
takes the application some time to get there. Of nodes and guards the limit is
set from outside, and they may get along with what they have.
)";

std::string seconds(const std::optional<int>& ms) {
  return ms ? fmt::format("{:.2f}", *ms / 1e3) : std::string{"-"};
}

std::string times(const outcome& x) {
  return fmt::format("{}{}/{}", x.wrong.empty() ? "" : "!",
                     seconds(x.detect_ms), seconds(x.end_ms));
}

/// How a run ended, in a word that fits.
std::string ending(const outcome& x) {
  if (!x.code)
    return "?";
  if (*x.code < 0)
    return fmt::format("signal {}", -*x.code);
  return *x.code == 0 ? "ends: 0" : fmt::format("exit {}", *x.code);
}

constexpr victim host_victims[] = {victim::trainer, victim::policy, victim::cpu,
                                   victim::far_trainer};

using place = std::tuple<bool, fault, phase, victim>;

class matrix {
public:
  explicit matrix(const std::vector<outcome>& all) {
    for (const auto& x : all)
      cells_[{x.where.restart, x.where.what, x.where.when, x.where.whom}] = &x;
  }

  [[nodiscard]] bool has(bool restart) const {
    return std::ranges::any_of(cells_, [=](const auto& x) {
      return std::get<0>(x.first) == restart;
    });
  }

  template <std::size_t N>
  [[nodiscard]] std::string render(bool restart,
                                   const victim (&from)[N]) const {
    std::string out;
    for (auto what : all_faults) {
      out += fmt::format("{:10}", to_string(what));
      for (auto whom : from)
        out += fmt::format("{:>12}", to_string(whom));
      out += '\n';
      for (auto when : all_phases) {
        out += fmt::format("{:10}", to_string(when));
        for (auto whom : from)
          out += fmt::format("{:>12}", text_of({what, whom, when, restart}));
        out += '\n';
      }
      out += fmt::format("{:10}", "");
      for (auto whom : from)
        out += fmt::format("{:>12}", ending_of(restart, what, whom));
      out += "\n\n";
    }
    return out;
  }

private:
  [[nodiscard]] std::string text_of(const cell& x) const {
    if (!senseless(x).empty())
      return "-";
    auto i = cells_.find({x.restart, x.what, x.when, x.whom});
    return i == cells_.end() ? "" : times(*i->second);
  }

  /// Of all phases, if it is the same.
  [[nodiscard]] std::string ending_of(bool restart, fault what,
                                      victim whom) const {
    std::set<std::string> found;
    for (auto when : all_phases)
      if (auto i = cells_.find({restart, what, when, whom}); i != cells_.end())
        found.insert(ending(*i->second));
    if (found.empty())
      return "";
    return found.size() == 1 ? *found.begin() : "varies";
  }

  std::map<place, const outcome*> cells_;
};

std::optional<int> worst(const std::vector<outcome>& all,
                         std::optional<int> outcome::*what) {
  std::optional<int> out;
  for (const auto& x : all)
    if (!x.where.restart && x.*what)
      out = std::max(out.value_or(0), *(x.*what));
  return out;
}

} // namespace

std::string render(const std::vector<outcome>& all) {
  matrix both{all};
  std::string out;
  if (both.has(false))
    out += "On this machine, on_failure: stop\n\n"
           + both.render(false, near_victims) + "Over two nodes\n\n"
           + both.render(false, far_victims);
  if (both.has(true))
    out += "on_failure: restart. Each run ends with the metrics and the ledger "
           "of "
           "an\nundisturbed one, after one restart.\n\n"
           + both.render(true, host_victims);
  auto wrong = std::ranges::count_if(all, [](const outcome& x) {
    return !x.wrong.empty();
  });
  auto left = std::ranges::count_if(all, [](const outcome& x) {
    return !x.left.empty();
  });
  out += legend;
  out += fmt::format("\n{} cells, {} not as expected, {} left something behind "
                     "after 2 s.\nAt most {} s until seen, {} s until ended.\n",
                     all.size(), wrong, left,
                     seconds(worst(all, &outcome::detect_ms)),
                     seconds(worst(all, &outcome::end_ms)));
  return out;
}

nlohmann::json to_json(const std::vector<outcome>& all, std::uint64_t seed) {
  auto cells = nlohmann::json::array();
  for (const auto& x : all) {
    nlohmann::json row{{"fault", to_string(x.where.what)},
                       {"process", to_string(x.where.whom)},
                       {"phase", to_string(x.where.when)},
                       {"restart", x.where.restart},
                       {"words", x.words},
                       {"left", x.left},
                       {"wrong", x.wrong}};
    auto put = [&](const char* key, const std::optional<int>& value) {
      row[key] = value ? nlohmann::json(*value) : nlohmann::json(nullptr);
    };
    put("detect_ms", x.detect_ms);
    put("end_ms", x.end_ms);
    put("code", x.code);
    cells.push_back(std::move(row));
  }
  double load[1] = {};
  static_cast<void>(::getloadavg(load, 1));
  return {{"seed", seed}, {"load", load[0]}, {"cells", std::move(cells)}};
}

} // namespace fault_matrix
