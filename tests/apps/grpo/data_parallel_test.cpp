// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include "apps/support/addition_fixture.hpp"
#include "apps/support/ranks.hpp"

using namespace troupe;
using namespace troupe::grpo;
using namespace troupe::test;
namespace tt = boost::test_tools;

namespace {

/// One call of each kind on a model; `minibatches` of 1 makes the steps of any
/// number of ranks comparable.
batch learn(policy_trainer& model, fake_context& ctx, const batch& examples,
            const batch& experience, std::int64_t minibatches) {
  ctx.settings().set("minibatches", minibatches);
  model.setup(ctx);
  auto warm = model.warm_start(examples);
  auto metrics = model.train_step(experience);
  metrics.set_meta("warm_loss", warm.meta_number(metric::loss));
  return metrics;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(grpo_data_parallel, addition)

BOOST_AUTO_TEST_CASE(two_ranks_report_what_one_reports_and_stay_identical) {
  auto examples = data.rows(data.train, 0, 256);
  auto x = experience(12);
  auto ctx = trainer_context();
  policy_trainer single;
  auto expected = learn(single, ctx, examples, x, 1);
  // An odd cut: ranks differ in rows and tokens.
  auto cut = [](const batch& all, std::int32_t rank) {
    auto rows = all.rows().value();
    auto at = rows * 2 / 5;
    batch part;
    for (const auto& [name, value] : all.tensors())
      part.set(name, rank == 0 ? value.rows(0, at) : value.rows(at, rows));
    return part;
  };
  for (std::int64_t minibatches : {1, 4}) {
    std::vector<batch> metrics(2);
    std::vector<policy_trainer> models(2);
    run_ranks(2, [&](std::int32_t rank, comm::communicator_ptr group) {
      auto rank_ctx = trainer_context(rank, 2, std::move(group));
      auto i = static_cast<std::size_t>(rank);
      metrics[i] = learn(models[i], rank_ctx, cut(examples, rank), cut(x, rank),
                         minibatches);
    });
    BOOST_TEST(same_weights(models[0], models[1]));
    for (const auto& [name, value] : metrics[0].meta())
      BOOST_TEST(metrics[1].meta_number(name) == metrics[0].meta_number(name));
    if (minibatches == 1)
      for (const auto& [name, value] : expected.meta())
        BOOST_TEST(metrics[0].meta_number(name) == expected.meta_number(name),
                   tt::tolerance(1e-3));
  }
}

BOOST_AUTO_TEST_CASE(a_rank_without_rows_takes_part_all_the_same) {
  auto x = experience(4);
  std::vector<policy_trainer> models(2);
  run_ranks(2, [&](std::int32_t rank, comm::communicator_ptr group) {
    auto rank_ctx = trainer_context(rank, 2, std::move(group));
    auto& model = models[static_cast<std::size_t>(rank)];
    model.setup(rank_ctx);
    batch part;
    for (const auto& [name, value] : x.tensors())
      part.set(name, rank == 0 ? value : value.rows(0, 0));
    model.train_step(part);
  });
  BOOST_TEST(same_weights(models[0], models[1]));
}

BOOST_AUTO_TEST_SUITE_END()
