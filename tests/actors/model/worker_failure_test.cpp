// SPDX-License-Identifier: Apache-2.0
// What a rank answers when its module, a peer or its device fails.
#include <boost/test/unit_test.hpp>

#include "actors/model/worker_fixture.hpp"
#include "actors/model/written_checkpoint.hpp"
#include "support/stub_device.hpp"
#include "troupe/core/exception.hpp"

using namespace troupe;

BOOST_FIXTURE_TEST_SUITE(model_worker_failure, test::worker_fixture)

BOOST_AUTO_TEST_CASE(an_exception_of_the_module_is_an_error_with_its_text) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_TEST(refused(call("throws"), errc::failed, "out of tea"));
  // It goes on serving.
  BOOST_TEST(call("echo").has_value());
}

BOOST_AUTO_TEST_CASE(what_is_no_exception_is_an_error_too) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_TEST(refused(call("throws_int"), errc::failed, "no std::exception"));
}

BOOST_AUTO_TEST_CASE(an_error_that_the_module_throws_on_keeps_its_code) {
  BOOST_REQUIRE(worker->set_up());
  for (auto code : {errc::aborted, errc::corrupt, errc::invalid}) {
    notes->on_call = [code](worker_context&) {
      throw troupe::exception{{code, "all-reduce: it did not end"}};
    };
    BOOST_TEST(refused(call("echo"), code, "all-reduce: it did not end"));
  }
}

// Its answer would say that the rank itself does not answer or is gone.
BOOST_AUTO_TEST_CASE(a_rank_that_finds_others_missing_has_given_up) {
  BOOST_REQUIRE(worker->set_up());
  for (auto code : {errc::timed_out, errc::lost}) {
    notes->on_call = [code](worker_context&) {
      throw troupe::exception{{code, "all-reduce: waited for rank 1"}};
    };
    BOOST_TEST(
      refused(call("echo"), errc::aborted, "all-reduce: waited for rank 1"));
    notes->on_call = [code](worker_context&) {
      result<float> sum = fail(code, "waited for rank 1");
      static_cast<void>(sum.value());
    };
    BOOST_TEST(refused(call("echo"), errc::aborted, "waited for rank 1"));
    // Who is gone is told of by others.
    BOOST_TEST(protocol::has_given_up(call("echo").error())
               == (code == errc::timed_out));
  }
}

BOOST_AUTO_TEST_CASE(so_has_one_that_waits_in_set_up_on_sync_or_load) {
  auto waits = [](const std::string& what) {
    if (!what.starts_with("save"))
      throw troupe::exception{{errc::timed_out, "barrier: nobody came"}};
  };
  auto gave_up = [](const auto& x) {
    return !x && protocol::has_given_up(x.error());
  };
  notes->before = waits;
  BOOST_TEST(gave_up(worker->set_up()));
  notes->before = nullptr;
  BOOST_REQUIRE(worker->set_up());
  notes->before = waits;
  BOOST_REQUIRE(fence(true));
  BOOST_TEST(gave_up(fence(false, 1)));
  notes->before = nullptr;
  BOOST_REQUIRE(fence(false, 1));
  notes->before = waits;
  test::scratch folder;
  auto request = test::written_checkpoint(*worker, folder);
  BOOST_TEST(gave_up(worker->load(request)));
}

BOOST_AUTO_TEST_CASE(so_has_one_whose_peers_do_not_connect) {
  protocol::open_groups seats;
  seats.items.push_back({worker->name(), "pair", "inproc",
                         protocol::seat_kind::member, rank_id{0}, 2});
  auto own = worker->open(seats);
  BOOST_REQUIRE(own);
  auto other = hub.make_endpoint("pair", rank_id{1}, 2);
  BOOST_REQUIRE(other);
  protocol::connect_groups request;
  request.timeout_ms = 1;
  request.items.push_back(
    {worker->name(),
     "pair",
     {own->items.front().address, protocol::to_payload((*other)->address())}});
  auto done = worker->connect(request);
  BOOST_REQUIRE(!done);
  BOOST_TEST((done.error().code() == errc::aborted));
  BOOST_TEST(done.error().message()
             == "gave up: pair: 1 of 2 ranks of group pair arrived");
}

// A collective says the same of a lost device and of a lost peer.
BOOST_AUTO_TEST_CASE(a_rank_whose_own_device_is_lost_has_failed) {
  auto gpu = std::make_shared<test::stub_device>(3);
  worker = make("policy", 0, gpu);
  BOOST_REQUIRE(worker->set_up());
  notes->on_call = [](worker_context&) {
    throw troupe::exception{{errc::lost, "all-reduce: it broke"}};
  };
  BOOST_TEST(refused(call("echo"), errc::aborted, "all-reduce: it broke"));
  gpu->measuring = error{errc::lost, "start it anew"};
  BOOST_TEST(refused(call("echo"), errc::failed,
                     "all-reduce: it broke (start it anew)"));
}

BOOST_AUTO_TEST_CASE(a_tensor_that_is_missing_is_named) {
  BOOST_REQUIRE(worker->set_up());
  notes->on_call = [](worker_context&) {
    static_cast<void>(test::numbered(1).get("guess").value());
  };
  BOOST_TEST(refused(call("echo"), errc::invalid,
                     "batch has no tensor 'guess'; it has: x"));
}

BOOST_AUTO_TEST_CASE(memory_that_runs_out_is_told_as_such_with_what_is_held) {
  BOOST_REQUIRE(worker->set_up());
  BOOST_TEST(
    refused(call("starves"), errc::exhausted, "out of memory: std::bad_alloc"));
  auto got = call("starves_in_words");
  BOOST_TEST(refused(got, errc::exhausted, "tried to allocate 4000000000"));
  BOOST_TEST(refused(got, errc::exhausted, "its process holds "));
  BOOST_TEST(got.error().message().find("frame") == std::string::npos);
  // The worker serves on.
  BOOST_TEST(call("echo").has_value());
}

BOOST_AUTO_TEST_SUITE_END()
