// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "troupe/core/units.hpp"
#include "troupe/planner/report/plan_view.hpp"
#include "troupe/planner/report/text_layout.hpp"
#include "troupe/planner/report/transfer_view.hpp"
#include "troupe/planner/weights/findings.hpp"
#include "troupe/planner/weights/unclaimed.hpp"

namespace troupe::planner::report {

namespace {

constexpr std::size_t line_width = 80;
/// A longer list is summed up, or cut.
constexpr std::size_t long_list = 24;
constexpr std::size_t number_width = 10;
constexpr std::size_t field_width = 14;

class transfer_text {
public:
  transfer_text(const transfer_view& x, std::string_view planner)
    : x_(x),
      planner_(planner) {
    // nop
  }

  std::string render() {
    head();
    ranks("Source", "sends", x_.source, x_.figures.sent);
    ranks("Destination", "receives", x_.destination, x_.figures.received);
    schedule();
    problems();
    unclaimed();
    return std::move(out_);
  }

private:
  /// `margin` stands before every line, `indent` before all but the first.
  void line(std::string_view text, std::size_t margin = 0,
            std::size_t indent = 0) {
    for (const auto& part : wrap(printable(text), line_width - margin, indent))
      out_ += fmt::format("{:{}}{}\n", "", margin, part);
  }

  void field(std::string_view name, std::string_view text) {
    auto first = true;
    for (const auto& part : wrap(text, line_width - field_width)) {
      out_ += fmt::format("  {:{}}{}\n", first ? name : "", field_width - 2,
                          part);
      first = false;
    }
  }

  static std::string side(const weights::shared_layout& layout) {
    std::set<node_id> nodes;
    for (const auto& rank : layout.ranks())
      nodes.insert(rank.node);
    return fmt::format("{} ({} on {})", layout.model(),
                       counted(layout.ranks().size(), "rank"),
                       counted(nodes.size(), "node"));
  }

  void head() {
    const auto& figures = x_.figures;
    line(fmt::format("Transfer plan by {}: {} -> {}", planner_, side(x_.source),
                     side(x_.destination)),
         0, 2);
    out_ += '\n';
    field("moved", fmt::format("{} in {}; the least possible is {}",
                               format_bytes(figures.bytes_total),
                               counted(x_.plan.transfers.size(), "transfer"),
                               format_bytes(x_.lower_bound)));
    if (figures.bytes_detour > 0)
      field("detours",
            fmt::format("{} more on ChatLearn's way, which leads over ranks "
                        "that gather or hand on; Troupe goes directly",
                        format_bytes(figures.bytes_detour)));
    field("by link",
          fmt::format("inproc {}, shm {}, gloo {}",
                      format_bytes(figures.by_link[link_kind::inproc]),
                      format_bytes(figures.by_link[link_kind::shm]),
                      format_bytes(figures.by_link[link_kind::gloo])));
    field("busiest", fmt::format("a source sends {}, a destination receives {}",
                                 format_bytes(figures.max_bytes_sent),
                                 format_bytes(figures.max_bytes_received)));
    field("predicted", format_seconds(figures.predicted_seconds));
  }

  static std::string amount(std::uint64_t bytes) {
    return fit_right(bytes == 0 ? "-" : format_bytes(bytes), number_width);
  }

  void ranks(std::string_view title, std::string_view verb,
             const weights::shared_layout& layout,
             const std::vector<weights::link_bytes>& bytes) {
    out_ += fmt::format("\n{:<11} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n",
                        title, "node", "device", verb, "inproc", "shm", "gloo");
    auto shown = std::min(bytes.size(), long_list);
    for (std::size_t i = 0; i < shown; ++i) {
      const auto& who = layout.ranks()[i];
      out_ += fmt::format("{:>11} {:>10} {:>10} {}", who.rank.value(),
                          who.node.value(), who.device.value(),
                          amount(bytes[i].total()));
      for (auto link : weights::all_links)
        out_ += ' ' + amount(bytes[i][link]);
      out_ += '\n';
    }
    if (shown == bytes.size())
      return;
    std::uint64_t least = bytes[shown].total();
    std::uint64_t most = least;
    for (auto i = shown; i < bytes.size(); ++i) {
      least = std::min(least, bytes[i].total());
      most = std::max(most, bytes[i].total());
    }
    line(fmt::format("and {}, each {} to {}",
                     counted(bytes.size() - shown, "more rank"),
                     format_bytes(least), format_bytes(most)),
         2);
  }

  void schedule() {
    out_ += "\nSchedule\n";
    if (x_.plan.transfers.empty())
      line("nothing moves", 2);
    else if (x_.plan.transfers.size() <= long_list)
      for (const auto& x : x_.plan.transfers)
        line(fmt::format("{} over {}: {} {}, {}", ends(x), to_string(x.link),
                         x_.plan.logical[x.logical], to_string(x.where),
                         format_bytes(x.bytes)),
             2, 4);
    else
      summary();
  }

  static std::string ends(const planned_transfer& x) {
    auto out = std::to_string(x.source.value());
    if (x.gathered_by && *x.gathered_by != x.source)
      out += fmt::format(" (gathered by {})", x.gathered_by->value());
    // The first word says it is ranks.
    auto to = weights::name_ranks(x.destinations);
    out += " -> " + to.substr(to.find(' ') + 1);
    if (x.handed_on_by)
      out += fmt::format(" (handed on by {})", x.handed_on_by->value());
    return out;
  }

  /// One line for all that takes the same way.
  void summary() {
    struct sum {
      std::size_t pieces = 0;
      std::set<std::uint32_t> tensors;
      std::uint64_t bytes = 0;
    };
    using way_key = std::pair<std::string, link_kind>;
    std::map<way_key, std::size_t> numbers;
    std::vector<std::pair<way_key, sum>> ways;
    for (const auto& x : x_.plan.transfers) {
      way_key way{ends(x), x.link};
      auto [at, added] = numbers.emplace(way, ways.size());
      if (added)
        ways.emplace_back(std::move(way), sum{});
      auto& all = ways[at->second].second;
      ++all.pieces;
      all.tensors.insert(x.logical);
      all.bytes += x.bytes * x.destinations.size();
    }
    std::ranges::stable_sort(ways, std::ranges::greater{},
                             [](const auto& x) { return x.second.bytes; });
    auto shown = std::min(ways.size(), long_list);
    for (std::size_t i = 0; i < shown; ++i) {
      const auto& [way, all] = ways[i];
      line(fmt::format("{} over {}: {} of {}, {}", way.first,
                       to_string(way.second), counted(all.pieces, "piece"),
                       counted(all.tensors.size(), "tensor"),
                       format_bytes(all.bytes)),
           2, 4);
    }
    if (shown < ways.size())
      line(fmt::format("and {} with fewer bytes; --json lists every transfer",
                       counted(ways.size() - shown, "more way")),
           2);
  }

  void problems() {
    out_ += '\n';
    if (x_.problems.empty()) {
      line("Every element of the destination is written exactly once.");
      return;
    }
    line(fmt::format("Problems: {}", format_count(x_.problems.size())));
    auto shown = std::min(x_.problems.size(), long_list);
    for (std::size_t i = 0; i < shown; ++i)
      line("- " + x_.problems[i], 2, 2);
    if (shown < x_.problems.size())
      line(fmt::format("and {}; --json lists them",
                       counted(x_.problems.size() - shown, "more problem")),
           2);
  }

  void unclaimed() {
    auto text = weights::unclaimed_text(x_.source, x_.destination);
    if (!text.empty())
      line(fmt::format("Warning: {}.", text), 0, 2);
  }

  const transfer_view& x_;
  std::string_view planner_;
  std::string out_;
};

} // namespace

std::string render_transfer(const transfer_view& x, std::string_view planner) {
  return transfer_text{x, planner}.render();
}

} // namespace troupe::planner::report
