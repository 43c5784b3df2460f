// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/model_shapes.hpp"

#include <memory>
#include <string>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "support/inproc_job.hpp"
#include "support/why.hpp"

using namespace troupe;
using engine::add_shapes;
using engine::check_shapes;

namespace {

struct fixture {
  module_registry models;
  config::job_config config;
  batch saved;

  fixture() {
    auto notes = std::make_shared<test::module_notes>();
    test::declare(models, "policy", notes);
    test::declare(models, "trainer", notes);
    for (const auto* name : {"policy", "trainer"}) {
      config.models.emplace_back();
      config.models.back().name = name;
    }
    trainer().parallel.data = 4;
    add_shapes(saved, config);
  }

  config::model_config& policy() { return config.models[0]; }
  config::model_config& trainer() { return config.models[1]; }

  void same_on_data_ranks() { models.models()[1]->set_same_on_data_ranks(); }

  [[nodiscard]] result<void> check() const {
    return check_shapes(saved, config, models);
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(engine_model_shapes, fixture)

BOOST_AUTO_TEST_CASE(what_was_saved_can_be_loaded) {
  BOOST_TEST(check().has_value(), test::why(check()));
}

BOOST_AUTO_TEST_CASE(replicas_may_be_more_or_fewer) {
  policy().num_replica = 3;
  policy().num_gpu = 3;
  BOOST_TEST(check().has_value(), test::why(check()));
}

BOOST_AUTO_TEST_CASE(other_ranks_are_refused_with_a_sentence) {
  for (auto data : {2, 8}) {
    trainer().parallel.data = data;
    auto fits = check();
    BOOST_REQUIRE(!fits);
    BOOST_TEST((fits.error().code() == errc::invalid));
    auto expected = fmt::format("the checkpoint has replicas of trainer with 4 "
                                "ranks (data 4), the configuration asks for "
                                "{0} ranks (data {0}): go on with the num_gpu "
                                "and parallel sizes that models.trainer was "
                                "saved with",
                                data);
    BOOST_TEST(fits.error().message() == expected);
  }
}

BOOST_AUTO_TEST_CASE(the_same_ranks_cut_otherwise_are_refused) {
  trainer().parallel.data = 2;
  trainer().parallel.tensor = 2;
  same_on_data_ranks();
  auto fits = check();
  BOOST_REQUIRE(!fits);
  BOOST_TEST_INFO(fits.error().message());
  BOOST_TEST((fits.error().message().find("4 ranks (tensor 2 x data 2)")
              != std::string::npos));
}

BOOST_AUTO_TEST_CASE(equal_data_ranks_may_be_more_or_fewer) {
  same_on_data_ranks();
  for (auto data : {1, 2, 8}) {
    trainer().parallel.data = data;
    BOOST_TEST(check().has_value(), test::why(check()));
  }
}

// A stage is a block of ranks: with more data ranks its ranks have other numbers.
BOOST_AUTO_TEST_CASE(equal_data_ranks_of_several_stages_stay_as_many) {
  same_on_data_ranks();
  for (auto size :
       {&planner::parallel_sizes::pipeline, &planner::parallel_sizes::expert}) {
    trainer().parallel = {};
    trainer().parallel.data = 4;
    trainer().parallel.*size = 2;
    add_shapes(saved, config);
    BOOST_TEST(check().has_value(), test::why(check()));
    trainer().parallel.data = 8;
    BOOST_TEST(!check().has_value());
  }
}

BOOST_AUTO_TEST_CASE(what_nothing_was_noted_of_is_loaded_as_before) {
  saved = {};
  trainer().parallel.data = 2;
  BOOST_TEST(check().has_value(), test::why(check()));
}

BOOST_AUTO_TEST_CASE(devices_that_are_not_counted_yet_are_not_compared) {
  trainer().parallel.data = 1;
  trainer().all_gpus = true;
  BOOST_TEST(check().has_value(), test::why(check()));
}

BOOST_AUTO_TEST_SUITE_END()
