// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/weights/unclaimed.hpp"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "troupe/planner/weights/layout_index.hpp"

namespace troupe::planner::weights {

namespace {

constexpr std::size_t names_max = 4;

} // namespace

unclaimed_tensors unclaimed(const shared_layout& source,
                            const shared_layout& destination) {
  name_table names;
  layout_index held{source, names};
  layout_index needed{destination, names};
  unclaimed_tensors out;
  for (std::uint32_t i = 0; i < names.size(); ++i) {
    if (held.of(i).empty())
      continue;
    ++out.held;
    if (needed.of(i).empty())
      out.names.emplace_back(names[i]);
  }
  return out;
}

std::string unclaimed_text(const shared_layout& source,
                           const shared_layout& destination) {
  auto found = unclaimed(source, destination);
  auto count = found.names.size();
  if (count == 0)
    return {};
  auto more = count > names_max ? fmt::format(" and {} more", count - names_max)
                                : std::string{};
  found.names.resize(std::min(count, names_max));
  return fmt::format("{} of {} tensors of {} go{} nowhere, because {} has none "
                     "of that name: '{}'{}",
                     count, found.held, source.model(), count == 1 ? "es" : "",
                     destination.model(), fmt::join(found.names, "', '"), more);
}

} // namespace troupe::planner::weights
