// SPDX-License-Identifier: Apache-2.0
// What goes wrong while something is only tried is no failure of the job, until
// whoever tries it says so. The test plays the ranks and the sync_group.
#include "actors/model/replica_fixture.hpp"

using namespace troupe;
using namespace troupe::protocol;

namespace {

const error no_memory{errc::exhausted, "no 4 GiB of memory to stage"};
const error no_link{errc::lost, "the link is gone"};

struct fixture : test::replica_fixture {
  void try_it() {
    moving.on_trial = true;
    begin("weight sync");
    let_out(0, no_memory);
    let_out(2, no_link);
  }

  void own_up(const std::string& sync = "t2p") {
    sync_order request;
    request.sync = sync;
    request.action = sync_action::own_up;
    request.timeout_ms = timeout_ms;
    request.items = moving.items;
    BOOST_TEST(
      ask_and_run<sync_standings>(trainer, request).value().items.empty());
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_replica_reports, fixture)

BOOST_AUTO_TEST_CASE(what_is_no_trial_is_reported_at_once) {
  begin("weight sync");
  let_out(0, no_memory);
  auto known = reported();
  BOOST_REQUIRE(known.size() == 1u);
  BOOST_TEST((known[0].level == severity::error));
  BOOST_TEST((known[0].code == errc::exhausted));
  BOOST_TEST(known[0].rank.value() == 0);
  BOOST_TEST(known[0].slot == 0);
}

BOOST_AUTO_TEST_CASE(a_trial_says_nothing_while_something_else_is_tried) {
  try_it();
  let_out(1, no_link);
  moving.on_trial = false;
  moving.links = 2;
  begin("weight sync");
  for (auto rank = 0; rank < num_rank; ++rank)
    let_out(rank);
  BOOST_TEST(reported().empty());
}

BOOST_AUTO_TEST_CASE(a_trial_that_has_failed_for_good_names_its_ranks) {
  try_it();
  // Another sync's.
  own_up("t");
  BOOST_TEST(reported().empty());
  own_up();
  auto known = reported();
  BOOST_REQUIRE(known.size() == 2u);
  for (const auto& x : known) {
    BOOST_TEST((x.level == severity::error));
    BOOST_TEST(x.model == "trainer");
    BOOST_TEST(x.operation == "weight sync");
  }
  BOOST_TEST(known[0].rank.value() == 0);
  BOOST_TEST(known[1].rank.value() == 2);
  BOOST_TEST(known[1].message == no_link.message());
  // What comes late is no secret any more, and nothing is said twice.
  let_out(1, no_link);
  BOOST_TEST(reported().size() == 3u);
  own_up();
  BOOST_TEST(reported().size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_program_s_filtered_lane_is_the_sync_s_too) {
  moving.program = "t2p/trained";
  try_it();
  own_up();
  BOOST_TEST(reported().size() == 2u);
}

BOOST_AUTO_TEST_CASE(what_does_not_come_of_memory_is_told_on_trial_too) {
  moving.on_trial = true;
  begin("weight sync");
  let_out(0, error{errc::corrupt, "the digests differ"});
  let_out(1, error{errc::timed_out, "waited 60 s"});
  let_out(2, no_link);
  BOOST_TEST(reported().size() == 2u);
}

BOOST_AUTO_TEST_CASE(the_next_trial_has_nothing_of_the_last) {
  try_it();
  let_out(1, no_link);
  moving.links = 2;
  try_it();
  own_up();
  BOOST_TEST(reported().size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
