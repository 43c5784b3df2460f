// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/adamw.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

namespace troupe::torch {

struct adamw::impl {
  arena& parameters;
  adamw_settings settings;
  std::int64_t steps = 0;
  device_block first;
  device_block second;
  at::Tensor first_moment;
  at::Tensor second_moment;

  impl(arena& xs, const adamw_settings& config)
    : parameters(xs),
      settings(config),
      first(size_of_all(xs), xs.settings().device, block_use::own),
      second(first.size(), xs.settings().device, block_use::own),
      first_moment(floats(first)),
      second_moment(floats(second)) {
    // nop
  }

  static std::size_t size_of_all(arena& like) {
    if (like.gradient_block() == nullptr)
      throw std::invalid_argument{"an optimizer needs parameters that train"};
    return like.gradient_block()->size();
  }

  static at::Tensor floats(const device_block& x) {
    return x.part(0, dtype::float32,
                  {static_cast<std::int64_t>(x.size() / sizeof(float))});
  }
};

adamw::adamw(arena& parameters, const adamw_settings& settings)
  : impl_(std::make_unique<impl>(parameters, settings)) {
  // nop
}

adamw::~adamw() = default;

void adamw::step(double learning_rate) {
  at::NoGradGuard no_grad;
  auto& s = impl_->settings;
  auto& values = impl_->parameters.flat_values();
  auto& gradients = impl_->parameters.flat_gradients();
  auto& m = impl_->first_moment;
  auto& v = impl_->second_moment;
  auto t = static_cast<double>(++impl_->steps);
  auto correction1 = 1 - std::pow(s.beta1, t);
  auto correction2 = 1 - std::pow(s.beta2, t);
  values.mul_(1 - learning_rate * s.weight_decay);
  m.mul_(s.beta1).add_(gradients, 1 - s.beta1);
  v.mul_(s.beta2).addcmul_(gradients, gradients, 1 - s.beta2);
  auto denominator = v.sqrt().div_(std::sqrt(correction2)).add_(s.epsilon);
  values.addcdiv_(m, denominator, -learning_rate / correction1);
}

std::int64_t adamw::steps() const noexcept {
  return impl_->steps;
}

const at::Tensor& adamw::first_moments() const noexcept {
  return impl_->first_moment;
}

const at::Tensor& adamw::second_moments() const noexcept {
  return impl_->second_moment;
}

device_block& adamw::first_block() noexcept {
  return impl_->first;
}

device_block& adamw::second_block() noexcept {
  return impl_->second;
}

void adamw::resume_at(std::int64_t steps) noexcept {
  impl_->steps = steps;
}

double clip_gradients(arena& parameters, double limit) {
  at::NoGradGuard no_grad;
  auto& gradients = parameters.flat_gradients();
  auto norm = gradients.norm().item<double>();
  if (!std::isfinite(norm))
    throw std::runtime_error{
      fmt::format("the norm of the gradients is {}", norm)};
  if (norm > limit)
    gradients.mul_(limit / norm);
  return norm;
}

double learning_rate_schedule::at(double position) const noexcept {
  // The first step already moves: with w steps of warm-up, step i has (i+1)/w.
  if (position + 1 < warmup)
    return peak * (position + 1) / warmup;
  if (end <= warmup)
    return peak;
  auto done = std::clamp((position - warmup) / (end - warmup), 0.0, 1.0);
  return peak * (1 - (1 - floor) * done);
}

} // namespace troupe::torch
