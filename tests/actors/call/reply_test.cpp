// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/call/reply.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "support/actor_fixture.hpp"

using namespace troupe;
using protocol::get_batch;
using protocol::open_scope;
using protocol::scope_opened;
using protocol::stored_batch;

namespace {

using debtor_actor = caf::typed_actor<
  caf::replies_to<open_scope>::with<scope_opened>>;

/// Owes answers, which the test hands out or drops.
class debtor : public debtor_actor::base {
public:
  explicit debtor(caf::actor_config& config) : debtor_actor::base(config) {
    // nop
  }

  const char* name() const override { return "debtor"; }

  void on_exit() override { owed.clear(); }

  std::vector<call::reply<scope_opened>> owed;

protected:
  behavior_type make_behavior() override {
    return {[this](open_scope) {
      call::reply<scope_opened> out{make_response_promise<scope_opened>()};
      owed.push_back(out);
      return out.promise();
    }};
  }
};

struct fixture : test::actor_fixture {
  debtor_actor handle = spawn<debtor>();
  debtor& object = object_of<debtor>(handle);
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(call_reply, fixture)

BOOST_AUTO_TEST_CASE(an_answer_is_delivered_later) {
  auto got = ask_and_run<scope_opened>(handle, open_scope{});
  BOOST_TEST(!got.ready());
  object.owed.front().deliver(scope_opened{7});
  run_jobs();
  BOOST_TEST(got.value().scope == 7u);
}

BOOST_AUTO_TEST_CASE(an_error_is_delivered_with_its_code_and_text) {
  auto got = ask_and_run<scope_opened>(handle, open_scope{});
  object.owed.front().deliver(fail(errc::exhausted, "no more scopes"));
  run_jobs();
  BOOST_TEST((got.failure() == error{errc::exhausted, "no more scopes"}));
}

BOOST_AUTO_TEST_CASE(only_the_first_delivery_of_all_copies_counts) {
  auto got = ask_and_run<scope_opened>(handle, open_scope{});
  auto copy = object.owed.front();
  copy.deliver(scope_opened{1});
  object.owed.front().deliver(scope_opened{2});
  object.owed.front().deliver(fail(errc::failed, "late"));
  run_jobs();
  BOOST_TEST(got.value().scope == 1u);
}

BOOST_AUTO_TEST_CASE(a_dropped_promise_delivers_an_error) {
  auto got = ask_and_run<scope_opened>(handle, open_scope{});
  auto copy = object.owed.front();
  object.owed.clear();
  run_jobs();
  BOOST_TEST(!got.ready());
  copy = call::reply<scope_opened>{caf::typed_response_promise<scope_opened>{}};
  run_jobs();
  BOOST_TEST((got.failure().code() == errc::internal));
}

BOOST_AUTO_TEST_CASE(an_actor_that_ends_leaves_nobody_waiting) {
  auto got = ask_and_run<scope_opened>(handle, open_scope{});
  kill(handle);
  BOOST_TEST(got.count() == 1u);
  BOOST_TEST(!got.get());
}

BOOST_AUTO_TEST_SUITE_END()
