// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/hang_report.hpp"

#include <boost/test/unit_test.hpp>

using namespace troupe;
using protocol::worker_name;
using sync::hang_report;

namespace {

worker_name rank_of(const std::string& model, int rank) {
  return {model, replica_id{0}, rank_id{rank}};
}

hang_report one_hangs() {
  hang_report x;
  x.sync = "t2p";
  x.state = sync::sync_state::transferring;
  x.mode = sync::sync_mode::staged;
  x.waited_ms = 30'000;
  x.arrived = {rank_of("trainer", 0)};
  x.missing = {rank_of("policy", 1)};
  x.operations =
    {{rank_of("trainer", 0), "idle", 2'500},
     {rank_of("policy", 1),
      "sync t2p: receive from rank 0 over shm: waiting at bucket 4 of 9 for "
      "2.1 s ('a', 'b' and 3 more)",
      0}};
  return x;
}

} // namespace

BOOST_AUTO_TEST_SUITE(sync_hang_report)

BOOST_AUTO_TEST_CASE(it_names_sync_state_ranks_bucket_tensors_and_ages) {
  std::vector<std::string> expected{
    "sync t2p hangs: transferring (staged) for 30.0 s",
    "  arrived: trainer/0/0", "  did not arrive: policy/0/1",
    "  policy/0/1: sync t2p: receive from rank 0 over shm: waiting at bucket 4 "
    "of 9 for 2.1 s ('a', 'b' and 3 more)",
    "  trainer/0/0: idle, for 2.5 s"};
  BOOST_TEST(to_lines(one_hangs()) == expected,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_sentence_begins_with_who_is_missing) {
  auto text = to_sentence(one_hangs());
  BOOST_TEST(text.find("did not arrive in 30.0 s: policy/0/1; arrived: "
                       "trainer/0/0; policy/0/1: sync t2p: receive")
             == 0u);
}

BOOST_AUTO_TEST_CASE(a_thousand_ranks_stay_readable) {
  hang_report x;
  for (auto i = 0; i < 1000; ++i) {
    x.missing.push_back(rank_of("policy", i));
    x.operations.push_back({rank_of("policy", i), "idle", 1});
  }
  BOOST_TEST(to_lines(x)[2].find("and 984 more") != std::string::npos);
  BOOST_TEST(to_sentence(x).size() < 2000u);
}

// Links are not built rank by rank: what the ranks do says more.
BOOST_AUTO_TEST_CASE(links_that_hang_are_told_by_what_the_ranks_do) {
  hang_report x;
  x.sync = "t2p";
  x.state = sync::sync_state::linking;
  x.mode = sync::sync_mode::staged;
  x.waited_ms = 5'000;
  x.operations = {{rank_of("policy", 1), "connect t2p#2:0>1", 4'900}};
  std::vector<std::string>
    expected{"sync t2p hangs: linking (staged) for 5.0 s",
             "  policy/0/1: connect t2p#2:0>1, for 4.9 s"};
  BOOST_TEST(to_lines(x) == expected, boost::test_tools::per_element());
  BOOST_TEST(to_sentence(x)
             == "not done in 5.0 s; policy/0/1: connect t2p#2:0>1, for 4.9 s");
}

BOOST_AUTO_TEST_CASE(nobody_who_arrived_is_said_too) {
  auto x = one_hangs();
  x.arrived.clear();
  BOOST_TEST(to_lines(x)[1] == "  arrived: none");
}

BOOST_AUTO_TEST_SUITE_END()
