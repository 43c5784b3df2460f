// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/model_memory.hpp"

#include <boost/test/unit_test.hpp>

#include <limits>

#include "planner/sample_job.hpp"

using namespace troupe;
using namespace troupe::planner;
using namespace troupe::planner::testing;

namespace {

const memory_settings settings;

memory_parts training(const model_profile& model, parallel_sizes sizes = {},
                      std::int32_t stage = 0) {
  return active_memory(model, sizes, stage, phase::training, settings);
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_memory)

BOOST_AUTO_TEST_CASE(adam_in_mixed_precision_takes_eighteen_bytes) {
  auto model = profile_of("m", model_role::train);
  auto n = model.parameters.total();
  auto x = training(model);
  BOOST_TEST(x.weights == 2 * n);
  BOOST_TEST(x.gradients == 4 * n);
  BOOST_TEST(x.optimizer == 12 * n);
  model.weights = dtype::float32;
  BOOST_TEST(training(model).optimizer == 8 * n);
  model.optimizer = optimizer_kind::sgd;
  BOOST_TEST(training(model).optimizer == 0u);
}

BOOST_AUTO_TEST_CASE(a_distributed_optimizer_is_cut_by_the_data_copies) {
  auto model = profile_of("m", model_role::train);
  parallel_sizes sizes;
  sizes.data = 4;
  sizes.context = 2;
  auto whole = training(model, sizes);
  model.distributed_optimizer = true;
  auto cut = training(model, sizes);
  BOOST_TEST(cut.optimizer == whole.optimizer / 8);
  BOOST_TEST(cut.gradients == whole.gradients);
}

BOOST_AUTO_TEST_CASE(activations_of_gpt3_are_those_of_the_paper) {
  // 175 billion parameters: s*b*h*(10 + 24/t) a layer with selective
  // recomputation, + 5*a*s/(h*t) without, 2*s*b*h with full recomputation.
  planner::model_shape shape;
  shape.hidden_size = 12288;
  shape.num_hidden_layers = 96;
  shape.num_attention_heads = 96;
  shape.intermediate_size = 4 * 12288;
  shape.vocab_size = 51200;
  BOOST_TEST(apply_architecture(shape, "gpt2"));
  shape.scalar_head = true; // no logits
  model_profile model;
  model.shape = shape;
  model.parameters = *count_parameters(shape);
  model.role = model_role::train;
  parallel_sizes sizes;
  sizes.tensor = 8;
  const std::uint64_t sbh = 2048ull * 12288;
  BOOST_TEST(training(model, sizes).activations == 96 * sbh * (10 + 3));
  model.recompute = recompute_policy::none;
  BOOST_TEST(training(model, sizes).activations
             == 96 * (sbh * 13 + 5ull * 96 * 2048 * 2048 / 8));
  model.recompute = recompute_policy::full;
  BOOST_TEST(training(model, sizes).activations == 96 * sbh * 2 + sbh * 13);
}

BOOST_AUTO_TEST_CASE(the_first_stage_holds_the_most_micro_batches) {
  auto model = profile_of("m", model_role::train);
  model.shape->scalar_head = true;
  parallel_sizes sizes;
  sizes.pipeline = 4;
  auto first = training(model, sizes, 0).activations;
  auto last = training(model, sizes, 3).activations;
  BOOST_TEST(first == 4 * last);
}

BOOST_AUTO_TEST_CASE(the_kv_cache_follows_heads_and_sequences) {
  auto model = profile_of("m", model_role::generate);
  auto kv = [&model](parallel_sizes sizes) {
    return active_memory(model, sizes, 0, phase::generation, settings).kv_cache;
  };
  // 2 (K and V) x 8 heads x 128 x 2 bytes x 32 layers = 128 KiB a token.
  BOOST_TEST(kv({}) == 128 * kib * 64 * 2048);
  BOOST_TEST(kv({4}) == 128 * kib * 64 * 2048 / 4);
  // Beyond eight ranks heads are copied.
  BOOST_TEST(kv({16}) == 128 * kib * 64 * 2048 / 8);
  BOOST_TEST(kv({1, 4}) == 128 * kib * 64 * 2048 / 4);
  BOOST_TEST(kv({1, 1, 2}) == 128 * kib * 64 * 2048 / 2);
}

BOOST_AUTO_TEST_CASE(offload_leaves_nothing_behind) {
  auto model = profile_of("m", model_role::train);
  BOOST_TEST(idle_memory(model, {}, 0).total()
             == 18 * model.parameters.total());
  BOOST_TEST(active_memory(model, {}, 0, phase::generation, settings).total()
             == 18 * model.parameters.total());
  model.offload = true;
  BOOST_TEST(idle_memory(model, {}, 0).total() == 0u);
  auto sync = active_memory(model, {}, 0, phase::sync, settings);
  BOOST_TEST(sync.weights == 2 * model.parameters.total());
  BOOST_TEST(sync.optimizer == 0u);
  BOOST_TEST(sync.staging == 512 * mib);
}

BOOST_AUTO_TEST_CASE(absurd_sizes_do_not_wrap) {
  auto model = profile_of("m", model_role::train);
  model.sequence_tokens = std::numeric_limits<std::int64_t>::max();
  model.micro_batch = std::numeric_limits<std::int32_t>::max();
  BOOST_TEST(training(model).activations >= std::uint64_t{1'000'000'000'000});
  model.sequence_tokens = -1;
  BOOST_TEST(training(model).activations == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
