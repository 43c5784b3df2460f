// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/golden_check/rankmap_case.hpp"

#include <map>

namespace troupe::golden {

namespace {

namespace chatlearn = planner::chatlearn;

/// Numbers the GPUs that a case names by [node, gpu].
class gpu_numbers {
public:
  std::vector<std::int64_t> read_gpus(const json& in) {
    using gpu_name = std::pair<std::int64_t, std::int64_t>;
    std::vector<std::int64_t> out;
    for (const auto& x : read<std::vector<gpu_name>>(in, "gpus"))
      out.push_back(
        numbers_.emplace(x, static_cast<std::int64_t>(numbers_.size()))
          .first->second);
    return out;
  }

private:
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> numbers_;
};

} // namespace

bool is_fsdp(const json& in) {
  return read<std::string>(in, "variant") == "fsdp";
}

planner::chatlearn::sync_request read_sync_request(const json& in) {
  chatlearn::sync_request out;
  if (read<std::string>(in, "variant") == "hep")
    out.variant = chatlearn::sync_variant::hep;
  if (read_or<std::string>(in, "comm", "broadcast") == "p2p")
    out.comm = chatlearn::sync_comm::p2p;
  if (read_or<std::string>(in, "regroup_comm", "alltoall") == "allgather")
    out.regroup = chatlearn::regroup_comm::allgather;
  out.colocated = read<bool>(in, "colocated");
  gpu_numbers gpus;
  const auto& src = in.at("src");
  out.source.tensor = read<std::int64_t>(src, "tp");
  out.source.pipeline = read<std::int64_t>(src, "pp");
  out.source.expert = read<std::int64_t>(src, "ep");
  out.source.gpu = gpus.read_gpus(src);
  auto num_rank = out.source.gpu.size();
  if (!is_fsdp(in)) {
    out.source.dp_size = read<std::int64_t>(src, "dp_size");
    out.source.dp_rank = read<std::vector<std::int64_t>>(src, "dp_rank");
    out.source.data_index.assign(num_rank, 0);
    using owner = std::pair<std::int64_t, std::int64_t>;
    for (const auto& [rank, index] :
         read<std::vector<owner>>(src, "param_owner"))
      out.source.data_index.at(static_cast<std::size_t>(rank)) = index;
  }
  const auto& dst = in.at("dst");
  out.destination.tensor = read<std::int64_t>(dst, "tp");
  out.destination.pipeline = read<std::int64_t>(dst, "pp");
  out.destination.expert = read<std::int64_t>(dst, "ep");
  out.destination.is_vllm = read_or<std::string>(dst, "backend", "megatron")
                            == "vllm";
  out.destination
    .replica_sizes = read<std::vector<std::int64_t>>(dst, "replica_sizes");
  out.destination.gpu = gpus.read_gpus(dst);
  return out;
}

} // namespace troupe::golden
