// SPDX-License-Identifier: Apache-2.0
// Models that get more or fewer replicas while their run goes on.
#include <chrono>
#include <filesystem>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "apps/run/job.hpp"

using namespace run_test;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

constexpr auto num_episode = 100;

struct fixture : job_fixture {
  /// A worker that does so for as long as the file is there.
  std::vector<std::string> faulty_while(const wanted_fault& x,
                                        const char* file) const {
    auto out = fault_options(x);
    out.insert(out.end(),
               {"--set", fmt::format("models.{}.fault_while={}", x.model,
                                     (folder() / file).string())});
    return out;
  }

  /// A run whose episodes take a while until `hurry`.
  std::unique_ptr<program> begin(const std::vector<std::string>& more = {}) {
    write("slow", "");
    auto words = faulty_while({"policy", 0, 0, "generation", "slow"}, "slow");
    words.insert(words.end(),
                 {"--name", "elastic", "--set",
                  fmt::format("runtime.num_episode={}", num_episode)});
    words.insert(words.end(), more.begin(), more.end());
    auto driver = start_run(words);
    auto until = soon();
    while (!contains(driver->output(), "episode") && !until.passed())
      if (driver->wait(within(20ms)))
        break;
    return driver;
  }

  /// All orders are given: the rest of the episodes takes no time.
  void hurry() const { std::filesystem::remove(folder() / "slow"); }

  struct answer {
    int status = -999;
    std::string text;
  };

  answer order(const std::string& model, const std::string& count,
               const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"scale", "elastic",      model,
                                   count,   "--output-dir", runs().string()};
    words.insert(words.end(), more.begin(), more.end());
    auto x = start(words);
    auto status = x->wait(soon()).value_or(-999);
    return {status, flat(x->output())};
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(scale, fixture)

BOOST_AUTO_TEST_CASE(a_model_shrinks_and_grows_between_episodes) {
  auto driver = begin();
  auto fewer = order("policy", "1");
  BOOST_TEST(fewer.status == 0, fewer.text);
  BOOST_TEST(contains(fewer.text, "policy has 1 replica since episode"));
  BOOST_TEST(contains(fewer.text, ", before 2."));
  auto more = order("policy", "2", {"--json"});
  BOOST_TEST(more.status == 0, more.text);
  auto told = json::parse(more.text)["scaled"];
  BOOST_TEST(told["model"] == "policy");
  BOOST_TEST(told["num_replica"] == 2);
  BOOST_TEST(told["num_replica_before"] == 1);
  // A CPU model has room for more.
  BOOST_TEST(order("reward", "3").status == 0);
  hurry();
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0, driver->output());
  auto said = flat(driver->output());
  BOOST_TEST(contains(said, "every replica equals its source bit for bit"));
  BOOST_TEST(contains(said, "reward has 3 replicas now, before 1."));
  std::int64_t next = 0;
  for (const auto& row : read_rows(runs() / "elastic/ledger.jsonl")) {
    BOOST_TEST(row["begin"] == next);
    next = row["end"];
  }
  BOOST_TEST(next == 16 * num_episode);
  BOOST_TEST(!std::filesystem::exists(runs() / "elastic/orders"));
  BOOST_TEST(left_after(within(2s)) == "");
}

// The last checkpoint knows nothing of the new replicas.
BOOST_AUTO_TEST_CASE(a_run_that_has_grown_goes_on_after_a_failure) {
  auto more = faulty_while({"trainer", 0, 1, "training", "segv"}, "crash");
  more.insert(more.end(), {"--set",
                           fmt::format("models.trainer.fault_once={}",
                                       (folder() / "once").string()),
                           "--set", "runtime.on_failure=restart", "--set",
                           "runtime.save_episode_interval=1000"});
  auto driver = begin(more);
  auto x = order("reward", "3");
  BOOST_TEST(x.status == 0, x.text);
  write("crash", "");
  hurry();
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0, driver->output());
  auto said = flat(driver->output());
  BOOST_TEST(contains(said, "trainer replica 0 was made anew."), said);
  auto summary = json::parse(read_file(runs() / "elastic/summary.json"));
  auto replicas = 0;
  for (const auto& process : summary["processes"])
    for (const auto& model : process["models"])
      replicas += model.get<std::string>().starts_with("reward/") ? 1 : 0;
  BOOST_TEST(replicas == 3);
  BOOST_TEST(left_after(within(2s)) == "");
}

BOOST_AUTO_TEST_CASE(what_makes_no_sense_is_refused_and_the_run_goes_on) {
  auto driver = begin();
  auto refused = [&](const std::string& model, const std::string& count,
                     int status, std::string_view why) {
    auto x = order(model, count);
    BOOST_TEST(x.status == status, x.text);
    BOOST_TEST(contains(x.text, why), x.text);
  };
  refused("trainer", "2", 2, "trainer trains");
  refused("polizy", "2", 2,
          "there is no model 'polizy'; did you mean 'policy'?");
  refused("policy", "0", 2, "needs at least 1 replica");
  refused("policy", "3", 1, "needs a device that holds none already");
  refused("policy", "many", 2, "many");
  hurry();
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0, driver->output());
  refused("policy", "1", 2, "takes no orders: it has ended");
  BOOST_TEST(order("policy", "1", {"--output-dir", "nowhere"}).status == 2);
  BOOST_TEST(left_after(within(2s)) == "");
}

BOOST_AUTO_TEST_CASE(a_replica_that_cannot_be_set_up_is_left_out) {
  // Replica 1 of the reward is none of those that the run begins with.
  auto driver = begin(fault_options({"reward", 1, 0, "setup", "throw"}));
  auto x = order("reward", "2");
  BOOST_TEST(x.status == 1, x.text);
  BOOST_TEST(contains(x.text, "the setup broke on purpose"), x.text);
  hurry();
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0, driver->output());
  BOOST_TEST(contains(flat(driver->output()), "reward keeps 1 replicas"));
}

BOOST_AUTO_TEST_SUITE_END()
