// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/sync/sync_route.hpp"

#include <boost/test/unit_test.hpp>
#include <fmt/core.h>

using namespace troupe;
using protocol::manifests;
using protocol::parameter_info;
using protocol::parameter_segment;
using protocol::sync_options;
using protocol::worker_manifest;
using sync::make_route;
using sync::route_filter;

namespace {

const std::vector<parameter_info>
  two_tensors{{"weight", dtype::float32, {4, 2}, true, {}},
              {"bias", dtype::bfloat16, {2}, true, {}}};

worker_manifest rank_of(const std::string& model, int replica, int rank,
                        int process,
                        std::vector<parameter_info> parameters = two_tensors) {
  worker_manifest x;
  x.worker = {model, replica_id{replica}, rank_id{rank}};
  x.host = {node_id{0}, process, incarnation{1}};
  x.pid = 100 + process;
  x.parameter_count = parameters.size();
  x.parameters = std::move(parameters);
  return x;
}

/// Rows [begin, end) of a logical tensor of two columns.
parameter_info rows(const std::string& name, const std::string& logical,
                    std::int64_t begin, std::int64_t end) {
  return {name,
          dtype::float32,
          {end - begin, 2},
          true,
          {{logical, {begin, 0}, {end, 2}, {0, 0}}}};
}

/// One trainer rank in process 0, two policy replicas in processes 0 and 1.
struct job {
  manifests source{{rank_of("trainer", 0, 0, 0)}};
  manifests destination{
    {rank_of("policy", 0, 0, 0), rank_of("policy", 1, 0, 1)}};
  sync_options options;

  result<sync::sync_route>
  make(route_filter filter = route_filter::everything) const {
    return make_route("t2p", source, destination, options, filter);
  }

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

/// What right ends of all channels report.
std::vector<protocol::transfer_report>
reports_of(const sync::sync_route& route) {
  std::vector<protocol::transfer_report> out;
  for (const auto& x : route.channels)
    for (auto sends : {true, false}) {
      protocol::transfer_report y;
      y.rank = sends ? x.source_rank : x.destination_rank;
      y.peer = sends ? x.destination_rank : x.source_rank;
      y.sends = sends;
      y.bytes = x.bytes;
      y.digested = true;
      y.digest_products = 7;
      y.digest_words = 8;
      out.push_back(y);
    }
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(sync_sync_route)

BOOST_AUTO_TEST_CASE(processes_decide_the_links) {
  auto route = job{}.make();
  BOOST_REQUIRE_MESSAGE(route, to_string(route ? error{} : route.error()));
  BOOST_TEST(route->members.size() == 3u);
  BOOST_REQUIRE(route->channels.size() == 2u);
  for (const auto& x : route->channels) {
    BOOST_TEST(x.bytes == 36u);
    BOOST_TEST(
      (x.link == (x.destination == 1 ? link_kind::inproc : link_kind::shm)));
  }
  BOOST_TEST(route->bytes == 72u);
  BOOST_TEST(route->staging_bytes == 36u);
  auto lines = route->describe();
  BOOST_REQUIRE(lines.size() == 2u);
  BOOST_TEST(
    says(lines[0] + lines[1], {"trainer/0/0 -> policy/0/0 over inproc",
                               "trainer/0/0 -> policy/1/0 over shm", "36 B"}));
}

BOOST_AUTO_TEST_CASE(a_process_without_shm_is_reached_by_sockets_and_told) {
  job x;
  x.destination.items[1].without_shm = "no memfd";
  auto route = x.make().value();
  for (const auto& y : route.channels)
    BOOST_TEST(
      (y.link == (y.destination == 1 ? link_kind::inproc : link_kind::gloo)));
  BOOST_TEST(says(route.describe().back(), {"shm", "policy/1/0", "no memfd"}));
}

BOOST_AUTO_TEST_CASE(the_configuration_may_insist_on_sockets) {
  job x;
  x.options.link = "gloo";
  auto route = x.make().value();
  for (const auto& y : route.channels)
    BOOST_TEST((y.link == link_kind::gloo));
}

BOOST_AUTO_TEST_CASE(seats_name_both_ends_of_the_same_links) {
  auto route = job{}.make().value();
  auto senders = route.seats(protocol::seat_kind::sender, 3, 7);
  auto receivers = route.seats(protocol::seat_kind::receiver, 3, 7);
  BOOST_TEST(senders.timeout_ms == 7u);
  BOOST_REQUIRE(senders.items.size() == 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    BOOST_TEST(senders.items[i].group == receivers.items[i].group);
    BOOST_TEST(senders.items[i].backend == receivers.items[i].backend);
    BOOST_TEST(senders.items[i].rank.value() == 0);
    BOOST_TEST(receivers.items[i].rank.value() == 1);
    BOOST_TEST(senders.items[i].to.model == "trainer");
    BOOST_TEST(receivers.items[i].to.model == "policy");
  }
  BOOST_TEST(route.seats(protocol::seat_kind::sender, 4, 7).items[0].group
             != senders.items[0].group);
}

BOOST_AUTO_TEST_CASE(layouts_may_differ) {
  job x;
  x.source.items = {rank_of("trainer", 0, 0, 0, {rows("a", "w", 0, 4)}),
                    rank_of("trainer", 0, 1, 1, {rows("a", "w", 4, 8)})};
  x.destination.items = {rank_of("policy", 0, 0, 0, {rows("b", "w", 0, 6)}),
                         rank_of("policy", 0, 1, 1, {rows("b", "w", 6, 8)})};
  auto route = x.make();
  BOOST_REQUIRE_MESSAGE(route, to_string(route ? error{} : route.error()));
  BOOST_TEST(route->bytes == 64u);
  BOOST_TEST(route->channels.size() == 3u);
}

BOOST_AUTO_TEST_CASE(what_does_not_train_can_be_left_out) {
  job x;
  x.source.items[0].parameters[1].requires_grad = false;
  BOOST_TEST(x.make().value().bytes == 72u);
  auto some = x.make(route_filter::trainable);
  BOOST_REQUIRE_MESSAGE(some, to_string(some ? error{} : some.error()));
  BOOST_TEST(some->bytes == 64u);
  BOOST_TEST(some->program != x.make()->program);
}

BOOST_AUTO_TEST_CASE(a_source_may_hold_more_than_the_destination_wants) {
  job x;
  x.source.items[0].parameters.push_back(
    {"value_head", dtype::float32, {8}, true, {}});
  auto route = x.make().value();
  BOOST_TEST(route.bytes == 72u);
  // It may be a mistake, and is told where people look.
  BOOST_REQUIRE(route.warnings.size() == 1u);
  BOOST_TEST(route.warnings.front()
             == "1 of 3 tensors of trainer goes nowhere, because policy has "
                "none of that name: 'value_head'");
  BOOST_TEST(route.describe().back() == route.warnings.front());
}

BOOST_AUTO_TEST_CASE(of_many_tensors_that_go_nowhere_some_are_named) {
  job x;
  for (auto i = 0; i < 6; ++i)
    x.source.items[0].parameters.push_back(
      {fmt::format("lora_{}", i), dtype::float32, {8}, true, {}});
  auto warnings = x.make().value().warnings;
  BOOST_REQUIRE(warnings.size() == 1u);
  BOOST_TEST(says(warnings.front(), {"6 of 8 tensors of trainer go nowhere",
                                     "'lora_0', 'lora_1', ", " and 2 more"}));
}

BOOST_AUTO_TEST_CASE(what_is_left_out_on_purpose_is_no_warning) {
  job x;
  BOOST_TEST(x.make().value().warnings.empty());
  x.source.items[0].parameters[1].requires_grad = false;
  BOOST_TEST(x.make(route_filter::trainable).value().warnings.empty());
}

BOOST_AUTO_TEST_CASE(a_source_of_which_nothing_trains_is_told) {
  job x;
  for (auto& y : x.source.items[0].parameters)
    y.requires_grad = false;
  BOOST_TEST(x.make().value().warnings.empty());
  auto some = x.make(route_filter::trainable).value();
  BOOST_TEST(some.bytes == 0u);
  BOOST_REQUIRE(some.warnings.size() == 1u);
  BOOST_TEST(
    says(some.warnings.front(), {"trainer", "requires_grad", "nothing"}));
}

BOOST_AUTO_TEST_CASE(models_without_parameters_are_refused) {
  for (auto source : {true, false}) {
    job x;
    for (auto& item : (source ? x.source : x.destination).items) {
      item.parameters.clear();
      item.parameter_count = 0;
    }
    BOOST_TEST(says(x.refusal(),
                    {"t2p", source ? "trainer" : "policy", "parameters()"}));
  }
  // Nor do tensors without elements make a sync.
  job x;
  x.source.items[0].parameters = {{"weight", dtype::float32, {0}, true, {}}};
  for (auto& item : x.destination.items)
    item.parameters = x.source.items[0].parameters;
  BOOST_TEST(says(x.refusal(), {"trainer", "parameters()"}));
}

BOOST_AUTO_TEST_CASE(a_rank_may_have_no_parameters_if_another_has) {
  job x;
  x.destination.items[1].parameters.clear();
  BOOST_TEST(x.make().value().bytes == 36u);
}

BOOST_AUTO_TEST_CASE(a_tensor_that_no_source_has_is_named) {
  job x;
  x.source.items[0].parameters.pop_back();
  BOOST_TEST(says(x.refusal(), {"t2p", "bias"}));
}

BOOST_AUTO_TEST_CASE(a_tensor_of_another_shape_is_named) {
  job x;
  x.destination.items[1].parameters[0].extents = {6, 2};
  BOOST_TEST(says(x.refusal(), {"weight"}));
}

BOOST_AUTO_TEST_CASE(a_type_that_does_not_convert_is_named) {
  job x;
  x.destination.items[0].parameters[0].type = dtype::int64;
  BOOST_TEST(says(x.refusal(), {"weight"}));
}

BOOST_AUTO_TEST_CASE(a_segment_that_cannot_be_is_named_with_its_rank) {
  for (auto [begin, end] : {std::pair{3, 1}, std::pair{0, 9}}) {
    job x;
    x.destination.items[0].parameters[0].segments = {
      {"weight", {begin, 0}, {end, 2}, {0, 0}}};
    BOOST_TEST(says(x.refusal(), {"weight"}));
  }
}

BOOST_AUTO_TEST_CASE(extents_that_overflow_are_refused) {
  job x;
  for (auto* side : {&x.source, &x.destination})
    for (auto& item : side->items)
      item.parameters[0].extents = {std::int64_t{1} << 62, 1 << 20};
  static_cast<void>(x.refusal());
}

BOOST_AUTO_TEST_CASE(models_without_ranks_are_refused) {
  job x;
  x.source.items.clear();
  static_cast<void>(x.refusal());
}

BOOST_AUTO_TEST_CASE(a_planner_that_is_not_known_is_named) {
  job x;
  x.options.planner = "guess";
  BOOST_TEST(says(x.refusal(), {"'guess'", "reshard"}));
}

// WS-4: what arrived is what was sent, on every link.

BOOST_AUTO_TEST_CASE(ws_4_equal_reports_in_any_order_pass) {
  auto route = job{}.make().value();
  auto all = reports_of(route);
  BOOST_TEST(check_reports(route, all).has_value());
  std::reverse(all.begin(), all.end());
  BOOST_TEST(check_reports(route, all).has_value());
}

BOOST_AUTO_TEST_CASE(ws_4_whatever_differs_is_told_with_both_ends) {
  auto route = job{}.make().value();
  auto refused = [&](auto change, const std::vector<std::string>& words) {
    auto all = reports_of(route);
    change(all);
    auto same = check_reports(route, all);
    BOOST_REQUIRE(!same);
    BOOST_TEST((same.error().code() == errc::corrupt));
    BOOST_TEST(says(same.error().message(), words));
  };
  refused([](auto& x) { x[0].digest_products ^= 1; },
          {"trainer/0/0", "policy/"});
  refused([](auto& x) { x[3].digest_words ^= 1; }, {"trainer/0/0", "policy/"});
  refused([](auto& x) { x[1].bytes = 35; }, {"35", "36"});
  refused([](auto& x) { x.pop_back(); }, {"does not report"});
  refused([](auto& x) { x.erase(x.begin()); }, {"trainer/0/0"});
  refused([](auto& x) { x[1] = x[3]; }, {"does not report"});
  refused([](auto& x) { x.push_back(x[0]); }, {"5 ends", "4 were planned"});
}

BOOST_AUTO_TEST_CASE(an_end_that_did_not_digest_is_not_compared) {
  auto route = job{}.make().value();
  auto all = reports_of(route);
  all[0].digested = false;
  all[0].digest_products = 0;
  BOOST_TEST(check_reports(route, all).has_value());
}

// WS-6: one version of the source.

BOOST_AUTO_TEST_CASE(ws_6_sources_that_stand_elsewhere_are_named) {
  protocol::sync_standing a;
  a.from = {"t", replica_id{0}, rank_id{0}};
  a.writes = 3;
  auto b = a;
  b.from.rank = rank_id{1};
  BOOST_TEST(sync::check_sources({a, b}).has_value());
  b.writes = 4;
  auto differs = sync::check_sources({a, b});
  BOOST_REQUIRE(!differs);
  BOOST_TEST(says(differs.error().message(), {"t/0/0", "t/0/1", "3", "4"}));
  // Another replica answers other calls.
  b.from.replica = replica_id{1};
  BOOST_TEST(sync::check_sources({a, b}).has_value());
  b.version = weight_version{1};
  BOOST_TEST(!sync::check_sources({a, b}));
}

BOOST_AUTO_TEST_SUITE_END()
