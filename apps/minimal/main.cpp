// SPDX-License-Identifier: Apache-2.0
// The smallest useful application: a policy guesses numbers, a reward says how
// good each guess is, a trainer moves the policy's mean towards good guesses,
// and the sync group carries the mean from the trainer to the policy.
#include <cmath>
#include <random>

#include "troupe/apps/app/app.hpp"

namespace {

using troupe::batch;
using troupe::tensor;

/// One learnable number, the mean of the guesses.
class guesser : public troupe::module {
public:
  void setup(troupe::worker_context& ctx) override { ctx_ = &ctx; }

  /// What syncs move, and checkpoints hold.
  troupe::parameter_list parameters() override {
    return {{"mean",
             troupe::dtype::float32,
             {1},
             std::as_writable_bytes(std::span{&mean_, 1})}};
  }

  batch guess(const batch& questions) {
    auto rows = questions.rows().value();
    tensor guesses{troupe::dtype::float32, {rows}};
    std::normal_distribution<float> noise{0, 1};
    for (auto& x : guesses.values<float>())
      x = mean_ + noise(ctx_->generator());
    auto out = questions;
    out.set("guess", guesses);
    return out;
  }

protected:
  float mean_ = 0;
  troupe::worker_context* ctx_ = nullptr;
};

class trainer : public guesser {
public:
  batch train_step(const batch& experience) {
    auto guesses = experience.get("guess").value();
    auto rewards = experience.get("reward").value();
    float sum = 0;
    float weight = 0;
    for (std::int64_t i = 0; i < guesses.size(); ++i) {
      auto at = static_cast<std::size_t>(i);
      auto w = std::exp(rewards.values<float>()[at]);
      sum += w * guesses.values<float>()[at];
      weight += w;
    }
    if (weight > 0)
      mean_ = sum / weight;
    batch metrics;
    metrics.set_meta("mean", double{mean_});
    return metrics;
  }
};

class closeness : public troupe::module {
public:
  batch score(const batch& guesses) {
    auto x = guesses.get("guess").value();
    tensor reward{troupe::dtype::float32, x.extents()};
    for (std::size_t i = 0; i < x.values<float>().size(); ++i)
      reward.values<float>()[i] = -std::abs(x.values<float>()[i] - 7);
    auto out = guesses;
    out.set("reward", reward);
    return out;
  }
};

/// Numbers its questions, without end.
class questions : public troupe::data_source {
public:
  batch draw(troupe::data_stream, std::int64_t rows) override {
    tensor numbers{troupe::dtype::int64, {rows}};
    for (auto& x : numbers.values<std::int64_t>())
      x = next_++;
    batch out;
    out.set("question", numbers);
    return out;
  }

  batch all(troupe::data_stream stream) override { return draw(stream, 0); }

  /// For checkpoints: a run that goes on draws what it would have drawn.
  batch position() const override {
    batch out;
    out.set_meta("next", next_);
    return out;
  }

  void seek(const batch& position) override {
    next_ = static_cast<std::int64_t>(position.meta_number("next"));
  }

private:
  std::int64_t next_ = 0;
};

double mean_reward(const batch& experience) {
  auto reward = experience.get("reward").value();
  double sum = 0;
  for (auto x : reward.values<float>())
    sum += x;
  return sum / static_cast<double>(reward.size());
}

} // namespace

int main(int argc, char** argv) {
  troupe::app app{"minimal"};
  app.model<trainer>("trainer").trainable("train_step", &trainer::train_step);
  app.model<guesser>("policy").function("guess", &guesser::guess);
  app.model<closeness>("reward").on_cpu().function("score", &closeness::score);
  app.sync("trainer", "policy");
  app.data([]() -> troupe::result<std::unique_ptr<troupe::data_source>> {
    return std::make_unique<questions>();
  });
  app.experience([](troupe::flow& f, troupe::flow::value prompts) {
    auto guesses = f.call("policy", &guesser::guess, prompts);
    return f.call("reward", &closeness::score, guesses);
  });
  app.training([](troupe::flow& f, troupe::flow::value experience) {
    f.call("trainer", &trainer::train_step, experience);
  });
  app.metric("mean_reward", mean_reward);
  return app.main(argc, argv);
}
