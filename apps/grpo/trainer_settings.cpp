// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/trainer_settings.hpp"

#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include "troupe/apps/grpo/policy_trainer.hpp"

namespace troupe::grpo {

namespace {

/// Reads numbers and checks each against its range.
class reader {
public:
  explicit reader(const options& config) : config_(config) {
    // nop
  }

  double at_least(std::string_view name, double least) const {
    auto x = config_.number(name);
    if (!(x >= least))
      refuse(name, x, fmt::format("at least {}", least));
    return x;
  }

  double above_zero(std::string_view name) const {
    auto x = config_.number(name);
    if (!(x > 0))
      refuse(name, x, "above 0");
    return x;
  }

  double below_one(std::string_view name) const {
    auto x = config_.number(name);
    if (!(x >= 0 && x < 1))
      refuse(name, x, "at least 0 and below 1");
    return x;
  }

  std::int64_t count(std::string_view name) const {
    auto x = config_.integer(name);
    if (x < 1)
      refuse(name, static_cast<double>(x), "at least 1");
    return x;
  }

private:
  [[noreturn]] static void refuse(std::string_view name, double value,
                                  std::string_view wanted) {
    throw std::invalid_argument{
      fmt::format("option {} is {} and must be {}", name, value, wanted)};
  }

  const options& config_;
};

} // namespace

trainer_settings read_trainer_settings(const options& config) {
  reader in{config};
  trainer_settings s;
  s.warm_optimizer.beta1 = in.below_one("warm_start_beta1");
  s.warm_optimizer.beta2 = in.below_one("warm_start_beta2");
  s.warm_optimizer.weight_decay = in.at_least("weight_decay", 0);
  s.warm_rate.peak = in.above_zero("warm_start_learning_rate");
  s.warm_rate.warmup = in.at_least("warm_start_warmup_steps", 0);
  s.warm_batch = in.count("warm_start_batch");
  s.optimizer.beta1 = in.below_one("beta1");
  s.optimizer.beta2 = in.below_one("beta2");
  s.optimizer.weight_decay = s.warm_optimizer.weight_decay;
  s.rate.peak = in.above_zero("learning_rate");
  s.rate.warmup = in.at_least("warmup_steps", 0);
  s.rate.end = in.at_least("decay_steps", 0);
  s.rate.floor = in.at_least("final_learning_rate_fraction", 0);
  s.minibatches = in.count("minibatches");
  s.loss.clip = in.above_zero("clip");
  s.loss.kl_weight = in.at_least("kl_weight", 0);
  s.gradient_clip = in.above_zero("gradient_clip");
  return s;
}

std::vector<option_spec> policy_trainer_options() {
  using i = std::int64_t;
  auto specs = model_options();
  specs.insert(
    specs.end(),
    {
      {"warm_start_learning_rate", 2e-3, "AdamW, supervised steps"},
      {"warm_start_warmup_steps", 50.0, "optimizer steps of warm-up"},
      {"warm_start_batch", i{256}, "rows of a step, all ranks together"},
      {"warm_start_beta1", 0.9, "AdamW, supervised steps"},
      {"warm_start_beta2", 0.98, "AdamW, supervised steps"},
      {"learning_rate", 4e-4, "AdamW, GRPO steps: the peak"},
      {"warmup_steps", 10.0, "train_step calls of warm-up"},
      {"decay_steps", 1500.0,
       "train_step calls after which the learning rate has fallen to its "
       "final value; 0: no decay"},
      {"final_learning_rate_fraction", 0.1, "of the peak, after decay_steps"},
      {"beta1", 0.9, "AdamW, GRPO steps"},
      {"beta2", 0.95, "AdamW, GRPO steps"},
      {"weight_decay", 0.01, "AdamW, all steps"},
      {"gradient_clip", 1.0, "largest norm of all gradients together"},
      {"minibatches", i{4}, "optimizer steps of one train_step call"},
      {"clip", 0.2, "the probability ratio counts in 1 +- clip"},
      {"kl_weight", 0.02, "weight of the divergence from the reference"},
    });
  return specs;
}

} // namespace troupe::grpo
