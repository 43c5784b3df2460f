// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/policy_trainer.hpp"

#include <fstream>
#include <limits>
#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include "apps/support/addition_fixture.hpp"
#include "support/scratch.hpp"
#include "troupe/actors/checkpoint/batch_file.hpp"

using namespace troupe;
using namespace troupe::grpo;
using namespace troupe::test;

namespace {

/// Brings what a module handed over to the disk, as its worker does.
void save(module& from, checkpoint_writer to) {
  from.save_checkpoint(to);
  for (const auto& [file, content] : to.take())
    BOOST_REQUIRE(checkpoint::write_batch(file, content));
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(grpo_policy_trainer, addition)

BOOST_AUTO_TEST_CASE(supervised_steps_lower_the_loss) {
  auto ctx = trainer_context();
  policy_trainer model;
  model.setup(ctx);
  auto first = model.warm_start(data.rows(data.train, 0, 256));
  BOOST_TEST(first.meta_number(metric::steps) == 1);
  auto last = model.warm_start(data.rows(data.train, 0, 40 * 128));
  BOOST_TEST(last.meta_number(metric::steps) == 20);
  BOOST_TEST(last.meta_number(metric::loss) < first.meta_number(metric::loss));
  // Sums have two or three digits; the end token counts too.
  auto tokens = first.meta_number(metric::tokens);
  BOOST_TEST((tokens >= 256 * 3 && tokens <= 256 * 4));
}

BOOST_AUTO_TEST_CASE(a_step_reports_what_it_did) {
  auto ctx = trainer_context();
  policy_trainer model;
  model.setup(ctx);
  auto x = experience(16);
  auto metrics = model.train_step(x);
  BOOST_TEST(metrics.meta_number(metric::steps) == 4);
  BOOST_TEST(metrics.meta_number(metric::tokens) == sum_of(x, field::mask));
  BOOST_TEST(metrics.meta_number(metric::grad_norm) > 0);
  BOOST_TEST(metrics.meta_number(metric::kl) > 0);
  BOOST_TEST(metrics.meta_number(metric::entropy) > 0);
  BOOST_TEST(metrics.meta_number(metric::clip_fraction, -1) >= 0);
  // Step 4 of 4 in a warm-up of 10 calls: (0.75 + 1) / 10 of the peak.
  BOOST_TEST(metrics.meta_number(metric::learning_rate) == 4e-4 * 0.175,
             boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(the_same_seed_and_data_give_the_same_weights) {
  auto x = experience(16);
  auto run = [&](policy_trainer& model, fake_context& ctx) {
    model.setup(ctx);
    model.warm_start(data.rows(data.train, 0, 512));
    model.train_step(x);
  };
  auto first_ctx = trainer_context();
  auto second_ctx = trainer_context();
  policy_trainer first;
  policy_trainer second;
  run(first, first_ctx);
  run(second, second_ctx);
  BOOST_TEST(same_weights(first, second));
}

BOOST_AUTO_TEST_CASE(a_loaded_checkpoint_goes_on_as_if_never_saved) {
  scratch folder;
  checkpoint_reader from{folder.path(), rank_id{0}};
  auto x = experience(16);
  auto ctx = trainer_context();
  policy_trainer model;
  model.setup(ctx);
  model.warm_start(data.rows(data.train, 0, 512));
  model.train_step(x);
  save(model, {folder.path(), rank_id{0}});
  auto other_ctx = trainer_context();
  policy_trainer other;
  other.setup(other_ctx);
  other.load_checkpoint(from);
  BOOST_TEST(same_weights(model, other));
  auto metrics = model.train_step(x);
  BOOST_TEST(other.train_step(x).meta_number(metric::learning_rate)
             == metrics.meta_number(metric::learning_rate));
  model.warm_start(data.rows(data.train, 0, 256));
  other.warm_start(data.rows(data.train, 0, 256));
  BOOST_TEST(same_weights(model, other));
}

BOOST_AUTO_TEST_CASE(a_checkpoint_that_does_not_fit_is_refused_by_name) {
  scratch folder;
  checkpoint_reader from{folder.path(), rank_id{0}};
  auto ctx = trainer_context();
  policy_trainer model;
  model.setup(ctx);
  BOOST_CHECK_THROW(model.load_checkpoint(from), std::runtime_error);
  auto file = from.rank_file("policy_trainer");
  std::ofstream{file} << "not a checkpoint";
  BOOST_CHECK_THROW(model.load_checkpoint(from), std::runtime_error);
  save(model, {folder.path(), rank_id{0}});
  auto wide_ctx = trainer_context();
  wide_ctx.settings().set("width", std::int64_t{32});
  policy_trainer wide;
  wide.setup(wide_ctx);
  BOOST_CHECK_EXCEPTION(wide.load_checkpoint(from), std::runtime_error,
                        [](const std::runtime_error& e) {
                          return std::string_view{e.what()}.find(
                                   "model.embed_tokens.weight")
                                 != std::string_view::npos;
                        });
}

BOOST_AUTO_TEST_CASE(experience_that_lacks_something_is_refused) {
  auto ctx = trainer_context();
  policy_trainer model;
  model.setup(ctx);
  auto x = experience(4);
  batch lacking;
  for (const auto& [name, value] : x.tensors())
    if (name != field::old_logprobs)
      lacking.set(name, value);
  BOOST_CHECK_THROW(model.train_step(lacking), std::invalid_argument);
  x.set(std::string{field::advantage}, troupe::tensor{dtype::float32, {3}});
  BOOST_CHECK_THROW(model.train_step(x), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(tokens_outside_the_vocabulary_are_refused_unlearned) {
  auto ctx = trainer_context();
  auto untouched_ctx = trainer_context();
  fake_context reference_ctx{"reference", seed, smaller(reference_options())};
  policy_trainer model;
  policy_trainer untouched;
  reference scoring;
  model.setup(ctx);
  untouched.setup(untouched_ctx);
  scoring.setup(reference_ctx);
  auto refused = [](auto f) {
    BOOST_CHECK_EXCEPTION(f(), std::invalid_argument,
                          [](const std::invalid_argument& e) {
                            std::string_view text = e.what();
                            return text.find("token 14") != text.npos
                                   && text.find("0 to 13") != text.npos;
                          });
  };
  // A sequence's last token is looked up among logits alone, and this row is
  // one of the last step's.
  auto x = experience(8);
  auto tokens = x.get(field::tokens).value();
  tokens.values<std::int64_t>().back() = 14;
  refused([&] { model.train_step(x); });
  refused([&] { static_cast<void>(scoring.score(x)); });
  auto examples = data.rows(data.train, 0, 256);
  auto answers = examples.get(field::answer).value();
  answers.values<std::int64_t>().back() = 14;
  refused([&] { model.warm_start(examples); });
  BOOST_TEST(same_weights(model, untouched));
}

BOOST_AUTO_TEST_CASE(gradients_that_are_not_finite_stop_the_training) {
  auto ctx = trainer_context();
  policy_trainer model;
  model.setup(ctx);
  auto x = experience(4);
  x.get(field::advantage)
    .value()
    .values<float>()[0] = std::numeric_limits<float>::infinity();
  BOOST_CHECK_THROW(model.train_step(x), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(senseless_options_are_named) {
  for (auto name : {"learning_rate", "minibatches", "clip", "beta1", "heads",
                    "warm_start_batch", "temperature"}) {
    auto ctx = trainer_context();
    if (std::holds_alternative<std::int64_t>(ctx.settings().values().at(name)))
      ctx.settings().set(name, std::int64_t{-1});
    else
      ctx.settings().set(name, -1.0);
    policy_trainer model;
    BOOST_CHECK_EXCEPTION(model.setup(ctx), std::invalid_argument,
                          [&](const std::invalid_argument& e) {
                            return std::string_view{e.what()}.find(name)
                                   != std::string_view::npos;
                          });
  }
}

BOOST_AUTO_TEST_SUITE_END()
