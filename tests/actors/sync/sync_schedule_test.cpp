// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/sync_schedule.hpp"

#include <boost/test/unit_test.hpp>

#include "support/actor_fixture.hpp"

using namespace troupe;
using planner::rank_pair;
using protocol::host_name;
using protocol::manifests;
using protocol::parameter_info;
using protocol::seat_kind;
using protocol::transfer_mode;
using protocol::transfer_report;
using protocol::transfer_reports;
using protocol::transfer_role;
using protocol::worker_manifest;
using protocol::worker_name;
using sync::check_reports;
using sync::make_schedule;

namespace {

const std::vector<parameter_info>
  two_tensors{{"weight", dtype::float32, {4, 2}, true},
              {"bias", dtype::bfloat16, {2}, true}};

worker_manifest rank_of(std::string model, int replica, int rank, int slot,
                        std::vector<parameter_info> parameters = two_tensors) {
  return {{std::move(model), replica_id{replica}, rank_id{rank}},
          host_name{node_id{0}, slot, incarnation{1}},
          std::move(parameters)};
}

rank_pair pair_of(int source, int replica, int destination) {
  return {rank_id{source}, replica_id{replica}, rank_id{destination}};
}

/// One trainer rank in slot 0, two policy replicas in slots 0 and 1.
struct job {
  manifests source{{rank_of("trainer", 0, 0, 0)}};
  manifests destination{
    {rank_of("policy", 0, 0, 0), rank_of("policy", 1, 0, 1)}};
  std::vector<rank_pair> pairs{pair_of(0, 0, 0), pair_of(0, 1, 0)};

  result<sync::sync_schedule> make() const {
    return make_schedule("t2p", source, destination, pairs);
  }

  /// The text of the refusal.
  std::string refusal() const {
    auto made = make();
    BOOST_REQUIRE(!made);
    BOOST_TEST((made.error().code() == errc::invalid));
    return made.error().message();
  }
};

bool says(const std::string& text, const std::vector<std::string>& words) {
  for (const auto& word : words)
    if (text.find(word) == std::string::npos) {
      BOOST_TEST_MESSAGE("'" << word << "' is missing in: " << text);
      return false;
    }
  return true;
}

transfer_report report(std::string link, transfer_role role) {
  transfer_report x;
  x.from = {role == transfer_role::send ? "trainer" : "policy", {}, {}};
  x.link = std::move(link);
  x.role = role;
  x.bytes = 36;
  x.digest_low = 1;
  x.digest_high = 2;
  return x;
}

struct two_links {
  transfer_reports sent{
    {report("a", transfer_role::send), report("b", transfer_role::send)}};
  transfer_reports got{
    {report("b", transfer_role::receive), report("a", transfer_role::receive)}};

  void refused(const std::vector<std::string>& words) const {
    auto same = check_reports(sent, got);
    BOOST_REQUIRE(!same);
    BOOST_TEST((same.error().code() == errc::corrupt));
    BOOST_TEST(says(same.error().message(), words));
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(sync_sync_schedule)

BOOST_AUTO_TEST_CASE(each_pair_becomes_a_link_with_all_tensors) {
  auto schedule = job{}.make();
  BOOST_REQUIRE(schedule);
  BOOST_REQUIRE(schedule->edges.size() == 2u);
  const auto& near = schedule->edges[0];
  const auto& far = schedule->edges[1];
  BOOST_TEST(near.backend == "inproc");
  BOOST_TEST(far.backend == "gloo");
  BOOST_TEST(near.link != far.link);
  BOOST_TEST(near.bytes == 36u);
  BOOST_TEST(schedule->bytes() == 72u);
  BOOST_TEST(far.tensors == (std::vector<std::string>{"weight", "bias"}),
             boost::test_tools::per_element());
  BOOST_TEST(schedule->describe().size() == 2u);
  BOOST_TEST(says(schedule->describe()[1],
                  {"trainer/0/0", "policy/1/0", "gloo", "2 tensors"}));
}

BOOST_AUTO_TEST_CASE(seats_and_tasks_name_both_ends_of_the_same_links) {
  auto schedule = job{}.make().value();
  auto senders = schedule.seats(seat_kind::sender, 7);
  auto receivers = schedule.seats(seat_kind::receiver, 7);
  auto sends = schedule.tasks(transfer_role::send, transfer_mode::copy, 9);
  auto gets = schedule.tasks(transfer_role::receive, transfer_mode::copy, 9);
  BOOST_TEST(senders.timeout_ms == 7u);
  BOOST_TEST(sends.timeout_ms == 9u);
  for (std::size_t i = 0; i < 2; ++i) {
    BOOST_TEST(senders.items[i].group == receivers.items[i].group);
    BOOST_TEST(senders.items[i].rank.value() == 0);
    BOOST_TEST(receivers.items[i].rank.value() == 1);
    BOOST_TEST(senders.items[i].size == 2);
    BOOST_TEST(sends.items[i].link == gets.items[i].link);
    BOOST_TEST((sends.items[i].peer == gets.items[i].to));
    BOOST_TEST((gets.items[i].peer == sends.items[i].to));
  }
}

BOOST_AUTO_TEST_CASE(a_source_may_hold_more_than_the_destination_wants) {
  job x;
  x.source.items[0].parameters.push_back(
    {"value_head", dtype::float32, {8}, true});
  BOOST_TEST(x.make().has_value());
  BOOST_TEST(x.make()->bytes() == 72u);
}

BOOST_AUTO_TEST_CASE(a_tensor_that_its_source_lacks_is_named) {
  job x;
  x.source.items[0].parameters.pop_back();
  BOOST_TEST(says(x.refusal(), {"t2p", "'bias'", "policy/0/0", "trainer/0/0"}));
}

BOOST_AUTO_TEST_CASE(a_tensor_of_another_shape_is_named_with_both_shapes) {
  job x;
  x.destination.items[1].parameters[0].extents = {2, 4};
  BOOST_TEST(says(x.refusal(), {"'weight'", "[4, 2]", "[2, 4]", "policy/1/0"}));
}

BOOST_AUTO_TEST_CASE(a_tensor_of_another_type_is_named_with_both_types) {
  job x;
  x.destination.items[0].parameters[0].type = dtype::float16;
  BOOST_TEST(says(x.refusal(), {"'weight'", "float32", "float16"}));
}

BOOST_AUTO_TEST_CASE(extents_that_overflow_are_refused) {
  job x;
  for (auto* side : {&x.source, &x.destination})
    for (auto& item : side->items)
      item.parameters[0].extents = {std::int64_t{1} << 62, 1 << 20};
  static_cast<void>(x.refusal());
}

BOOST_AUTO_TEST_CASE(two_sources_of_one_rank_are_refused) {
  job x;
  x.source.items.push_back(rank_of("trainer", 0, 1, 1));
  x.pairs.push_back(pair_of(1, 0, 0));
  BOOST_TEST(says(x.refusal(), {"policy/0/0", "trainer/0/0", "trainer/0/1"}));
}

BOOST_AUTO_TEST_CASE(a_destination_that_nobody_feeds_is_refused) {
  job x;
  x.pairs.pop_back();
  BOOST_TEST(says(x.refusal(), {"policy/1/0"}));
}

BOOST_AUTO_TEST_CASE(a_pair_of_ranks_that_do_not_exist_is_refused) {
  job x;
  x.pairs[0].source = rank_id{5};
  BOOST_TEST(says(x.refusal(), {"no trainer/0/5"}));
  job y;
  y.pairs[1].replica = replica_id{9};
  BOOST_TEST(says(y.refusal(), {"no policy/9/0"}));
}

BOOST_AUTO_TEST_CASE(models_without_ranks_are_refused) {
  job x;
  x.source.items.clear();
  static_cast<void>(x.refusal());
  job y;
  y.destination.items.clear();
  static_cast<void>(y.refusal());
}

// WS-4: what arrived is what was sent, on every link.

BOOST_AUTO_TEST_CASE(equal_reports_in_any_order_pass) {
  two_links x;
  BOOST_TEST(check_reports(x.sent, x.got).has_value());
  BOOST_TEST(check_reports({}, {}).has_value());
}

BOOST_AUTO_TEST_CASE(a_digest_that_differs_names_both_ends) {
  two_links low;
  low.got.items[0].digest_low ^= 1;
  low.refused({"policy/0/0", "trainer/0/0"});
  two_links high;
  high.sent.items[1].digest_high ^= std::uint64_t{1} << 63;
  high.refused({"policy/0/0", "trainer/0/0"});
}

BOOST_AUTO_TEST_CASE(another_number_of_bytes_is_told) {
  two_links x;
  x.got.items[1].bytes = 35;
  x.refused({"35", "36"});
}

BOOST_AUTO_TEST_CASE(a_link_that_one_end_does_not_report_is_told) {
  two_links receiver;
  receiver.got.items.pop_back();
  receiver.refused({"2 links", "1"});
  two_links sender;
  sender.sent.items.pop_back();
  sender.refused({"1 links"});
  two_links other;
  other.got.items[0].link = "c";
  other.refused({"c"});
}

BOOST_AUTO_TEST_CASE(a_link_reported_twice_does_not_stand_for_another) {
  two_links x;
  x.got.items[1] = x.got.items[0];
  x.refused({"b"});
}

BOOST_AUTO_TEST_SUITE_END()
