// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "apps/support/fake_context.hpp"
#include "troupe/apps/grpo/advantages.hpp"
#include "troupe/apps/grpo/dataset.hpp"
#include "troupe/apps/grpo/policy.hpp"
#include "troupe/apps/grpo/policy_trainer.hpp"
#include "troupe/apps/grpo/reference.hpp"
#include "troupe/apps/grpo/reward.hpp"
#include "troupe/apps/grpo/schema.hpp"

namespace troupe::test {

/// Copies all parameters: what a weight sync does.
inline void copy_weights(module& from, module& to) {
  auto source = from.parameters();
  auto target = to.parameters();
  for (std::size_t i = 0; i < source.size(); ++i)
    std::ranges::copy(source[i].memory, target[i].memory.begin());
}

inline bool same_weights(module& a, module& b) {
  auto x = a.parameters();
  auto y = b.parameters();
  return std::ranges::equal(x, y, [](const auto& p, const auto& q) {
    return p.name == q.name && std::ranges::equal(p.memory, q.memory);
  });
}

/// Two-digit addition and the models around it, small and untrained.
struct addition {
  std::uint64_t seed = 11;
  grpo::dataset data = grpo::split_dataset(grpo::two_digit_addition(), seed)
                         .value();

  static std::vector<option_spec> smaller(std::vector<option_spec> specs) {
    for (auto& spec : specs)
      if (spec.name == "width")
        spec.otherwise = std::int64_t{16};
    return specs;
  }

  fake_context trainer_context(std::int32_t rank = 0, std::int32_t ranks = 1,
                               comm::communicator_ptr group = nullptr) const {
    return {"policy_trainer",
            seed,
            smaller(grpo::policy_trainer_options()),
            0,
            rank,
            ranks,
            std::move(group)};
  }

  /// Prompts answered by an untrained policy, scored, ready to train on.
  batch experience(std::size_t prompts) const {
    fake_context policy_context{"policy", seed,
                                smaller(grpo::policy_options())};
    fake_context reference_context{"reference", seed + 1,
                                   smaller(grpo::reference_options())};
    grpo::policy policy;
    grpo::reference reference;
    grpo::reward reward;
    policy.setup(policy_context);
    reference.setup(reference_context);
    auto rollout = policy.generate(data.rows(data.train, 0, prompts));
    return grpo::group_advantages(reward.score(reference.score(rollout)));
  }
};

} // namespace troupe::test
