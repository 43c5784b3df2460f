// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/collectives.hpp"

#include <string_view>

#include "troupe/apps/torch/device_stream.hpp"
#include "troupe/core/exception.hpp"

namespace troupe::torch {

namespace {

void check(const result<void>& outcome, std::string_view operation) {
  if (!outcome)
    throw exception{outcome.error().within(operation)};
}

} // namespace

void all_reduce_sum(std::span<float> values, comm::communicator* group,
                    deadline until) {
  if (group == nullptr)
    return;
  check(group->all_reduce(std::as_writable_bytes(values), dtype::float32,
                          comm::reduce_op::sum, until),
        "all-reduce");
}

float all_reduce_max(float value, comm::communicator* group, deadline until) {
  if (group != nullptr)
    check(group->all_reduce(std::as_writable_bytes(std::span{&value, 1}),
                            dtype::float32, comm::reduce_op::max, until),
          "all-reduce");
  return value;
}

void all_reduce_gradients(arena& parameters, comm::communicator* group,
                          deadline until) {
  auto* gradients = parameters.gradient_block();
  if (group == nullptr || gradients == nullptr)
    return;
  synchronize(gradients->device());
  check(group->all_reduce(gradients->bytes(), dtype::float32,
                          comm::reduce_op::sum, until),
        "all-reduce");
}

void broadcast_parameters(arena& parameters, comm::communicator* group,
                          deadline until) {
  if (group == nullptr)
    return;
  auto& values = parameters.value_block();
  synchronize(values.device());
  check(group->broadcast(values.bytes(), rank_id{0}, until),
        "broadcast of parameters");
}

} // namespace troupe::torch
