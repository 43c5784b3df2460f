// SPDX-License-Identifier: Apache-2.0
// A program outside of the tree that uses the installed troupe::torch: a small
// transformer learns one sequence by heart. Nothing here knows an actor.

#include <cstdio>

#include <torch/types.h>

#include "troupe/apps/torch/adamw.hpp"
#include "troupe/apps/torch/losses.hpp"
#include "troupe/apps/torch/process.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"
#include "troupe/apps/torch/transformer.hpp"

int main() {
  troupe::torch::init_process(1);
  troupe::torch::transformer_config config;
  config.vocab_size = 5;
  config.context = 8;
  config.layers = 1;
  config.width = 16;
  config.heads = 2;
  troupe::torch::transformer model{config, 1};
  troupe::torch::adamw optimizer{model.parameters(), {}};

  // The tokens come from a Troupe tensor, as they would in a module.
  troupe::tensor sequence{troupe::dtype::int64, {1, 7}};
  std::int64_t i = 0;
  for (auto& x : sequence.values<std::int64_t>())
    x = (i++ * 3) % 5;
  auto tokens = troupe::torch::to_torch(sequence);
  auto input = tokens.slice(1, 0, 6);
  auto target = tokens.slice(1, 1, 7);
  auto mask = torch::ones({1, 6});

  double first = 0;
  double last = 0;
  for (int step = 0; step < 50; ++step) {
    model.parameters().zero_gradients();
    auto loss = troupe::torch::cross_entropy_sum(model.logits(input), target,
                                                 mask);
    loss.backward();
    optimizer.step(1e-2);
    last = loss.item<double>();
    if (step == 0)
      first = last;
  }
  std::printf("%s, %s: loss %.3f -> %.3f\n",
              troupe::torch::torch_version().c_str(),
              troupe::torch::blas_name().c_str(), first, last);
  return last < first / 2 ? 0 : 1;
}
