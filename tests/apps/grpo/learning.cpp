// SPDX-License-Identifier: Apache-2.0
// Runs warm start and GRPO on two-digit addition in one process, without
// actors: what the modules alone can learn, and how fast. Run by hand, or by
// `ctest -L perf`.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "apps/support/fake_context.hpp"
#include "troupe/apps/grpo/advantages.hpp"
#include "troupe/apps/grpo/dataset.hpp"
#include "troupe/apps/grpo/policy.hpp"
#include "troupe/apps/grpo/policy_trainer.hpp"
#include "troupe/apps/grpo/reference.hpp"
#include "troupe/apps/grpo/reward.hpp"
#include "troupe/apps/grpo/sampler.hpp"
#include "troupe/apps/grpo/schema.hpp"
#include "troupe/apps/torch/process.hpp"

namespace {

using namespace troupe;
using namespace troupe::grpo;
using test::fake_context;

struct schedule {
  std::uint64_t seed = 1;
  double warm_stop = 0.36;
  double warm_rate = 2e-3;
  std::size_t warm_steps = 5;
  std::size_t warm_limit = 1000;
  std::size_t episodes = 1500;
  std::size_t decay = 0;
  std::size_t prompts = 64;
  std::size_t eval_every = 25;
  double stop_at = 0.98;
  double rate = 4e-4;
  double kl_weight = 0.02;
  double warmup = 10;
  std::int64_t samples = 8;
  std::int64_t minibatches = 4;
  double final_fraction = 0.1;
  bool quiet = false;
};

/// Seconds on the clock and seconds of work: other programs slow the first.
std::string times_since(std::chrono::steady_clock::time_point start) {
  auto wall = std::chrono::duration<double>(std::chrono::steady_clock::now()
                                            - start);
  return fmt::format("{:6.1f} s ({:.1f} s of CPU)", wall.count(),
                     static_cast<double>(std::clock()) / CLOCKS_PER_SEC);
}

void copy_weights(module& from, module& to) {
  auto source = from.parameters();
  auto target = to.parameters();
  for (std::size_t i = 0; i < source.size(); ++i)
    std::ranges::copy(source[i].memory, target[i].memory.begin());
}

class run {
public:
  explicit run(const schedule& s)
    : schedule_(s),
      data_(split_dataset(two_digit_addition(), s.seed).value()),
      trainer_context_("policy_trainer", s.seed, policy_trainer_options()),
      policy_context_("policy", s.seed, policy_options()),
      reference_context_("reference", s.seed, reference_options()) {
    auto& config = trainer_context_.settings();
    config.set("decay_steps",
               static_cast<double>(s.decay ? s.decay : s.episodes));
    config.set("learning_rate", s.rate);
    config.set("warm_start_learning_rate", s.warm_rate);
    config.set("kl_weight", s.kl_weight);
    config.set("warmup_steps", s.warmup);
    policy_context_.settings().set("samples_per_prompt", s.samples);
    config.set("minibatches", s.minibatches);
    config.set("final_learning_rate_fraction", s.final_fraction);
    trainer_.setup(trainer_context_);
    policy_.setup(policy_context_);
    reference_.setup(reference_context_);
  }

  double accuracy(const std::vector<example>& part) {
    copy_weights(trainer_, policy_);
    return mean_of(policy_.evaluate(data_.rows(part, 0, part.size())),
                   field::exact);
  }

  void warm_start() {
    sampler draw{data_.train.size(), schedule_.seed + 1};
    double dev = 0;
    std::size_t steps = 0;
    while (dev < schedule_.warm_stop && steps < schedule_.warm_limit) {
      trainer_.warm_start(
        data_.rows(data_.train, draw.next(256 * schedule_.warm_steps)));
      steps += schedule_.warm_steps;
      dev = accuracy(data_.dev);
    }
    warm_ = accuracy(data_.test);
    copy_weights(trainer_, reference_);
    fmt::print("seed {} warm start: {} steps, dev {:.3f}, test {:.3f}, "
               "{}\n",
               schedule_.seed, steps, dev, warm_, times_since(start_));
    std::fflush(stdout);
  }

  void reinforce() {
    sampler draw{data_.train.size(), schedule_.seed + 2};
    for (std::size_t episode = 1; episode <= schedule_.episodes; ++episode) {
      copy_weights(trainer_, policy_);
      auto prompts = data_.rows(data_.train, draw.next(schedule_.prompts));
      auto scored = reward_.score(reference_.score(policy_.generate(prompts)));
      auto metrics = trainer_.train_step(group_advantages(scored));
      if (episode % schedule_.eval_every != 0)
        continue;
      auto dev = accuracy(data_.dev);
      if (!schedule_.quiet) {
        fmt::print("{:5d}  {}  reward {:.3f}  dev {:.3f}  kl {:.3f}  "
                   "entropy {:.3f}  clip {:.3f}  norm {:.2f}  lr {:.2e}\n",
                   episode, times_since(start_), mean_of(scored, field::reward),
                   dev, metrics.meta_number(metric::kl),
                   metrics.meta_number(metric::entropy),
                   metrics.meta_number(metric::clip_fraction),
                   metrics.meta_number(metric::grad_norm),
                   metrics.meta_number(metric::learning_rate));
        std::fflush(stdout);
      }
      done_ = episode;
      if (dev >= schedule_.stop_at)
        break;
    }
  }

  bool report() {
    auto final = accuracy(data_.test);
    auto good = final >= 0.9 && final - warm_ >= 0.4;
    fmt::print("seed {}: warm start {:.3f}, final {:.3f}, {} episodes, "
               "{}, weights {:016x}: {}\n",
               schedule_.seed, warm_, final, done_, times_since(start_),
               fingerprint(), good ? "good" : "NOT GOOD ENOUGH");
    return good;
  }

private:
  std::uint64_t fingerprint() {
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const auto& p : trainer_.parameters())
      for (auto byte : p.memory)
        hash = (hash ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3u;
    return hash;
  }

  schedule schedule_;
  std::chrono::steady_clock::time_point
    start_ = std::chrono::steady_clock::now();
  dataset data_;
  fake_context trainer_context_;
  fake_context policy_context_;
  fake_context reference_context_;
  policy_trainer trainer_;
  policy policy_;
  reference reference_;
  reward reward_;
  double warm_ = 0;
  std::size_t done_ = 0;
};

} // namespace

int main(int argc, char** argv) {
  schedule s;
  CLI::App app{"Warm start and GRPO on two-digit addition in one process"};
  app.add_option("--seed", s.seed);
  app.add_option("--warm-stop", s.warm_stop, "dev accuracy that ends it");
  app.add_option("--warm-rate", s.warm_rate);
  app.add_option("--warm-steps", s.warm_steps, "between two checks");
  app.add_option("--episodes", s.episodes);
  app.add_option("--decay", s.decay, "episodes; 0: all");
  app.add_option("--prompts", s.prompts);
  app.add_option("--eval-every", s.eval_every);
  app.add_option("--stop-at", s.stop_at, "dev accuracy that ends the run");
  app.add_option("--rate", s.rate);
  app.add_option("--kl-weight", s.kl_weight);
  app.add_option("--minibatches", s.minibatches);
  app.add_option("--warmup", s.warmup, "episodes");
  app.add_option("--samples", s.samples, "of each prompt");
  app.add_option("--final-fraction", s.final_fraction);
  app.add_flag("--quiet", s.quiet);
  CLI11_PARSE(app, argc, argv);
  torch::init_process(1);
  fmt::print("{}, {}\n", torch::torch_version(), torch::blas_name());
  run r{s};
  r.warm_start();
  r.reinforce();
  return r.report() ? 0 : 1;
}
