// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/checkpoint.hpp"

#include <stdexcept>
#include <string>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "troupe/actors/model/parameter_copy.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"

namespace troupe::torch {

namespace {

/// A copy of an arena's values in host memory, and its parameters there.
struct host_image {
  at::Tensor all;
  parameter_list parameters;

  explicit host_image(const arena& of)
    : all(of.flat_values().to(at::kCPU, of.flat_values().scalar_type(), false,
                              true)),
      parameters(of.parameters()) {
    if (parameters.empty())
      return;
    const auto* device = parameters.front().memory.data();
    auto* host = static_cast<std::byte*>(all.data_ptr());
    for (auto& x : parameters) {
      x.memory = {host + (x.memory.data() - device), x.memory.size()};
      x.arena.reset();
      x.device = {};
    }
  }
};

struct moment_names {
  std::string first;
  std::string second;
  std::string steps;

  explicit moment_names(std::string_view optimizer)
    : first(fmt::format("{}/first_moments", optimizer)),
      second(fmt::format("{}/second_moments", optimizer)),
      steps(fmt::format("{}/steps", optimizer)) {
    // nop
  }
};

tensor copy_of(const at::Tensor& x) {
  return to_host(x.to(at::kCPU, x.scalar_type(), false, true));
}

const tensor& find(const batch& in, const std::string& name,
                   const at::Tensor& like) {
  const auto* found = in.find(name);
  if (found == nullptr || found->type() != dtype::float32
      || found->extents() != shape{like.numel()})
    throw std::runtime_error{
      fmt::format("checkpoint: {} is {}, the model needs float32[{}]", name,
                  found == nullptr ? "missing" : to_string(*found),
                  like.numel())};
  return *found;
}

} // namespace

void save_parameters(batch& to, const arena& from) {
  host_image image{from};
  add_parameters(to, image.parameters);
}

void load_parameters(const batch& from, arena& to) {
  at::NoGradGuard no_grad;
  host_image image{to};
  restore_parameters(from, image.parameters);
  to.flat_values().copy_(image.all);
}

void save_optimizer(batch& to, std::string_view name, const adamw& from) {
  moment_names names{name};
  to.set(names.first, copy_of(from.first_moments()));
  to.set(names.second, copy_of(from.second_moments()));
  to.set_meta(names.steps, from.steps());
}

void load_optimizer(const batch& from, std::string_view name, adamw& to) {
  at::NoGradGuard no_grad;
  moment_names names{name};
  const auto& first = find(from, names.first, to.first_moments());
  const auto& second = find(from, names.second, to.second_moments());
  to.first_moments().copy_(to_torch(first));
  to.second_moments().copy_(to_torch(second));
  to.resume_at(static_cast<std::int64_t>(from.meta_number(names.steps)));
}

} // namespace troupe::torch
