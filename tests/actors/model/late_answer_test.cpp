// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/late_answer.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/error.hpp>
#include <caf/sec.hpp>

#include "troupe/actors/protocol/errors.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using model::late_or;

namespace {

error silence() {
  return protocol::from_caf(caf::make_error(caf::sec::request_timeout));
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_late_answer)

BOOST_AUTO_TEST_CASE(silence_says_what_it_had_and_what_bounds_it) {
  auto got = late_or(silence(), "generate", 60'000ms);
  BOOST_TEST((got.code() == errc::timed_out));
  BOOST_TEST(
    got.message()
    == "not done in the 1 min 00 s it had: see runtime.call_timeout_ms");
}

BOOST_AUTO_TEST_CASE(every_operation_has_its_key) {
  auto names = [](std::string_view operation, std::string_view key) {
    auto words = late_or(silence(), operation, 500ms).message();
    BOOST_TEST_INFO(operation << ": " << words);
    return words.find(key) != std::string::npos;
  };
  BOOST_TEST(names("start", "runtime.setup_timeout_ms"));
  BOOST_TEST(names("start", "runtime.rejoin_timeout_ms"));
  BOOST_TEST(names("set up", "runtime.setup_timeout_ms"));
  BOOST_TEST(names("connect groups", "runtime.setup_timeout_ms"));
  BOOST_TEST(names("connect groups", "runtime.sync_timeout_ms"));
  BOOST_TEST(names("sync (pin)", "runtime.sync_timeout_ms"));
  BOOST_TEST(names("weight sync", "runtime.sync_timeout_ms"));
  BOOST_TEST(names("save checkpoint", "runtime.checkpoint_timeout_ms"));
  BOOST_TEST(names("load checkpoint", "runtime.checkpoint_timeout_ms"));
  BOOST_TEST(names("train_step", "runtime.call_timeout_ms"));
}

BOOST_AUTO_TEST_CASE(who_is_still_at_it_is_told_with_both_bounds) {
  auto got = model::still_at_it("on_sync", 31s);
  BOOST_TEST((got.code() == errc::timed_out));
  BOOST_TEST(got.message()
             == "is still at it after 31.0 s, while all others have given up "
                "waiting: see runtime.collective_timeout_ms for how long they "
                "wait, runtime.sync_timeout_ms for how long it may take");
  // There is no collective yet.
  BOOST_TEST(model::still_at_it("connect groups", 60s).message()
             == "is still at it after 1 min 00 s, while all others have given "
                "up waiting: see runtime.setup_timeout_ms, "
                "runtime.sync_timeout_ms in a sync, runtime.rejoin_timeout_ms "
                "in a repair");
}

BOOST_AUTO_TEST_CASE(an_answer_stays_as_it_was) {
  for (const auto& why : {error{errc::timed_out, "the disk is slow"},
                          error{errc::lost, "its process is gone"}})
    BOOST_TEST((late_or(why, "generate", 1s) == why));
}

BOOST_AUTO_TEST_SUITE_END()
