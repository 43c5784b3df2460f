// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/engine/job_actors.hpp"

#include <boost/test/unit_test.hpp>

using namespace troupe;

namespace {

struct fixture {
  application app;
  config::job_config config;

  fixture() {
    for (const auto* name : {"trainer", "policy", "reference", "reward"}) {
      config.models.emplace_back();
      config.models.back().name = name;
    }
    config.models[0].trainable = true;
    sync("trainer", "policy", sync_schedule_kind::by_frequency);
    sync("trainer", "reference", sync_schedule_kind::once);
  }

  void sync(const std::string& from, const std::string& to,
            sync_schedule_kind kind) {
    app.syncs.push_back({from, to});
    app.sync_kinds.push_back(kind);
  }

  [[nodiscard]] bool return_to(const std::string& model) const {
    return engine::weights_return(app, config, model);
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(engine_job_actors, fixture)

BOOST_AUTO_TEST_CASE(weights_return_where_every_sync_comes_again) {
  BOOST_TEST(return_to("policy"));
  BOOST_TEST(!return_to("trainer"));
  BOOST_TEST(!return_to("reference"));
  BOOST_TEST(!return_to("nobody"));
  sync("reward", "policy", sync_schedule_kind::once);
  BOOST_TEST(!return_to("policy"));
}

BOOST_AUTO_TEST_CASE(weights_that_train_do_not_return) {
  config.models[1].trainable = true;
  BOOST_TEST(!return_to("policy"));
}

BOOST_AUTO_TEST_CASE(weights_that_nobody_writes_return_with_the_setup) {
  BOOST_TEST(return_to("reward"));
  config.models[1].sync_frequency = 0;
  BOOST_TEST(return_to("policy"));
  config.runtime.sync.dry_run = true;
  BOOST_TEST(return_to("policy"));
}

BOOST_AUTO_TEST_SUITE_END()
