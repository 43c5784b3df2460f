// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/storage.hpp"

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"
#include "support/inproc_job.hpp"
#include "support/stub_node.hpp"

using namespace troupe;
using namespace troupe::protocol;

namespace {

struct fixture : test::actor_fixture {
  process::batch_store store{{}};
  std::shared_ptr<std::vector<std::string>>
    told = std::make_shared<std::vector<std::string>>();
  storage_actor storage = spawn<
    model::storage>(std::vector<node_actor>{spawn<test::stub_node>(told),
                                            spawn<test::stub_node>(told)},
                    &store);

  std::uint64_t open() {
    return ask_and_run<scope_opened>(storage, open_scope{}).value().scope;
  }

  process::batch_ref big(std::uint64_t scope) {
    batch x;
    x.set("x", tensor{dtype::uint8, {2, 100'000}});
    return {{store.put(x, scope).value()}};
  }

  test::answer<stored_batch> find(const std::string& name) {
    return ask_and_run<stored_batch>(storage, get_batch{name});
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_storage, fixture)

BOOST_AUTO_TEST_CASE(scopes_grow_and_never_repeat) {
  BOOST_TEST(open() == 1u);
  BOOST_TEST(open() == 2u);
  BOOST_TEST(open() == 3u);
}

BOOST_AUTO_TEST_CASE(a_name_stands_for_the_last_batch_put) {
  auto scope = open();
  auto first = big(scope);
  auto second = big(scope);
  ask_and_run<ack>(storage, put_batch{"x", scope, first}).value();
  BOOST_TEST((find("x").value().value == first));
  ask_and_run<ack>(storage, put_batch{"x", scope, second}).value();
  BOOST_TEST((find("x").value().value == second));
}

BOOST_AUTO_TEST_CASE(an_unknown_name_is_unavailable_and_named) {
  auto got = find("y");
  BOOST_TEST((got.failure().code() == errc::unavailable));
  BOOST_TEST(got.failure().message().find("'y'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(releasing_frees_old_scopes_here_and_on_every_node) {
  auto first = open();
  auto second = open();
  ask_and_run<ack>(storage, put_batch{"old", first, big(first)}).value();
  ask_and_run<ack>(storage, put_batch{"new", second, big(second)}).value();
  BOOST_TEST(store.stats().buffers == 2u);
  tell(storage, release_batches{first});
  BOOST_TEST(store.stats().buffers == 1u);
  BOOST_TEST((find("old").failure().code() == errc::unavailable));
  BOOST_TEST((find("new").value().value.rows() == 2));
  BOOST_TEST(*told == (std::vector<std::string>{"release: 1", "release: 1"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
