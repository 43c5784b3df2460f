// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/grpo_app.hpp"

#include <stdexcept>

#include <fmt/format.h>

#include "troupe/apps/grpo/advantages.hpp"
#include "troupe/apps/grpo/grpo_data.hpp"
#include "troupe/apps/grpo/model_options.hpp"
#include "troupe/apps/grpo/policy.hpp"
#include "troupe/apps/grpo/policy_trainer.hpp"
#include "troupe/apps/grpo/reference.hpp"
#include "troupe/apps/grpo/reward.hpp"
#include "troupe/apps/grpo/schema.hpp"
#include "troupe/apps/torch/process.hpp"
#include "troupe/core/log.hpp"

namespace troupe::grpo {

namespace {

/// What every copy of the model must share with its trainer.
result<void> check_models(const config::job_config& job) {
  const auto& trainer = job.find("policy_trainer")->options;
  for (const auto* name : {"policy_trainer", "policy", "reference"}) {
    const auto& own = job.find(name)->options;
    try {
      static_cast<void>(read_model_settings(own));
    } catch (const std::invalid_argument& x) {
      return fail(errc::invalid, fmt::format("models.{}: {}", name, x.what()));
    }
    for (const auto* key : {"layers", "width", "heads"})
      if (own.integer(key) != trainer.integer(key))
        return fail(errc::invalid,
                    fmt::format("models.{}.{} is {}, but policy_trainer, whose "
                                "weights it gets, has {}",
                                name, key, own.integer(key),
                                trainer.integer(key)));
    if (own.number("temperature") != trainer.number("temperature"))
      return fail(errc::invalid,
                  fmt::format("models.{}.temperature is {}, but policy_trainer "
                              "has {}: their logprobs would be those of "
                              "different distributions; set both to the same",
                              name, own.number("temperature"),
                              trainer.number("temperature")));
  }
  return {};
}

} // namespace

void declare(app& x) {
  x.model<policy_trainer>("policy_trainer")
    .trainable("train_step", &policy_trainer::train_step)
    .same_on_data_ranks()
    .function("warm_start", &policy_trainer::warm_start)
    .options(policy_trainer_options());
  x.model<policy>("policy")
    .function("generate", &policy::generate)
    .function("evaluate", &policy::evaluate)
    .options(policy_options());
  x.model<reference>("reference")
    .function("score", &reference::score)
    .options(reference_options());
  x.model<reward>("reward")
    .on_cpu()
    .function("score", &reward::score)
    .options(reward_options());
  x.sync("policy_trainer", "policy");
  x.sync("policy_trainer", "reference", sync_schedule_kind::once);

  x.option("warm_start_rows", std::int64_t{1280},
           "Supervised examples of one warm-start round", at_least_one);
  x.option("warm_start_rounds", std::int64_t{200},
           "The warm start ends after this many rounds at the latest",
           not_negative);
  x.option("warm_start_accuracy", 0.36,
           "The warm start ends once the dev accuracy is this high",
           not_negative);
  x.option("target_accuracy", 0.98,
           "Training ends once the dev accuracy is this high", not_negative);
  x.data(&grpo_data::make);

  x.warm_start(
    [](flow& f, flow::value examples) {
      f.call("policy_trainer", &policy_trainer::warm_start, examples);
    },
    "warm_start_rows", "warm_start_rounds", "warm_start_accuracy");
  x.experience([](flow& f, flow::value prompts) {
    auto rollout = f.call("policy", &policy::generate, prompts);
    auto rewards = f.call("reward", &reward::score, rollout);
    auto scored = f.call("reference", &reference::score, rollout);
    auto samples = f.merge({scored, rewards});
    return f.apply("advantages", group_advantages, samples);
  });
  x.training([](flow& f, flow::value experience) {
    f.call("policy_trainer", &policy_trainer::train_step, experience);
  });
  x.evaluation(
    [](flow& f, flow::value questions) {
      return f.call("policy", &policy::evaluate, questions);
    },
    [](const batch& answers) { return mean_of(answers, field::exact); });
  x.stop_at("target_accuracy");
  x.metric("mean_reward",
           [](const batch& y) { return mean_of(y, field::reward); });
  x.metric("exact", [](const batch& y) { return mean_of(y, field::exact); });
  x.metric("tokens", [](const batch& y) { return sum_of(y, field::mask); });
  x.check(check_models);
  x.prepare_host([](int num_threads) {
    torch::init_process(num_threads);
    log::info("host", "{}, {}, {} threads", torch::torch_version(),
              torch::blas_name(), num_threads);
  });
}

} // namespace troupe::grpo
