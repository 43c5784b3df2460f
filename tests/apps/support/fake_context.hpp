// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "troupe/actors/model/worker_context.hpp"

namespace troupe::test {

/// A worker_context without a job around it.
class fake_context : public worker_context {
public:
  fake_context(std::string model, std::uint64_t seed,
               const std::vector<option_spec>& specs, std::int32_t replica = 0,
               std::int32_t rank = 0, std::int32_t ranks = 1,
               comm::communicator_ptr group = nullptr)
    : model_(std::move(model)),
      seed_(seed),
      generator_(seed * 1'000'003 + static_cast<std::uint64_t>(replica) * 1009
                 + static_cast<std::uint64_t>(rank)),
      replica_(replica),
      rank_(rank),
      group_(std::move(group)) {
    sizes_.data = ranks;
    for (const auto& spec : specs)
      config_.set(spec.name, spec.otherwise);
  }

  options& settings() noexcept { return config_; }

  const std::string& model() const noexcept override { return model_; }
  replica_id replica() const noexcept override { return replica_id{replica_}; }
  std::int32_t num_replica() const noexcept override { return 1; }
  rank_id rank() const noexcept override { return rank_id{rank_}; }
  std::int32_t world_size() const noexcept override { return sizes_.data; }
  const planner::parallel_sizes& parallel() const noexcept override {
    return sizes_;
  }
  std::int32_t data_parallel_rank() const noexcept override { return rank_; }
  std::int32_t data_parallel_size() const noexcept override {
    return sizes_.data;
  }
  dlpack::device device() const noexcept override { return {}; }
  comm::communicator* world() noexcept override { return group_.get(); }
  comm::communicator* data_parallel() noexcept override { return group_.get(); }
  deadline collective_deadline() const override {
    return deadline::after(std::chrono::seconds{20});
  }
  const options& config() const noexcept override { return config_; }
  std::mt19937_64& generator() noexcept override { return generator_; }
  std::uint64_t seed() const noexcept override { return seed_; }
  int num_threads() const noexcept override { return 1; }

private:
  std::string model_;
  std::uint64_t seed_;
  std::mt19937_64 generator_;
  std::int32_t replica_;
  std::int32_t rank_;
  comm::communicator_ptr group_;
  planner::parallel_sizes sizes_;
  options config_;
};

} // namespace troupe::test
