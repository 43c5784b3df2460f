// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/worker_state.hpp"

#include <boost/test/unit_test.hpp>

#include "actors/model/worker_fixture.hpp"
#include "actors/model/written_checkpoint.hpp"
#include "support/scratch.hpp"
#include "support/stub_device.hpp"
#include "support/why.hpp"
#include "troupe/actors/checkpoint/batch_file.hpp"

using namespace troupe;
using model::worker_state;
using protocol::invoked;

namespace {

using lines = std::vector<std::string>;

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_worker_state, test::worker_fixture)

BOOST_AUTO_TEST_CASE(setting_up_makes_the_module_and_lists_its_parameters) {
  auto made = worker->set_up();
  BOOST_REQUIRE(made);
  BOOST_REQUIRE(made->items.size() == 1u);
  BOOST_TEST(made->items[0].worker.model == "policy");
  BOOST_REQUIRE(made->items[0].parameters.size() == 1u);
  BOOST_TEST(made->items[0].parameters[0].name == "weight");
  BOOST_TEST(notes->calls == (lines{"setup"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_model_that_the_program_lacks_is_refused) {
  auto made = make("reward")->set_up();
  BOOST_REQUIRE(!made);
  BOOST_TEST((made.error().code() == errc::invalid));
  BOOST_TEST(made.error().message().find("'reward'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(options_that_cannot_be_read_are_refused) {
  protocol::worker_spec spec;
  spec.name = {"policy", replica_id{0}, rank_id{0}};
  spec.config = {1, 2, 3};
  worker_state x{spec, {{}, &models, &store, &hub}, probe};
  BOOST_TEST(!x.set_up());
}

BOOST_AUTO_TEST_CASE(a_module_learns_its_hosts_device_and_works_on_it) {
  BOOST_REQUIRE(worker->set_up());
  auto seen = std::make_shared<dlpack::device>();
  notes->on_call = [seen](worker_context& ctx) { *seen = ctx.device(); };
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST((seen->type == dlpack::device_type::cpu));
  BOOST_TEST(seen->id == 0);
  auto gpu = std::make_shared<test::stub_device>(3);
  worker = make("policy", 0, gpu);
  notes->before = [gpu](const std::string& what) {
    BOOST_TEST_CONTEXT(what) {
      BOOST_TEST(gpu->entered == 1);
    }
  };
  BOOST_TEST(gpu->entered == 0);
  BOOST_REQUIRE(worker->set_up());
  BOOST_REQUIRE(call("echo"));
  BOOST_TEST((seen->type == dlpack::device_type::cuda));
  BOOST_TEST(seen->id == 3);
}

BOOST_AUTO_TEST_CASE(a_copy_to_the_device_may_wait_as_long_as_a_collective) {
  auto gpu = std::make_shared<test::stub_device>(3);
  worker = make("policy", 0, gpu);
  BOOST_REQUIRE(worker->set_up());
  for (auto back : {false, true}) {
    gpu->copy_time = {};
    notes->on_call = [back](worker_context& ctx) {
      std::vector<std::byte> here(4);
      std::vector<std::byte> there(4);
      if (!(back ? ctx.get(here, there.data()) : ctx.put(there.data(), here)))
        throw std::runtime_error{"no copy"};
    };
    BOOST_REQUIRE(call("echo"));
    BOOST_TEST((gpu->copy_time > duration::zero()));
    BOOST_TEST((gpu->copy_time <= std::chrono::seconds{7}));
  }
  BOOST_TEST(gpu->copies == 2);
}

BOOST_AUTO_TEST_CASE(a_device_that_does_not_start_is_told_by_its_workers) {
  worker = make("policy", 0, {}, "cuda:3 cannot be used: no driver");
  auto made = worker->set_up();
  BOOST_REQUIRE(!made);
  BOOST_TEST((made.error()
              == error{errc::unavailable, "cuda:3 cannot be used: no driver"}));
  auto gpu = std::make_shared<test::stub_device>(3);
  gpu->entering = error{errc::unavailable, "busy"};
  worker = make("policy", 0, gpu);
  made = worker->set_up();
  BOOST_REQUIRE(!made);
  BOOST_TEST((made.error() == error{errc::unavailable, "busy"}));
  BOOST_TEST(notes->calls.empty());
}

BOOST_AUTO_TEST_CASE(a_function_gets_the_rows_and_its_result_comes_back) {
  BOOST_REQUIRE(worker->set_up());
  auto got = call("echo");
  BOOST_REQUIRE(got);
  auto out = store.get(got->output, deadline::after(std::chrono::seconds{1}));
  BOOST_REQUIRE(out);
  BOOST_TEST(test::numbers_of(*out) == (std::vector<std::int64_t>{0, 1, 2}),
             boost::test_tools::per_element());
  BOOST_TEST(got->version.value() == 0u);
}

BOOST_AUTO_TEST_CASE(an_answer_says_how_long_its_rank_was_busy) {
  BOOST_REQUIRE(worker->set_up());
  auto got = call("echo");
  BOOST_REQUIRE(got);
  BOOST_REQUIRE(got->times.size() == 1u);
  BOOST_TEST((got->times[0].rank == worker->name()));
  BOOST_TEST(got->times[0].group_us == 0u);
  BOOST_TEST(got->times[0].own_us == got->busy_us);
}

BOOST_AUTO_TEST_CASE(a_result_that_is_no_batch_is_an_error) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_TEST(refused(call("garbage"), errc::invalid, "storing the output"));
}

BOOST_AUTO_TEST_CASE(an_unknown_function_is_named) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_TEST(refused(call("dance"), errc::invalid, "'dance'"));
}

BOOST_AUTO_TEST_CASE(an_input_that_is_gone_is_an_error) {
  BOOST_REQUIRE(worker->set_up());
  protocol::invoke request;
  request.function = "echo";
  request.timeout_ms = 1000;
  process::batch_part gone;
  gone.buffer = buffer_id{99};
  gone.row_end = gone.rows_total = 1;
  gone.slot = process::node_slot;
  // Of a process that is no more.
  gone.incarnation = incarnation{7};
  request.input.parts.push_back(gone);
  auto got = worker->invoke(request);
  BOOST_REQUIRE(!got);
  BOOST_TEST(got.error().message().find("fetching the input") == 0u);
  // Who had it is gone, not this rank.
  BOOST_TEST((got.error().code() == errc::aborted));
}

BOOST_AUTO_TEST_CASE(nothing_works_before_set_up) {
  BOOST_TEST(refused(call("echo"), errc::unavailable, "not set up"));
  BOOST_TEST((fence(true).error().code() == errc::unavailable));
  BOOST_TEST((worker->save({}).error().code() == errc::unavailable));
  BOOST_TEST((worker->load({}).error().code() == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(a_module_whose_set_up_failed_does_not_serve) {
  notes->before = [](const std::string&) {
    throw std::runtime_error("no memory");
  };
  auto made = worker->set_up();
  BOOST_REQUIRE(!made);
  BOOST_TEST((made.error() == error{errc::failed, "no memory"}));
  notes->before = nullptr;
  BOOST_TEST(refused(call("echo"), errc::unavailable, "not set up"));
}

// WS-1: no call sees weights that are being replaced.
BOOST_AUTO_TEST_CASE(ws_1_a_fenced_worker_refuses_calls_until_it_is_opened) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_REQUIRE(fence(true));
  BOOST_TEST(refused(call("echo"), errc::unavailable, "being replaced"));
  BOOST_REQUIRE(fence(false, 3));
  auto got = call("echo");
  BOOST_REQUIRE(got);
  BOOST_TEST(got->version.value() == 3u);
  BOOST_TEST(got->output.parts[0].version.value() == 3u);
}

BOOST_AUTO_TEST_CASE(on_sync_runs_once_for_each_new_version) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_REQUIRE(fence(true));
  BOOST_REQUIRE(fence(false, 1));
  BOOST_REQUIRE(fence(true, 1));
  BOOST_REQUIRE(fence(false, 1));
  BOOST_REQUIRE(fence(false, 2));
  BOOST_TEST(notes->calls == (lines{"setup", "on_sync 1", "on_sync 2"}),
             boost::test_tools::per_element());
}

// WS-2: nobody serves a version that is not whole.
BOOST_AUTO_TEST_CASE(ws_2_a_worker_whose_on_sync_failed_stays_fenced) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_REQUIRE(fence(true));
  notes->before = [](const std::string&) {
    throw std::runtime_error("no cache");
  };
  auto opened = fence(false, 1);
  BOOST_REQUIRE(!opened);
  BOOST_TEST((opened.error() == error{errc::failed, "no cache"}));
  notes->before = nullptr;
  BOOST_TEST(refused(call("echo"), errc::unavailable, "being replaced"));
  // The next attempt runs on_sync again.
  BOOST_REQUIRE(fence(false, 1));
  BOOST_TEST(notes->calls.back() == "on_sync 1");
  BOOST_TEST(call("echo")->version.value() == 1u);
}

BOOST_AUTO_TEST_CASE(what_a_module_saves_it_gets_back) {
  test::scratch folder;
  BOOST_REQUIRE(worker->set_up());
  auto request = test::written_checkpoint(*worker, folder);
  auto loaded = worker->load(request);
  BOOST_REQUIRE_MESSAGE(loaded, test::why(loaded));
  auto file = (folder.path() / "policy/0/weight.rank0").string();
  BOOST_TEST(notes->calls == (lines{"setup", "save " + file, "load " + file}),
             boost::test_tools::per_element());
  notes->before = [](const std::string&) {
    throw std::runtime_error("no idea");
  };
  auto saved = worker->save(request);
  BOOST_REQUIRE(!saved);
  BOOST_TEST((saved.error() == error{errc::failed, "no idea"}));
}

BOOST_AUTO_TEST_CASE(a_checkpoint_that_is_not_there_is_named) {
  test::scratch folder;
  BOOST_REQUIRE(worker->set_up());
  auto loaded = worker->load({true, folder.path().string(), 1000});
  BOOST_REQUIRE(!loaded);
  BOOST_TEST((loaded.error().code() == errc::failed));
  BOOST_TEST(loaded.error().message().find("policy/0/troupe.rank0")
             != std::string::npos);
}

// It was added since.
BOOST_AUTO_TEST_CASE(a_replica_that_was_not_saved_loads_what_another_one_was) {
  test::scratch folder;
  for (auto replica : {3, 1}) {
    auto saver = make("policy", replica);
    BOOST_REQUIRE(saver->set_up());
    auto files = saver->save({false, folder.path().string(), 1000});
    BOOST_REQUIRE(files);
    for (const auto& [file, content] : *files)
      BOOST_REQUIRE(checkpoint::write_batch(file, content));
  }
  for (auto [replica, loaded] : {std::pair{0, 1}, std::pair{3, 3}}) {
    notes->calls.clear();
    auto loader = make("policy", replica);
    BOOST_REQUIRE(loader->set_up());
    auto done = loader->load({true, folder.path().string(), 1000});
    BOOST_REQUIRE_MESSAGE(done, to_string(done ? error{} : done.error()));
    BOOST_TEST(notes->calls.back()
               == fmt::format("load {}/policy/{}/weight.rank0",
                              folder.path().string(), loaded));
  }
}

BOOST_AUTO_TEST_CASE(who_rejoins_draws_again_what_the_repeated_calls_drew) {
  BOOST_REQUIRE(worker->set_up());
  auto drawn = std::make_shared<std::vector<std::uint64_t>>();
  notes->on_call = [drawn](worker_context& ctx) {
    drawn->push_back(ctx.generator()());
  };
  BOOST_REQUIRE(call("echo"));
  BOOST_REQUIRE(call("echo"));
  BOOST_REQUIRE(worker->rejoin({5, 1000}));
  BOOST_REQUIRE(call("echo"));
  BOOST_REQUIRE(call("echo"));
  // Of another scope: nothing to take back.
  BOOST_REQUIRE(worker->rejoin({7, 1000}));
  BOOST_REQUIRE(call("echo"));
  BOOST_REQUIRE(drawn->size() == 5u);
  BOOST_TEST(drawn->at(0) != drawn->at(1));
  BOOST_TEST(drawn->at(2) == drawn->at(0));
  BOOST_TEST(drawn->at(3) == drawn->at(1));
  BOOST_TEST(drawn->at(4) != drawn->at(0));
}

BOOST_AUTO_TEST_CASE(who_rejoins_is_not_pinned_any_more) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_REQUIRE(order(protocol::sync_action::pin));
  BOOST_REQUIRE(worker->rejoin({5, 1000}));
  BOOST_TEST(!worker->pinned());
  // What a sync has left half written stays closed, unless a load follows.
  BOOST_REQUIRE(fence(true));
  BOOST_REQUIRE(worker->rejoin({5, 1000}));
  BOOST_TEST(refused(call("echo"), errc::unavailable, "being replaced"));
  BOOST_REQUIRE(worker->rejoin({5, 1000, true}));
  BOOST_TEST(call("echo").has_value());
}

BOOST_AUTO_TEST_CASE(a_batch_says_which_weights_made_it) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_REQUIRE(fence(true));
  BOOST_REQUIRE(fence(false, 3));
  auto got = call("echo");
  auto out = store.get(got->output, deadline::after(std::chrono::seconds{1}));
  BOOST_TEST(out->meta_number("weight_version:policy") == 3);
}

// WS-6: the source does not change while it is read.
BOOST_AUTO_TEST_CASE(ws_6_a_pinned_worker_takes_no_calls) {
  using protocol::sync_action;
  BOOST_REQUIRE(worker->set_up());
  BOOST_TEST(call("echo").has_value());
  auto pinned = order(sync_action::pin);
  BOOST_REQUIRE(pinned);
  BOOST_TEST(pinned->items[0].writes == 1u);
  BOOST_TEST(worker->pinned());
  BOOST_TEST(refused(call("echo"), errc::unavailable, "being read"));
  BOOST_TEST(
    (worker->load({true, "/tmp", 1000}).error().code() == errc::unavailable));
  BOOST_REQUIRE(order(sync_action::unpin));
  BOOST_TEST(call("echo").has_value());
  BOOST_TEST(order(sync_action::pin)->items[0].writes == 2u);
}

// A chain must not hand on what its first sync left half written, nor write
// what its second one reads.
BOOST_AUTO_TEST_CASE(ws_6_no_sync_reads_what_another_one_writes) {
  BOOST_REQUIRE(worker->set_up());
  auto of = [&](const std::string& sync, protocol::sync_action action) {
    protocol::sync_order x;
    x.sync = x.program = sync;
    x.action = action;
    x.items.push_back({worker->name()});
    return worker->obey(x);
  };
  using protocol::sync_action;
  BOOST_REQUIRE(of("a2b", sync_action::fence));
  auto pinned = of("b2c", sync_action::pin);
  BOOST_REQUIRE(!pinned);
  BOOST_TEST((pinned.error().code() == errc::unavailable));
  BOOST_TEST(pinned.error().message().find("a2b") != std::string::npos);
  BOOST_TEST(!worker->save({false, "/tmp/x", 1000}));
  BOOST_TEST(!worker->load({true, "/tmp/x", 1000}));
  BOOST_REQUIRE(of("a2b", sync_action::reopen));
  BOOST_REQUIRE(of("b2c", sync_action::pin));
  auto fenced = of("a2b", sync_action::fence);
  BOOST_REQUIRE(!fenced);
  BOOST_TEST((fenced.error().code() == errc::unavailable));
  BOOST_TEST(fenced.error().message().find("b2c") != std::string::npos);
  BOOST_REQUIRE(of("b2c", sync_action::unpin));
  BOOST_TEST(of("a2b", sync_action::fence).has_value());
}

BOOST_AUTO_TEST_CASE(a_load_brings_ranks_together_whose_calls_differed) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_TEST(call("echo").has_value());
  test::scratch folder;
  auto request = test::written_checkpoint(*worker, folder);
  BOOST_REQUIRE(worker->load(request));
  BOOST_TEST(order(protocol::sync_action::pin)->items[0].writes == 0u);
}

BOOST_AUTO_TEST_CASE(reopening_keeps_the_version_it_had) {
  using protocol::sync_action;
  BOOST_REQUIRE(worker->set_up());
  BOOST_REQUIRE(fence(true));
  BOOST_REQUIRE(fence(false, 3));
  BOOST_REQUIRE(fence(true));
  BOOST_REQUIRE(order(sync_action::reopen, 9));
  BOOST_TEST(call("echo")->version.value() == 3u);
}

BOOST_AUTO_TEST_CASE(only_a_fenced_worker_swaps) {
  BOOST_REQUIRE(worker->set_up());
  auto swapped = order(protocol::sync_action::swap);
  BOOST_REQUIRE(!swapped);
  BOOST_TEST((swapped.error().code() == errc::refused));
}

BOOST_AUTO_TEST_CASE(parameters_that_changed_are_named_when_a_sync_begins) {
  using protocol::sync_action;
  BOOST_REQUIRE(worker->set_up());
  notes->extents = {1, 2};
  for (auto action : {sync_action::pin, sync_action::enroll}) {
    auto got = order(action);
    BOOST_REQUIRE(!got);
    BOOST_TEST((got.error().code() == errc::invalid));
    BOOST_TEST(got.error().message().find("'weight'") != std::string::npos);
    BOOST_TEST(got.error().message().find("[1, 2]") != std::string::npos);
  }
  BOOST_TEST(!worker->pinned());
}

BOOST_AUTO_TEST_CASE(parameters_whose_memory_has_another_size_are_refused) {
  notes->extents = {3};
  auto made = worker->set_up();
  BOOST_REQUIRE(!made);
  BOOST_TEST((made.error().code() == errc::invalid));
  BOOST_TEST(made.error().message().find("'weight'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_mark_says_idle_between_calls) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_TEST(probe->mark.read().operation == "idle");
  notes->before = [&](const std::string&) {
    BOOST_TEST(probe->mark.read().operation == "echo");
  };
  BOOST_TEST(call("echo").has_value());
  BOOST_TEST(probe->mark.read().operation == "idle");
}

BOOST_AUTO_TEST_SUITE_END()
