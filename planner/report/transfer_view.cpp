// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/report/transfer_view.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "troupe/planner/weights/flows.hpp"
#include "troupe/planner/weights/verify.hpp"

namespace troupe::planner::report {

namespace {

using nlohmann::json;

std::string json_text(std::string_view text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string numbers(const std::vector<rank_id>& ranks) {
  std::vector<std::int32_t> out;
  for (auto rank : ranks)
    out.push_back(rank.value());
  return fmt::format("[{}]", fmt::join(out, ", "));
}

} // namespace

transfer_view view_transfer(const transfer_plan& plan,
                            const weights::shared_layout& source,
                            const weights::shared_layout& destination) {
  return {plan,
          source,
          destination,
          weights::measure(plan, source, destination),
          weights::lower_bound(source, destination),
          weights::verify(plan, source, destination)};
}

std::string render_transfer_json(const transfer_view& x) {
  // By hand: a document object of a large plan would take far more memory than
  // the plan.
  std::string out = "{\"transfers\": [";
  auto* separator = "\n";
  std::vector<std::int64_t> begin;
  std::vector<std::int64_t> end;
  for (const auto& transfer : x.plan.transfers) {
    begin.clear();
    end.clear();
    for (std::size_t i = 0; i < transfer.where.dims(); ++i) {
      begin.push_back(transfer.where[i].begin);
      end.push_back(transfer.where[i].end);
    }
    fmt::format_to(std::back_inserter(out),
                   "{}  {{\"src\": {}, \"dst\": {}, \"logical\": {}, "
                   "\"begin\": [{}], \"end\": [{}], \"link\": \"{}\"}}",
                   separator, transfer.source.value(),
                   numbers(transfer.destinations),
                   json_text(x.plan.logical[transfer.logical]),
                   fmt::join(begin, ", "), fmt::join(end, ", "),
                   to_string(transfer.link));
    separator = ",\n";
  }
  fmt::format_to(std::back_inserter(out),
                 "],\n \"bytes_total\": {},\n \"bytes_lower_bound\": {},\n "
                 "\"max_bytes_sent\": {},\n \"predicted_seconds\": {},\n "
                 "\"problems\": [",
                 x.figures.bytes_total, x.lower_bound, x.figures.max_bytes_sent,
                 json(x.figures.predicted_seconds).dump());
  separator = "\n";
  for (const auto& problem : x.problems) {
    out += fmt::format("{}  {}", separator, json_text(problem));
    separator = ",\n";
  }
  out += "]}\n";
  return out;
}

} // namespace troupe::planner::report
