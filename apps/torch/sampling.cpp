// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/sampling.hpp"

#include <cmath>
#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/max.h>
#include <ATen/ops/searchsorted.h>

namespace troupe::torch {

at::Tensor room_to_draw(const at::Tensor& logits) {
  return at::empty({2, logits.size(0), logits.size(1)},
                   logits.options().dtype(at::kDouble));
}

void draw(const at::Tensor& logits, double temperature, const at::Tensor& u,
          const at::Tensor& room, at::Tensor tokens, at::Tensor logprobs) {
  auto sums = room.select(0, 0);
  auto all = room.select(0, 1);
  sums.copy_(logits);
  // The largest first: however low the temperature is, it stays 0.
  if (temperature != 1)
    sums.sub_(sums.amax(1, true)).div_(temperature);
  at::log_softmax_out(all, sums, 1);
  at::exp_out(sums, all).cumsum_(1);
  auto last = sums.size(1) - 1;
  auto target = sums.select(1, last).mul(u).unsqueeze(1);
  // The first token whose sum is above the target: one that adds something.
  // There is one, unless the logits are no numbers.
  auto found = tokens.unsqueeze(1);
  at::searchsorted_out(found, sums, target, false, true);
  found.clamp_max_(last);
  auto column = logprobs.unsqueeze(1);
  at::gather_out(column, all, 1, found);
}

void most_likely(const at::Tensor& logits, at::Tensor tokens,
                 at::Tensor logprobs) {
  at::max_out(logprobs, tokens, logits.to(at::kDouble).log_softmax(1), 1);
}

void check_logprob(double logprob) {
  if (!std::isfinite(logprob))
    throw std::runtime_error{
      "the policy's logits are not finite: its weights have left the range of "
      "numbers; go back to a checkpoint, with a lower learning_rate"};
}

} // namespace troupe::torch
