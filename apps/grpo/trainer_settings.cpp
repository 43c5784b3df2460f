// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/trainer_settings.hpp"

#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include "troupe/apps/grpo/policy_trainer.hpp"

namespace troupe::grpo {

namespace {

/// The configuration is checked when it is read; this is for modules that are
/// made without one.
void check_ranges(const options& config) {
  for (const auto& spec : policy_trainer_options())
    if (auto found = config.values().find(spec.name);
        found != config.values().end())
      if (auto good = spec.check(found->second); !good)
        throw std::invalid_argument{
          fmt::format("option {} {}", spec.name, good.error().message())};
}

} // namespace

trainer_settings read_trainer_settings(const options& config) {
  check_ranges(config);
  trainer_settings s;
  s.warm_optimizer.beta1 = config.number("warm_start_beta1");
  s.warm_optimizer.beta2 = config.number("warm_start_beta2");
  s.warm_optimizer.weight_decay = config.number("weight_decay");
  s.warm_rate.peak = config.number("warm_start_learning_rate");
  s.warm_rate.warmup = config.number("warm_start_warmup_steps");
  s.warm_batch = config.integer("warm_start_batch");
  s.optimizer.beta1 = config.number("beta1");
  s.optimizer.beta2 = config.number("beta2");
  s.optimizer.weight_decay = s.warm_optimizer.weight_decay;
  s.rate.peak = config.number("learning_rate");
  s.rate.warmup = config.number("warmup_steps");
  s.rate.end = config.number("decay_steps");
  s.rate.floor = config.number("final_learning_rate_fraction");
  s.minibatches = config.integer("minibatches");
  s.loss.clip = config.number("clip");
  s.loss.kl_weight = config.number("kl_weight");
  s.gradient_clip = config.number("gradient_clip");
  return s;
}

std::vector<option_spec> policy_trainer_options() {
  using i = std::int64_t;
  auto specs = model_options();
  specs.insert(
    specs.end(),
    {
      {"warm_start_learning_rate", 2e-3, "AdamW, supervised steps", above_zero},
      {"warm_start_warmup_steps", 50.0, "optimizer steps of warm-up",
       not_negative},
      {"warm_start_batch", i{256}, "rows of a step, all ranks together",
       at_least_one},
      {"warm_start_beta1", 0.9, "AdamW, supervised steps", from_zero_below_one},
      {"warm_start_beta2", 0.98, "AdamW, supervised steps",
       from_zero_below_one},
      {"learning_rate", 4e-4, "AdamW, GRPO steps: the peak", above_zero},
      {"warmup_steps", 10.0, "train_step calls of warm-up", not_negative},
      {"decay_steps", 1500.0,
       "train_step calls after which the learning rate has fallen to its "
       "final value; 0: no decay",
       not_negative},
      {"final_learning_rate_fraction", 0.1, "of the peak, after decay_steps",
       not_negative},
      {"beta1", 0.9, "AdamW, GRPO steps", from_zero_below_one},
      {"beta2", 0.95, "AdamW, GRPO steps", from_zero_below_one},
      {"weight_decay", 0.01, "AdamW, all steps", not_negative},
      {"gradient_clip", 1.0, "largest norm of all gradients together",
       above_zero},
      {"minibatches", i{4}, "optimizer steps of one train_step call",
       at_least_one},
      {"clip", 0.2, "the probability ratio counts in 1 +- clip", above_zero},
      {"kl_weight", 0.02, "weight of the divergence from the reference",
       not_negative},
    });
  return specs;
}

} // namespace troupe::grpo
