// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/policy_trainer.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include "troupe/apps/grpo/completion_logits.hpp"
#include "troupe/apps/grpo/placed_model.hpp"
#include "troupe/apps/grpo/schema.hpp"
#include "troupe/apps/grpo/supervised.hpp"
#include "troupe/apps/grpo/trainer_settings.hpp"
#include "troupe/apps/torch/backward.hpp"
#include "troupe/apps/torch/checkpoint.hpp"
#include "troupe/apps/torch/collectives.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"

namespace troupe::grpo {

namespace {

/// Rows [begin, end) of this rank.
struct row_range {
  std::int64_t begin;
  std::int64_t end;
};

/// Part `index` of `parts` nearly equal ones; parts may be empty.
row_range part_of(std::int64_t rows, std::int64_t index, std::int64_t parts) {
  return {rows * index / parts, rows * (index + 1) / parts};
}

/// Sums over tokens that the loss functions fill and the ranks add up.
struct token_sums {
  float loss = 0;
  float kl = 0;
  float entropy = 0;
  float clipped = 0;
};

/// What one run over a batch's rows needs. Sequences are int64 [rows, p + c].
struct pass {
  tensor sequences;
  std::vector<std::int64_t> padding;
  tensor mask;
  std::int64_t steps = 1;

  [[nodiscard]] std::int64_t rows() const noexcept {
    return sequences.extents()[0];
  }

  [[nodiscard]] completion_rows part(row_range range) const {
    return {sequences.rows(range.begin, range.end),
            std::span{padding}.subspan(static_cast<std::size_t>(range.begin),
                                       static_cast<std::size_t>(
                                         range.end - range.begin))};
  }
};

/// The loss summed over the tokens of rows `range`, differentiable.
using loss_function = std::function<at::Tensor(row_range, token_sums&)>;

void check_rows(std::string_view name, const tensor& x, shape wanted) {
  if (x.extents() != wanted)
    throw std::invalid_argument{fmt::format("batch: {} is {}, expected {}",
                                            name, to_string(x),
                                            to_string(wanted))};
}

} // namespace

struct policy_trainer::impl {
  worker_context& ctx;
  model_settings model_config;
  trainer_settings settings;
  placed_model model;
  std::unique_ptr<torch::adamw> warm_optimizer;
  std::unique_ptr<torch::adamw> optimizer;
  /// train_step calls so far: where the learning rate stands.
  std::int64_t calls = 0;

  explicit impl(worker_context& context)
    : ctx(context),
      model_config(read_model_settings(context.config())),
      settings(read_trainer_settings(context.config())),
      model(context, model_config, true) {
    auto& parameters = model.net().parameters();
    model.stream().run([&] {
      using torch::adamw;
      warm_optimizer = std::make_unique<adamw>(parameters,
                                               settings.warm_optimizer);
      optimizer = std::make_unique<adamw>(parameters, settings.optimizer);
    });
    for (auto* x : {warm_optimizer.get(), optimizer.get()}) {
      model.memory().add(x->first_block());
      model.memory().add(x->second_block());
    }
  }

  /// On the model's device.
  [[nodiscard]] at::Tensor placed(const tensor& x) const {
    return torch::to_torch(x, ctx.device());
  }

  void sum_over_ranks(std::span<float> values) {
    torch::all_reduce_sum(values, ctx.data_parallel(),
                          ctx.collective_deadline());
  }

  /// Counted tokens of each step, all ranks together. Counts are exact: they
  /// stay far below 2^24.
  std::vector<float> tokens_of_steps(const pass& x) {
    std::vector<float> counts(static_cast<std::size_t>(x.steps), 0.0f);
    for (std::int64_t i = 0; i < x.steps; ++i) {
      auto range = part_of(x.rows(), i, x.steps);
      for (auto value : x.mask.rows(range.begin, range.end).values<float>())
        counts[static_cast<std::size_t>(i)] += value;
    }
    sum_over_ranks(counts);
    return counts;
  }

  /// Takes `x.steps` optimizer steps; `rate` tells the learning rate of each.
  batch optimize(const pass& x, torch::adamw& by,
                 const std::function<double(std::int64_t)>& rate,
                 const loss_function& loss) {
    auto& parameters = model.net().parameters();
    auto counts = tokens_of_steps(x);
    token_sums sums;
    double tokens = 0;
    double norms = 0;
    for (std::int64_t i = 0; i < x.steps; ++i) {
      auto count = counts[static_cast<std::size_t>(i)];
      if (count == 0)
        throw std::invalid_argument{
          "policy_trainer: a step without a token to learn from"};
      parameters.zero_gradients();
      auto range = part_of(x.rows(), i, x.steps);
      if (range.begin < range.end)
        torch::backward(loss(range, sums).div(count));
      torch::all_reduce_gradients(parameters, ctx.data_parallel(),
                                  ctx.collective_deadline());
      norms += torch::clip_gradients(parameters, settings.gradient_clip);
      by.step(rate(i));
      tokens += count;
    }
    float totals[] = {sums.loss, sums.kl, sums.entropy, sums.clipped};
    sum_over_ranks(totals);
    batch metrics;
    auto set = [&](std::string_view name, double value) {
      metrics.set_meta(std::string{name}, value);
    };
    set(metric::loss, totals[0] / tokens);
    set(metric::kl, totals[1] / tokens);
    set(metric::entropy, totals[2] / tokens);
    set(metric::clip_fraction, totals[3] / tokens);
    set(metric::grad_norm, norms / static_cast<double>(x.steps));
    set(metric::learning_rate, rate(x.steps - 1));
    metrics.set_meta(std::string{metric::tokens},
                     static_cast<std::int64_t>(tokens));
    metrics.set_meta(std::string{metric::steps}, x.steps);
    return metrics;
  }

  batch warm_start(const batch& examples) {
    auto labelled = supervised_sequences(examples, model_config);
    auto rows = static_cast<float>(labelled.tokens.extents()[0]);
    sum_over_ranks({&rows, 1});
    auto all_rows = static_cast<std::int64_t>(rows);
    auto steps = std::max<std::int64_t>(1, (all_rows + settings.warm_batch - 1)
                                             / settings.warm_batch);
    pass x{labelled.tokens, require_ids(examples, field::padding),
           labelled.mask, steps};
    auto mask = placed(x.mask);
    auto before = warm_optimizer->steps();
    return optimize(
      x, *warm_optimizer,
      [&](std::int64_t i) {
        return settings.warm_rate.at(static_cast<double>(before + i));
      },
      [&](row_range range, token_sums& sums) {
        auto part = x.part(range);
        auto loss = torch::cross_entropy_sum(completion_logits(model.net(),
                                                               model_config,
                                                               part),
                                             completion_tokens(model.net(),
                                                               model_config,
                                                               part),
                                             mask.narrow(0, range.begin,
                                                         range.end
                                                           - range.begin));
        sums.loss += loss.item<float>();
        return loss;
      });
  }

  batch train_step(const batch& experience) {
    auto tokens = require(experience, field::tokens, dtype::int64, 2);
    check_sequences(tokens, model_config);
    shape per_token{tokens.extents()[0], model_config.completion_length};
    auto input = [&](std::string_view name) {
      auto found = require(experience, name, dtype::float32, 2);
      check_rows(name, found, per_token);
      return found;
    };
    pass x{tokens, require_ids(experience, field::padding), input(field::mask),
           settings.minibatches};
    auto advantages = require(experience, field::advantage, dtype::float32, 1);
    check_rows(field::advantage, advantages, {tokens.extents()[0]});
    auto mask = placed(x.mask);
    auto old = placed(input(field::old_logprobs));
    auto reference = placed(input(field::reference_logprobs));
    auto advantage = placed(advantages);
    auto before = static_cast<double>(calls);
    auto metrics = optimize(
      x, *optimizer,
      [&](std::int64_t i) {
        return settings.rate.at(
          before + static_cast<double>(i) / static_cast<double>(x.steps));
      },
      [&](row_range range, token_sums& sums) {
        auto rows = [&](const at::Tensor& all) {
          return all.narrow(0, range.begin, range.end - range.begin);
        };
        auto part = x.part(range);
        auto logits = completion_logits(model.net(), model_config, part);
        torch::policy_terms terms;
        auto loss = torch::
          policy_loss_sum(torch::token_logprobs(logits,
                                                completion_tokens(model.net(),
                                                                  model_config,
                                                                  part)),
                          rows(old), rows(reference), rows(advantage),
                          rows(mask), settings.loss, terms);
        sums.loss += loss.item<float>();
        sums.kl += static_cast<float>(terms.kl);
        sums.clipped += static_cast<float>(terms.clipped);
        sums.entropy += static_cast<float>(
          torch::entropy_sum(logits, rows(mask)));
        return loss;
      });
    ++calls;
    return metrics;
  }
};

policy_trainer::policy_trainer() = default;

policy_trainer::~policy_trainer() = default;

void policy_trainer::setup(worker_context& ctx) {
  impl_ = std::make_unique<impl>(ctx);
}

parameter_list policy_trainer::parameters() {
  return impl_->model.parameters();
}

void policy_trainer::onload() {
  impl_->model.memory().onload();
}

void policy_trainer::offload() {
  impl_->model.memory().offload();
}

std::optional<std::uint64_t> policy_trainer::device_bytes() const {
  return impl_->model.device_bytes();
}

batch policy_trainer::warm_start(const batch& examples) {
  return impl_->model.memory().run("warm_start",
                                   [&] { return impl_->warm_start(examples); });
}

batch policy_trainer::train_step(const batch& experience) {
  return impl_->model.memory().run("train_step", [&] {
    return impl_->train_step(experience);
  });
}

// -- checkpoints --------------------------------------------------------------

namespace {

constexpr auto file_name = "policy_trainer";

} // namespace

void policy_trainer::save_checkpoint(checkpoint_writer& to) {
  batch content;
  impl_->model.memory().run("save_checkpoint", [&] {
    torch::save_parameters(content, impl_->model.net().parameters());
    torch::save_optimizer(content, "warm_optimizer", *impl_->warm_optimizer);
    torch::save_optimizer(content, "optimizer", *impl_->optimizer);
  });
  content.set_meta("calls", impl_->calls);
  to.write(file_name, std::move(content));
}

void policy_trainer::load_checkpoint(const checkpoint_reader& from) {
  auto content = from.read(file_name);
  impl_->model.memory().run("load_checkpoint", [&] {
    torch::load_parameters(content, impl_->model.net().parameters());
    torch::load_optimizer(content, "warm_optimizer", *impl_->warm_optimizer);
    torch::load_optimizer(content, "optimizer", *impl_->optimizer);
  });
  impl_->calls = static_cast<std::int64_t>(content.meta_number("calls"));
}

} // namespace troupe::grpo
