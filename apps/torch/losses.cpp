// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/losses.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/minimum.h>

namespace troupe::torch {

at::Tensor token_logprobs(const at::Tensor& logits, const at::Tensor& targets) {
  return logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1);
}

at::Tensor cross_entropy_sum(const at::Tensor& logits,
                             const at::Tensor& targets,
                             const at::Tensor& mask) {
  return token_logprobs(logits, targets).mul(mask).sum().neg();
}

double entropy_sum(const at::Tensor& logits, const at::Tensor& mask) {
  at::NoGradGuard no_grad;
  auto logprobs = logits.detach().log_softmax(-1);
  auto entropy = logprobs.exp().mul_(logprobs).sum(-1);
  return -entropy.mul_(mask).sum().item<double>();
}

at::Tensor k3_divergence(const at::Tensor& logprobs,
                         const at::Tensor& reference) {
  auto r = reference.sub(logprobs);
  return r.exp().sub(r).sub(1);
}

at::Tensor policy_loss_sum(const at::Tensor& logprobs, const at::Tensor& old,
                           const at::Tensor& reference,
                           const at::Tensor& advantages, const at::Tensor& mask,
                           const policy_settings& settings,
                           policy_terms& terms) {
  auto ratio = logprobs.sub(old).exp();
  auto clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip);
  auto a = advantages.unsqueeze(-1);
  auto objective = at::minimum(ratio.mul(a), clipped.mul(a)).mul(mask).sum();
  auto kl = k3_divergence(logprobs, reference).mul(mask).sum();
  {
    at::NoGradGuard no_grad;
    terms.objective = objective.item<double>();
    terms.kl = kl.item<double>();
    terms.clipped = ratio.detach()
                      .ne(clipped.detach())
                      .mul(mask)
                      .sum()
                      .item<double>();
  }
  return kl.mul(settings.kl_weight).sub(objective);
}

} // namespace troupe::torch
