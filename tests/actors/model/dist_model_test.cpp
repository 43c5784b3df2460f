// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/dist_model.hpp"

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "actors/model/dist_model_fixture.hpp"
#include "support/scratch.hpp"
#include "troupe/actors/model/relay.hpp"

using namespace troupe;
using namespace troupe::protocol;
using test::job_of;
using fixture = model_test::dist_model_fixture;

namespace {

using numbers = std::vector<std::int64_t>;

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_dist_model, fixture)

BOOST_AUTO_TEST_CASE(setting_up_makes_every_replica_and_lists_it_in_order) {
  auto got = ask_and_run<manifests>(make(job_of("policy", 3, 1)), set_up{1000});
  BOOST_REQUIRE(got.value().items.size() == 3u);
  for (auto i = 0; i < 3; ++i) {
    const auto& x = got.value().items[static_cast<std::size_t>(i)];
    BOOST_TEST((x.worker == worker_name{"policy", replica_id{i}, rank_id{0}}));
    BOOST_TEST(x.host.slot == i);
    BOOST_TEST(x.parameters.size() == 1u);
  }
  BOOST_TEST(calls_of("setup") == 3u);
  auto known = ask_and_run<node_status>(machine, get_node_status{}).value();
  BOOST_REQUIRE(known.hosts.size() == 3u);
  for (const auto& host : known.hosts)
    BOOST_TEST(host.workers.size() == 1u);
}

BOOST_AUTO_TEST_CASE(models_of_one_device_share_its_host) {
  test::declare(models, "reference", notes);
  ask_and_run<manifests>(make(job_of("policy", 2, 1)), set_up{1000}).value();
  ask_and_run<manifests>(make(job_of("reference", 2, 1)), set_up{1000}).value();
  auto known = ask_and_run<node_status>(machine, get_node_status{}).value();
  BOOST_REQUIRE(known.hosts.size() == 2u);
  BOOST_TEST(known.hosts[0].workers.size() == 2u);
}

BOOST_AUTO_TEST_CASE(rows_are_split_over_the_replicas_and_joined_in_order) {
  for (auto replicas = 1; replicas <= 3; ++replicas) {
    fixture fresh;
    auto policy = fresh.ready(replicas);
    for (std::int64_t rows = 1; rows <= 7; ++rows) {
      BOOST_TEST_INFO_SCOPE(rows << " rows over " << replicas << " replicas");
      fresh.notes->calls.clear();
      auto got = fresh.call(policy, "echo", test::numbered(rows, 100));
      BOOST_TEST(got.value().output.rows() == rows);
      numbers expected;
      for (std::int64_t i = 0; i < rows; ++i)
        expected.push_back(100 + i);
      BOOST_TEST(test::numbers_of(fresh.fetch(got.value().output)) == expected,
                 boost::test_tools::per_element());
      // Nobody is asked about no rows.
      BOOST_TEST(
        fresh.calls_of("echo")
        == static_cast<std::size_t>(std::min<std::int64_t>(rows, replicas)));
    }
  }
}

BOOST_AUTO_TEST_CASE(an_input_without_rows_goes_to_every_replica) {
  auto policy = ready(3);
  batch in;
  in.set_meta("step", std::int64_t{4});
  call(policy, "echo", in).value();
  BOOST_TEST(calls_of("echo") == 3u);
}

BOOST_AUTO_TEST_CASE(a_model_that_is_not_set_up_is_unavailable) {
  auto got = call(make(job_of("policy", 1, 1)), "echo", test::numbered(2));
  BOOST_TEST((got.failure().code() == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(an_error_names_its_rank_is_reported_and_passed_on) {
  auto policy = ready(2);
  auto got = call(policy, "throws_on_first", test::numbered(4));
  BOOST_TEST((got.failure().code() == errc::failed));
  BOOST_TEST(got.failure().message()
             == "policy replica 0 rank 0, throws_on_first: no first rows");
  auto known = reported();
  BOOST_REQUIRE(known.size() == 1u);
  BOOST_TEST(known[0].model == "policy");
  BOOST_TEST(known[0].replica.value() == 0);
  BOOST_TEST(known[0].rank.value() == 0);
  BOOST_TEST(known[0].node.value() == 0);
  BOOST_TEST(known[0].slot == 0);
  BOOST_TEST(known[0].operation == "throws_on_first");
  BOOST_TEST(known[0].message == "no first rows");
  BOOST_TEST((known[0].code == errc::failed));
}

BOOST_AUTO_TEST_CASE(a_call_that_takes_too_long_says_what_it_had) {
  auto policy = ready(1);
  // The replica gives up then, and before the model does.
  notes->on_call = [this](worker_context&) {
    sched.advance_time(std::chrono::milliseconds{1300});
  };
  auto got = call(policy, "echo", test::numbered(1));
  BOOST_TEST((got.failure().code() == errc::timed_out));
  BOOST_TEST(got.failure().message()
             == "policy replica 0 rank 0, echo: not done in the 1.0 s it had: "
                "see runtime.call_timeout_ms");
}

BOOST_AUTO_TEST_CASE(every_replica_that_fails_is_reported) {
  auto policy = ready(3);
  BOOST_TEST(!call(policy, "throws", test::numbered(3)).get());
  BOOST_TEST(reported().size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_module_that_cannot_be_set_up_fails_the_set_up) {
  notes->before = [](const std::string&) {
    throw std::runtime_error("no memory");
  };
  auto got = ask_and_run<manifests>(make(job_of("policy", 2, 1)), set_up{1000});
  BOOST_TEST((got.failure().code() == errc::failed));
  BOOST_TEST(got.failure().message().find("set up: no memory")
             != std::string::npos);
  BOOST_TEST(reported().size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_model_that_the_hosts_lack_fails_the_set_up) {
  auto got = ask_and_run<manifests>(make(job_of("reward", 1, 1)), set_up{1000});
  BOOST_TEST((got.failure().code() == errc::invalid));
  BOOST_TEST(got.failure().message().find("reward replica 0 rank 0, start")
             == 0u);
}

BOOST_AUTO_TEST_CASE(a_device_that_the_node_lacks_fails_the_set_up) {
  auto got = ask_and_run<manifests>(make(job_of("policy", 9, 1)), set_up{1000});
  BOOST_TEST((got.failure().code() == errc::exhausted));
}

BOOST_AUTO_TEST_CASE(a_large_result_never_travels_inside_a_message) {
  auto policy = ready(2);
  auto got = call(policy, "grow", test::numbered(3)).value();
  BOOST_TEST(got.output.inline_bytes() == 0u);
  BOOST_TEST(got.output.rows() == 3);
  BOOST_TEST(fetch(got.output).find("big")->bytes().size() == 3'000'000u);
}

BOOST_AUTO_TEST_CASE(small_results_that_are_large_together_do_not_either) {
  auto policy = ready(3);
  auto got = call(policy, "swell", test::numbered(7)).value();
  BOOST_TEST(got.output.inline_bytes()
             <= std::uint64_t{process::batch_store::inline_bytes_max});
  BOOST_TEST(got.output.rows() == 7);
  BOOST_TEST(fetch(got.output).find("some")->bytes().size() == 140'000u);
}

BOOST_AUTO_TEST_CASE(small_results_travel_inside_the_message) {
  auto policy = ready(2);
  auto got = call(policy, "echo", test::numbered(4)).value();
  BOOST_TEST(got.output.inline_bytes() > 0u);
  BOOST_TEST(store.stats().buffers == 0u);
}

BOOST_AUTO_TEST_CASE(results_live_until_their_scope_is_released) {
  auto policy = ready(2);
  auto old = call(policy, "grow", test::numbered(2), 3).value();
  auto young = call(policy, "grow", test::numbered(2), 4).value();
  store.release_before(4);
  auto gone = store.get(old.output, deadline::after(std::chrono::seconds{1}));
  BOOST_REQUIRE(!gone);
  BOOST_TEST((gone.error().code() == errc::unavailable));
  BOOST_TEST(fetch(young.output).rows().value() == 2);
}

BOOST_AUTO_TEST_CASE(ws_1_a_fence_closes_all_replicas_and_opens_all) {
  auto policy = ready(3);
  auto order = [&](sync_action action, std::uint64_t version) {
    sync_order x;
    x.sync = x.program = "t2p";
    x.action = action;
    x.version = weight_version{version};
    x.timeout_ms = 1000;
    for (auto i = 0; i < 3; ++i)
      x.items.push_back({{"policy", replica_id{i}, rank_id{0}}});
    return ask_and_run<sync_standings>(policy, x).value();
  };
  BOOST_TEST(order(sync_action::fence, 0).items.size() == 3u);
  auto refused = call(policy, "echo", test::numbered(3));
  BOOST_TEST((refused.failure().code() == errc::unavailable));
  order(sync_action::open, 7);
  BOOST_TEST(calls_of("on_sync 7") == 3u);
  auto got = call(policy, "echo", test::numbered(3)).value();
  BOOST_TEST(got.version.value() == 7u);
}

// WS-6: calls wait while a sync reads the weights, and then run.
BOOST_AUTO_TEST_CASE(ws_6_calls_of_a_pinned_model_wait) {
  auto policy = ready(1);
  auto order = [&](sync_action action) {
    sync_order x;
    x.sync = x.program = "t2p";
    x.action = action;
    x.timeout_ms = 1000;
    x.items.push_back({{"policy", replica_id{0}, rank_id{0}}});
    ask_and_run<sync_standings>(policy, x).value();
  };
  order(sync_action::pin);
  auto waits = call(policy, "echo", test::numbered(2));
  BOOST_TEST(!waits.ready());
  BOOST_TEST(calls_of("echo") == 0u);
  order(sync_action::unpin);
  BOOST_TEST(waits.value().output.rows() == 2);
}

BOOST_AUTO_TEST_CASE(calls_that_wait_for_a_sync_are_bounded) {
  auto policy = ready(1);
  sync_order x;
  x.sync = x.program = "t2p";
  x.action = sync_action::pin;
  x.timeout_ms = 1000;
  x.items.push_back({{"policy", replica_id{0}, rank_id{0}}});
  ask_and_run<sync_standings>(policy, x).value();
  std::vector<test::answer<invoked>> waiting;
  for (auto i = 0; i < 1024; ++i)
    waiting.push_back(call(policy, "echo", test::numbered(1)));
  auto refused = call(policy, "echo", test::numbered(1));
  BOOST_TEST((refused.failure().code() == errc::exhausted));
  BOOST_TEST(!waiting.back().ready());
  x.action = sync_action::unpin;
  ask_and_run<sync_standings>(policy, x).value();
  BOOST_TEST(waiting.back().value().output.rows() == 1);
}

// WS-5: who is gone is told of; the others have done as they were told.
BOOST_AUTO_TEST_CASE(in_a_sync_each_rank_answers_for_itself) {
  auto policy = ready(2);
  auto host = ask_and_run<acquired_host>(machine,
                                         acquire_host{host_kind::device,
                                                      1,
                                                      "",
                                                      1000,
                                                      {}})
                .value();
  kill(host.control);
  sync_order x;
  x.sync = x.program = "t2p";
  x.action = sync_action::fence;
  x.timeout_ms = 1000;
  for (auto i = 0; i < 2; ++i)
    x.items.push_back({{"policy", replica_id{i}, rank_id{0}}});
  auto got = ask_and_run<sync_standings>(policy, x);
  const auto& items = got.value().items;
  BOOST_REQUIRE(items.size() == 2u);
  BOOST_TEST(!items[0].failed);
  BOOST_TEST(items[1].failed);
  BOOST_TEST((items[1].why.code() == errc::lost));
  BOOST_TEST(to_string(items[1].from) == "policy/1/0");
}

BOOST_AUTO_TEST_CASE(hosts_tell_what_every_rank_does) {
  auto policy = ready(2);
  auto got = ask_and_run<operations>(policy, get_operations{500});
  BOOST_REQUIRE(got.value().items.size() == 2u);
  for (const auto& x : got.value().items)
    BOOST_TEST(x.operation == "idle");
  auto host = ask_and_run<acquired_host>(machine,
                                         acquire_host{host_kind::device,
                                                      1,
                                                      "",
                                                      1000,
                                                      {}})
                .value();
  kill(host.control);
  auto left = ask_and_run<operations>(policy, get_operations{500});
  BOOST_REQUIRE(left.value().items.size() == 2u);
  BOOST_TEST(left.value().items[0].operation == "idle");
  BOOST_TEST(left.value().items[1].operation != "idle");
}

BOOST_AUTO_TEST_CASE(a_checkpoint_reaches_every_replica) {
  auto policy = ready(2);
  test::scratch folder;
  auto to = folder.path().string();
  ask_and_run<ack>(policy, run_checkpoint{false, to, 1000}).value();
  for (auto replica : {0, 1})
    BOOST_TEST(
      calls_of(fmt::format("save {}/policy/{}/weight.rank0", to, replica))
      == 1u);
}

BOOST_AUTO_TEST_CASE(a_request_for_a_rank_that_is_not_there_is_refused) {
  auto policy = ready(2);
  for (auto [replica, rank] :
       {std::pair{5, 0}, std::pair{-1, 0}, std::pair{0, 3}, std::pair{1, -1}}) {
    transfer request;
    request.timeout_ms = 1000;
    request.program = "t2p";
    request.items.push_back({{"policy", replica_id{replica}, rank_id{rank}}});
    auto got = ask_and_run<transfer_reports>(policy, request);
    BOOST_TEST((got.failure().code() == errc::invalid));
  }
}

BOOST_AUTO_TEST_CASE(a_transfer_that_was_not_prepared_is_refused) {
  auto policy = ready(1);
  transfer request;
  request.program = "t2p";
  request.timeout_ms = 1000;
  request.items.push_back({{"policy", replica_id{0}, rank_id{0}}});
  auto got = ask_and_run<transfer_reports>(policy, request);
  BOOST_TEST((got.failure().code() == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(a_host_that_dies_fails_the_calls_to_its_workers) {
  auto policy = ready(2);
  auto host = ask_and_run<acquired_host>(machine,
                                         acquire_host{host_kind::device,
                                                      1,
                                                      "",
                                                      1000,
                                                      {}})
                .value();
  kill(host.control);
  auto got = call(policy, "echo", test::numbered(4));
  BOOST_TEST((got.failure().code() == errc::lost));
  BOOST_TEST(got.failure().message().find("policy replica 1 rank 0") == 0u);
  // Once without a call, once for the call.
  auto known = reported();
  BOOST_REQUIRE(known.size() == 2u);
  for (const auto& x : known)
    BOOST_TEST(x.replica.value() == 1);
}

BOOST_AUTO_TEST_CASE(closing_ends_the_model_and_reports_nothing) {
  auto policy = ready(2);
  ask_and_run<ack>(policy, close_model{1000}).value();
  BOOST_TEST(!call(policy, "echo", test::numbered(2)).get());
  BOOST_TEST(reported().empty());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(model_dist_model)

BOOST_AUTO_TEST_CASE(joined_calls_have_the_lowest_version_and_longest_time) {
  std::vector<invoked> parts(3);
  parts[0].version = weight_version{4};
  parts[1].version = weight_version{3};
  parts[2].version = weight_version{5};
  parts[0].busy_us = 1;
  parts[1].busy_us = 9;
  for (auto& x : parts)
    x.output.parts.resize(2);
  auto all = model::join(parts);
  BOOST_TEST(all.version.value() == 3u);
  BOOST_TEST(all.busy_us == 9u);
  BOOST_TEST(all.output.parts.size() == 6u);
}

BOOST_AUTO_TEST_CASE(a_request_is_cut_by_key_and_keeps_everything_else) {
  close_groups all;
  all.timeout_ms = 9;
  for (auto i = 0; i < 6; ++i)
    all.items.push_back(
      {{"policy", replica_id{i % 3}, rank_id{i}}, std::to_string(i)});
  auto shares = model::cut<replica_id>(all, [](const worker_name& to) {
    return to.replica;
  });
  BOOST_REQUIRE(shares.size() == 3u);
  for (const auto& [key, share] : shares) {
    BOOST_TEST(share.timeout_ms == 9u);
    BOOST_REQUIRE(share.items.size() == 2u);
    BOOST_TEST(share.items[0].to.rank.value() == key.value());
    BOOST_TEST(share.items[1].to.rank.value() == key.value() + 3);
  }
}

BOOST_AUTO_TEST_SUITE_END()
