// SPDX-License-Identifier: Apache-2.0
#include <stdexcept>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include "apps/support/addition_fixture.hpp"

using namespace troupe;
using namespace troupe::grpo;
using namespace troupe::test;

namespace {

class limited_context : public fake_context {
public:
  limited_context(std::uint64_t limit, std::uint64_t seed,
                  const std::vector<option_spec>& specs)
    : fake_context("policy_trainer", seed, specs),
      limit_(limit) {
    // nop
  }

  std::uint64_t device_bytes_max() const noexcept override { return limit_; }

private:
  std::uint64_t limit_;
};

/// Whether `f` is refused because the model is away.
template <class F>
void check_refused(F f, std::string_view function) {
  BOOST_CHECK_EXCEPTION(f(), std::logic_error, [&](const std::logic_error& e) {
    std::string_view text = e.what();
    return text.find(function) != text.npos
           && text.find("offloaded") != text.npos;
  });
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(grpo_offload, addition)

BOOST_AUTO_TEST_CASE(a_trainer_learns_the_same_with_round_trips_between_calls) {
  auto x = experience(8);
  auto examples = data.rows(data.train, 0, 256);
  auto run = [&](policy_trainer& model, fake_context& ctx, bool moves) {
    auto rest = [&] {
      if (!moves)
        return;
      model.offload();
      model.onload();
    };
    model.setup(ctx);
    rest();
    model.warm_start(examples);
    rest();
    model.train_step(x);
    rest();
  };
  auto first_ctx = trainer_context();
  auto second_ctx = trainer_context();
  policy_trainer stayed;
  policy_trainer moved;
  run(stayed, first_ctx, false);
  run(moved, second_ctx, true);
  BOOST_TEST(same_weights(stayed, moved));
}

BOOST_AUTO_TEST_CASE(nothing_works_while_a_model_is_offloaded) {
  auto ctx = trainer_context();
  fake_context policy_ctx{"policy", seed, smaller(policy_options())};
  fake_context reference_ctx{"reference", seed, smaller(reference_options())};
  auto prompts = data.rows(data.train, 0, 2);
  auto x = experience(2);
  policy_trainer trainer;
  policy drawing;
  reference scoring;
  trainer.setup(ctx);
  drawing.setup(policy_ctx);
  scoring.setup(reference_ctx);
  trainer.offload();
  drawing.offload();
  scoring.offload();
  check_refused([&] { static_cast<void>(trainer.parameters()); }, "parameters");
  check_refused([&] { trainer.train_step(x); }, "train_step");
  check_refused([&] { trainer.warm_start(prompts); }, "warm_start");
  check_refused([&] { static_cast<void>(drawing.generate(prompts)); },
                "generate");
  check_refused([&] { static_cast<void>(drawing.evaluate(prompts)); },
                "evaluate");
  check_refused([&] { static_cast<void>(scoring.score(x)); }, "score");
  drawing.onload();
  BOOST_TEST(drawing.generate(prompts).rows().value() == 16);
}

BOOST_AUTO_TEST_CASE(a_rollout_after_a_round_trip_is_the_same) {
  auto prompts = data.rows(data.train, 0, 4);
  auto draw = [&](bool moves) {
    fake_context ctx{"policy", seed, smaller(policy_options())};
    policy model;
    model.setup(ctx);
    if (moves) {
      model.offload();
      model.onload();
    }
    return model.generate(prompts);
  };
  auto stayed = draw(false);
  auto moved = draw(true);
  for (auto name : {field::tokens, field::old_logprobs})
    BOOST_TEST(stayed.get(name).value().same_elements(moved.get(name).value()));
}

BOOST_AUTO_TEST_CASE(a_limit_that_is_too_low_is_refused_at_setup) {
  auto specs = smaller(policy_trainer_options());
  limited_context tight{100, seed, specs};
  policy_trainer model;
  BOOST_CHECK_EXCEPTION(model.setup(tight), std::runtime_error,
                        [](const std::runtime_error& e) {
                          std::string_view text = e.what();
                          return text.find("policy_trainer") != text.npos
                                 && text.find("device_memory_max") != text.npos;
                        });
  limited_context wide{1'000'000, seed, specs};
  policy_trainer fits;
  fits.setup(wide);
  BOOST_TEST(!fits.parameters().empty());
  // Of a device's memory the CPU has none.
  BOOST_TEST(!fits.device_bytes().has_value());
}

BOOST_AUTO_TEST_SUITE_END()
