// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/support/stub_model.hpp"

#include <memory>

namespace troupe::bench {

namespace {

class stub : public module {
public:
  batch echo(const batch& input) { return input; }
};

module_registry make_registry() {
  module_registry out;
  out.add(stub_name, [] { return std::make_unique<stub>(); })
    .add_function<stub>("echo", &stub::echo);
  return out;
}

} // namespace

const module_registry& stub_registry() {
  static const auto registry = make_registry();
  return registry;
}

model::model_job stub_job(worker_shape shape) {
  model::model_job job;
  job.spec.name = stub_name;
  job.spec.num_gpu = shape.processes;
  job.spec.num_replica = shape.processes;
  job.spec.parallel.data = shape.workers_each;
  job.place.name = stub_name;
  for (std::int32_t i = 0; i < shape.processes; ++i) {
    planner::replica_place replica;
    for (auto rank = 0; rank < shape.workers_each; ++rank)
      replica.ranks.push_back({node_id{0}, {device_id{i}}});
    job.place.replicas.push_back(std::move(replica));
  }
  bytes config;
  options{}.encode(config);
  job.config = protocol::to_payload(config);
  return job;
}

result<protocol::invoke> stub_call(process::batch_store& store,
                                   std::int64_t rows,
                                   std::chrono::milliseconds timeout) {
  std::vector<float> values(static_cast<std::size_t>(rows), 1);
  batch input;
  input.set("x", tensor::copy_of<float>(values, {rows}));
  auto part = store.put(input, 0);
  if (!part)
    return fail(part.error());
  protocol::invoke call;
  call.function = "echo";
  call.input.parts.push_back(std::move(*part));
  call.timeout_ms = static_cast<std::uint32_t>(timeout.count());
  return call;
}

} // namespace troupe::bench
