// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/bucket.hpp"

#include <map>

#include "troupe/planner/saturate.hpp"

namespace troupe::planner::chatlearn {

std::vector<bucket> cut_buckets(const std::vector<bucket_tensor>& tensors,
                                std::int64_t limit_mb) {
  constexpr std::int64_t mib = 1024 * 1024;
  struct open_bucket {
    std::vector<std::int64_t> tensors;
    std::int64_t bytes = 0;
  };
  std::vector<bucket> out;
  std::vector<open_bucket> types;
  std::map<std::string, std::size_t> position;
  auto limit = times(limit_mb, mib);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& x = tensors[i];
    auto at = static_cast<std::int64_t>(i);
    if (x.sparse) {
      out.push_back({{at}, true});
      continue;
    }
    auto [type, added] = position.emplace(x.type, types.size());
    if (added)
      types.emplace_back();
    auto& open = types[type->second];
    auto bytes = times(times(x.numel, x.element_size), x.multiple);
    if (limit > 0 && !open.tensors.empty() && plus(open.bytes, bytes) > limit) {
      out.push_back({std::move(open.tensors), false});
      open = {};
    }
    open.tensors.push_back(at);
    open.bytes = plus(open.bytes, bytes);
  }
  for (auto& open : types)
    if (!open.tensors.empty())
      out.push_back({std::move(open.tensors), false});
  return out;
}

} // namespace troupe::planner::chatlearn
