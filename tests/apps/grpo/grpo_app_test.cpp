// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/grpo/grpo_app.hpp"

#include <boost/test/unit_test.hpp>

#include "troupe/actors/config/loader.hpp"
#include "troupe/apps/app/app.hpp"

using namespace troupe;

namespace {

/// What the application says of the shipped configuration with changes.
std::string verdict(const std::vector<std::string>& overrides) {
  app x{"grpo"};
  grpo::declare(x);
  auto job = config::load(TROUPE_APPS_DIR "/grpo/addition.yaml",
                          x.description().schema(), overrides);
  if (!job)
    return job.error().message();
  auto sound = x.description().check(*job);
  return sound ? "" : sound.error().message();
}

} // namespace

BOOST_AUTO_TEST_SUITE(grpo_grpo_app)

BOOST_AUTO_TEST_CASE(the_shipped_configuration_is_sound) {
  BOOST_TEST(verdict({}) == "");
}

BOOST_AUTO_TEST_CASE(sizes_that_cannot_be_are_refused_with_their_model) {
  auto got = verdict({"models.policy.width=66"});
  BOOST_TEST(got.find("models.policy: ") == 0u, got);
  BOOST_TEST(got.find("66") != std::string::npos, got);
}

BOOST_AUTO_TEST_CASE(copies_have_the_shape_of_their_trainer) {
  BOOST_TEST(verdict({"models.reference.layers=5"})
             == "models.reference.layers is 5, but policy_trainer, whose "
                "weights it gets, has 2");
  BOOST_TEST(verdict({"models.policy_trainer.layers=5"})
             == "models.policy.layers is 2, but policy_trainer, whose weights "
                "it gets, has 5");
  BOOST_TEST(verdict({"models.policy_trainer.layers=3",
                      "models.policy.layers=3", "models.reference.layers=3"})
             == "");
}

BOOST_AUTO_TEST_CASE(copies_have_the_temperature_of_their_trainer) {
  BOOST_TEST(verdict({"models.policy.temperature=0.7"})
             == "models.policy.temperature is 0.7, but policy_trainer has 1: "
                "their logprobs would be those of different distributions; set "
                "both to the same");
  auto got = verdict(
    {"models.policy_trainer.temperature=0.5", "models.policy.temperature=0.5"});
  BOOST_TEST(got.find("models.reference.temperature is 1") == 0u, got);
  BOOST_TEST(verdict({"models.policy_trainer.temperature=0.5",
                      "models.policy.temperature=0.5",
                      "models.reference.temperature=0.5"})
             == "");
}

BOOST_AUTO_TEST_SUITE_END()
