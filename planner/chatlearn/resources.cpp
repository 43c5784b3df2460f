// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/chatlearn/resources.hpp"

#include <fmt/format.h>

namespace troupe::planner::chatlearn {

outcome<std::vector<bundle>> cut_bundles(std::int64_t num_gpu,
                                         const machines& cluster) {
  auto size = cluster.gpu_per_node;
  if (size < 1 || num_gpu < 1)
    return refuse(refusal_kind::assertion,
                  fmt::format("{} GPUs cannot be cut into nodes of {}", num_gpu,
                              size));
  if (num_gpu <= size)
    return std::vector<bundle>{
      {num_gpu, cluster.cpu_per_node * num_gpu / size}};
  if (num_gpu % size != 0)
    return refuse(refusal_kind::assertion,
                  fmt::format("{} GPUs are more than a node's {} but no "
                              "multiple of it",
                              num_gpu, size));
  return std::vector<bundle>(static_cast<std::size_t>(num_gpu / size),
                             bundle{size, cluster.cpu_per_node});
}

node_ledger::node_ledger(const machines& cluster)
  : free_(static_cast<std::size_t>(cluster.num_node), cluster.gpu_per_node) {
  // nop
}

std::optional<std::vector<std::int64_t>>
node_ledger::place(const std::vector<bundle>& bundles) {
  std::vector<std::int64_t> nodes;
  // Bundles of one group are equal, so the search goes on where it stopped.
  std::size_t at = 0;
  for (const auto& x : bundles) {
    while (at < free_.size() && free_[at] < x.gpu)
      ++at;
    if (at == free_.size())
      return std::nullopt;
    free_[at] -= x.gpu;
    nodes.push_back(static_cast<std::int64_t>(at));
  }
  return nodes;
}

} // namespace troupe::planner::chatlearn
