// SPDX-License-Identifier: Apache-2.0
// The stand-in itself: a test that sees no hazard is worth what the stand-in
// would have seen.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cstring>
#include <thread>

#include "support/cuda/stand_in_fixture.hpp"
#include "troupe/comm/cuda/copy_tables.hpp"
#include "troupe/comm/cuda/event.hpp"
#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/cuda/stream.hpp"

using namespace troupe;
using namespace troupe::comm::cuda;
using test::count;
using test::make_stand_in;
using test::make_stepped;
using test::soon;

namespace {

/// Two streams, a block of device memory and a pinned one.
struct two_streams {
  explicit two_streams(std::shared_ptr<test::stand_in_runtime> api)
    : api(api),
      memory(device_memory::allocate(api, 0, 256).value()),
      host(pinned_memory::allocate(api, 256).value()),
      first(stream::create(api, 0).value()),
      second(stream::create(api, 0).value()),
      mark(event::create(api, 0).value()) {
    // nop
  }

  ~two_streams() { (void) api->synchronize_device(); }

  std::shared_ptr<test::stand_in_runtime> api;
  device_memory memory;
  pinned_memory host;
  stream first;
  stream second;
  event mark;
};

} // namespace

BOOST_AUTO_TEST_SUITE(cuda_stand_in)

BOOST_AUTO_TEST_CASE(a_missing_event_is_seen_whatever_runs_first) {
  for (bool first_first : {true, false}) {
    auto api = make_stepped();
    two_streams x{api};
    BOOST_REQUIRE(x.first.view().fill(x.memory.data(), 1, 64));
    BOOST_REQUIRE(x.second.view().copy(x.host.data(), x.memory.data() + 63, 1));
    api->step(first_first ? x.first.handle() : x.second.handle());
    BOOST_CHECK(api->hazards().empty());
    api->run_all();
    BOOST_CHECK_EQUAL(count(api->hazards(), "missing sync"), 1u);
  }
}

BOOST_AUTO_TEST_CASE(an_event_that_is_recorded_too_early_does_not_order) {
  auto api = make_stand_in();
  two_streams x{api};
  BOOST_REQUIRE(x.first.view().record(x.mark));
  BOOST_REQUIRE(x.first.view().fill(x.memory.data(), 1, 64));
  BOOST_REQUIRE(x.second.view().wait_for(x.mark));
  BOOST_REQUIRE(x.second.view().fill(x.memory.data(), 2, 64));
  api->synchronize_device();
  BOOST_CHECK_EQUAL(count(api->hazards(), "missing sync"), 1u);
}

BOOST_AUTO_TEST_CASE(order_passes_from_event_to_event_and_by_the_host) {
  auto api = make_stand_in();
  {
    two_streams x{api};
    auto third = stream::create(api, 0).value();
    auto next = event::create(api, 0).value();
    BOOST_REQUIRE(x.first.view().fill(x.memory.data(), 1, 64));
    BOOST_REQUIRE(x.first.view().record(x.mark));
    BOOST_REQUIRE(x.second.view().wait_for(x.mark));
    BOOST_REQUIRE(x.second.view().record(next));
    BOOST_REQUIRE(third.view().wait_for(next));
    BOOST_REQUIRE(third.view().fill(x.memory.data(), 2, 64));
    BOOST_REQUIRE(third.synchronize(soon()));
    BOOST_REQUIRE(x.second.view().fill(x.memory.data(), 3, 64));
    BOOST_REQUIRE(x.second.synchronize(soon()));
  }
  auto wrong = api->finish();
  BOOST_CHECK_MESSAGE(wrong.empty(), test::lines(wrong));
}

BOOST_AUTO_TEST_CASE(readers_and_disjoint_writers_need_no_order) {
  auto api = make_stand_in();
  two_streams x{api};
  auto* to = x.host.data();
  BOOST_REQUIRE(x.first.view().copy(to, x.memory.data(), 64));
  BOOST_REQUIRE(x.second.view().copy(to + 64, x.memory.data(), 64));
  BOOST_REQUIRE(x.first.view().fill(x.memory.data() + 64, 0, 64));
  BOOST_REQUIRE(x.second.view().fill(x.memory.data() + 128, 0, 64));
  api->synchronize_device();
  auto wrong = api->hazards();
  BOOST_CHECK_MESSAGE(wrong.empty(), test::lines(wrong));
}

BOOST_AUTO_TEST_CASE(a_host_that_reads_too_early_is_seen) {
  auto api = make_stand_in();
  two_streams x{api};
  BOOST_REQUIRE(x.first.view().copy(x.host.data(), x.memory.data(), 64));
  BOOST_REQUIRE(x.first.view().record(x.mark));
  BOOST_REQUIRE(x.second.synchronize(soon()));
  while (api->done().empty())
    std::this_thread::yield();
  api->touch(x.host.data() + 64, 1, false);
  BOOST_CHECK(api->hazards().empty());
  api->touch(x.host.data(), 1, false);
  BOOST_CHECK_EQUAL(count(api->hazards(), "missing sync: the host reads"), 1u);
  BOOST_REQUIRE(x.mark.wait(soon()));
  api->touch(x.host.data(), 1, true);
  BOOST_CHECK_EQUAL(api->hazards().size(), 1u);
}

BOOST_AUTO_TEST_CASE(memory_is_not_used_after_its_release) {
  auto api = make_stand_in();
  two_streams x{api};
  auto* gone = x.memory.data();
  x.memory = device_memory{};
  BOOST_CHECK(!x.first.view().fill(gone, 0, 1));
  BOOST_CHECK(!x.first.view().copy(x.host.data(), gone, 1));
  BOOST_CHECK_EQUAL(count(api->hazards(), "use after free"), 2u);
  BOOST_CHECK_EQUAL(api->release(gone), codes::invalid_value);
  BOOST_CHECK_EQUAL(count(api->hazards(), "double free"), 1u);
  BOOST_CHECK(facts_of(*api, gone)->kind == memory_kind::pageable);
}

BOOST_AUTO_TEST_CASE(a_release_under_queued_work_is_seen) {
  auto api = make_stepped();
  two_streams x{api};
  BOOST_REQUIRE(x.first.view().fill(x.memory.data(), 0, 1));
  x.memory = device_memory{};
  BOOST_CHECK(api->hazards().empty());
  api->run_all();
  BOOST_CHECK_EQUAL(count(api->hazards(), "use after free"), 1u);
  // Memory that is gone is an illegal address.
  BOOST_CHECK_EQUAL(api->synchronize_device(), codes::illegal_address);
}

BOOST_AUTO_TEST_CASE(a_release_before_the_host_knows_is_seen) {
  auto api = make_stand_in();
  two_streams x{api};
  BOOST_REQUIRE(x.first.view().fill(x.memory.data(), 0, 1));
  while (api->done().empty())
    std::this_thread::yield();
  // It is done, but by luck.
  x.memory = device_memory{};
  BOOST_CHECK_EQUAL(count(api->hazards(), "before the host knows"), 1u);
}

BOOST_AUTO_TEST_CASE(strange_places_are_refused) {
  auto api = make_stand_in();
  two_streams x{api};
  auto first = x.first.view();
  BOOST_CHECK(!first.fill(x.memory.data() + 200, 0, 57));
  BOOST_CHECK_EQUAL(count(api->hazards(), "out of bounds"), 1u);
  int local = 0;
  BOOST_CHECK(!first.fill(&local, 0, 1));
  BOOST_CHECK_EQUAL(count(api->hazards(), "does not reach"), 1u);
  BOOST_CHECK_EQUAL(api->fill(x.memory.data(), 0, 1, nullptr),
                    codes::invalid_handle);
  BOOST_CHECK_EQUAL(count(api->hazards(), "default stream"), 1u);
  auto old = x.second.handle();
  x.second = stream::create(api, 0).value();
  BOOST_CHECK_EQUAL(api->destroy_stream(old), codes::invalid_handle);
  BOOST_CHECK_EQUAL(api->fill(x.memory.data(), 0, 1, old),
                    codes::invalid_handle);
  BOOST_CHECK_EQUAL(count(api->hazards(), "no stream, or destroyed"), 2u);
  BOOST_CHECK_EQUAL(api->query(nullptr), codes::invalid_handle);
  BOOST_CHECK_EQUAL(count(api->hazards(), "no event"), 1u);
}

BOOST_AUTO_TEST_CASE(copies_with_pageable_memory_work_but_are_noted) {
  auto api = make_stand_in();
  two_streams x{api};
  std::uint64_t in = 42;
  std::uint64_t out = 0;
  BOOST_REQUIRE(x.first.view().copy(x.memory.data(), &in, sizeof(in)));
  in = 0;
  BOOST_REQUIRE(x.first.view().copy(&out, x.memory.data(), sizeof(out)));
  BOOST_CHECK_EQUAL(out, 42u);
  BOOST_CHECK_EQUAL(count(api->hazards(), "pageable"), 2u);
}

BOOST_AUTO_TEST_CASE(what_is_not_released_is_told_at_the_end) {
  auto api = make_stand_in();
  auto log = api->log();
  stream_handle stream = nullptr;
  event_handle event = nullptr;
  std::byte* memory = nullptr;
  api->create_stream(stream);
  api->create_event(event, false);
  api->allocate(memory, 10);
  BOOST_CHECK_EQUAL(api->leaks().size(), 3u);
  api.reset();
  BOOST_CHECK_EQUAL(count(log->all(), "leak: "), 3u);
}

BOOST_AUTO_TEST_CASE(kernels_run_and_touch_what_their_tables_say) {
  auto api = make_stand_in();
  std::atomic<std::uint32_t> parts = 0;
  two_streams x{api};
  // Four columns of a matrix of 4 x 8 floats.
  std::vector<memory_loop> loops{{4, 32}};
  copy_tables tables;
  tables.clear(dtype::float32, true);
  tables.add({x.memory.data(), dtype::float32, 16, 4, loops},
             comm::transfer::dense<const std::byte>(x.memory.data() + 128,
                                                    dtype::float32, 16),
             1);
  x.host = pinned_memory::allocate(api, tables.bytes()).value();
  tables.write(x.host.data());
  auto what = tables.launch(x.host.data(), nullptr);
  BOOST_CHECK(!x.first.view().launch(what));
  api->execute_with([&](const copy_launch& y) { parts += y.part_count; });
  BOOST_REQUIRE(x.first.view().launch(what));
  // Beside the columns: no conflict. In them: one.
  BOOST_REQUIRE(x.second.view().fill(x.memory.data() + 16, 0, 16));
  BOOST_REQUIRE(x.second.view().fill(x.memory.data() + 48, 0, 16));
  BOOST_REQUIRE_EQUAL(api->synchronize_device(), codes::success);
  BOOST_CHECK_EQUAL(parts, 1u);
  BOOST_CHECK(api->hazards().empty());
  BOOST_REQUIRE(x.first.view().launch(what));
  BOOST_REQUIRE(x.second.view().fill(x.memory.data() + 40, 0, 16));
  api->synchronize_device();
  BOOST_CHECK_EQUAL(count(api->hazards(), "missing sync"), 1u);
}

BOOST_AUTO_TEST_CASE(tables_in_pageable_memory_are_an_illegal_address) {
  auto api = make_stand_in();
  api->execute_with([](const copy_launch&) {});
  two_streams x{api};
  device_part local{};
  copy_launch what;
  what.parts = &local;
  what.part_count = 1;
  what.tiles = 1;
  BOOST_REQUIRE(x.first.view().launch(what));
  BOOST_CHECK(x.first.synchronize(soon()).error().code() == errc::lost);
  BOOST_CHECK_EQUAL(count(api->hazards(), "does not reach"), 1u);
}

BOOST_AUTO_TEST_CASE(work_of_others_may_wait_and_is_cancelled_at_the_end) {
  std::atomic<bool> begun = false;
  std::atomic<bool> ended = false;
  {
    auto api = make_stand_in();
    two_streams x{api};
    std::atomic<bool> arrived = false;
    api->enqueue(x.first.handle(), "a collective",
                 [&](const std::atomic<bool>&) {
                   while (!arrived)
                     std::this_thread::yield();
                   return codes::success;
                 });
    // Another stream is not held up.
    BOOST_REQUIRE(x.second.synchronize(soon()));
    arrived = true;
    BOOST_REQUIRE(x.first.synchronize(soon()));
    api->enqueue(x.first.handle(), "a collective",
                 [&](const std::atomic<bool>& cancelled) {
                   begun = true;
                   while (!cancelled)
                     std::this_thread::yield();
                   ended = true;
                   return codes::success;
                 });
    while (!begun)
      std::this_thread::yield();
    api->fail_async(codes::launch_failure, x.second.handle());
    BOOST_REQUIRE(x.second.view().fill(x.memory.data(), 0, 1));
    BOOST_CHECK(!x.second.synchronize(soon()));
  }
  BOOST_CHECK(ended);
}

BOOST_AUTO_TEST_CASE(touches_of_others_count) {
  auto api = make_stand_in();
  two_streams x{api};
  auto nothing = [](const std::atomic<bool>&) { return codes::success; };
  api->enqueue(x.first.handle(), "recv", nothing,
               {{x.memory.data(), 64, true}});
  BOOST_REQUIRE(x.second.view().copy(x.host.data(), x.memory.data(), 64));
  api->synchronize_device();
  BOOST_CHECK_EQUAL(count(api->hazards(), "recv on stream 1"), 1u);
}

BOOST_AUTO_TEST_CASE(handles_join_two_runtimes_of_one_device) {
  auto owner = make_stand_in({.devices = {7}});
  auto other = make_stand_in({.devices = {6, 7}});
  auto stranger = make_stand_in({.devices = {6}});
  auto memory = device_memory::allocate(owner, 0, 5000).value();
  ipc_handle name{};
  BOOST_CHECK_EQUAL(owner->export_memory(memory.data() + 1, name),
                    codes::invalid_value);
  BOOST_REQUIRE_EQUAL(owner->export_memory(memory.data(), name),
                      codes::success);
  std::byte* seen = nullptr;
  BOOST_CHECK_EQUAL(owner->import_memory(name, seen), codes::invalid_handle);
  BOOST_CHECK_EQUAL(stranger->import_memory(name, seen), codes::invalid_device);
  BOOST_REQUIRE_EQUAL(other->import_memory(name, seen), codes::success);
  BOOST_CHECK(seen != memory.data());
  memory.data()[4999] = std::byte{42};
  BOOST_CHECK(seen[4999] == std::byte{42});
  auto where = facts_of(*other, seen + 100).value();
  BOOST_CHECK_EQUAL(where.device, 1);
  BOOST_CHECK(where.allocation == seen);
  BOOST_CHECK_EQUAL(where.allocation_bytes, 5000u);
  std::byte* twice = nullptr;
  BOOST_CHECK_EQUAL(other->import_memory(name, twice), codes::invalid_value);
  BOOST_CHECK_EQUAL(count(other->hazards(), "open already"), 1u);
  memory = device_memory{};
  BOOST_CHECK_EQUAL(count(owner->hazards(), "has it open"), 1u);
  BOOST_CHECK_EQUAL(other->leaks().size(), 1u);
  BOOST_CHECK_EQUAL(other->close_imported(seen), codes::success);
  BOOST_CHECK(other->leaks().empty());
  BOOST_CHECK_EQUAL(other->import_memory(name, seen), codes::invalid_handle);
  auto* pooled = owner->make_memory(memory_kind::device, 10);
  BOOST_CHECK_EQUAL(owner->export_memory(pooled, name), codes::invalid_value);
  BOOST_CHECK_EQUAL(owner->release(pooled), codes::success);
}

BOOST_AUTO_TEST_CASE(devices_are_as_they_are_set) {
  auto api = make_stand_in({.devices = {3, 9}});
  std::int32_t devices = 0;
  BOOST_CHECK_EQUAL(api->device_count(devices), codes::success);
  BOOST_CHECK_EQUAL(devices, 2);
  device_figures found;
  BOOST_CHECK_EQUAL(api->figures(1, found), codes::success);
  BOOST_CHECK(found.uuid == test::stand_in_runtime::uuid_of(9));
  BOOST_CHECK(found.uuid != test::stand_in_runtime::uuid_of(3));
  BOOST_CHECK_EQUAL(api->figures(2, found), codes::invalid_device);
  auto none = make_stand_in({.devices = {}});
  BOOST_CHECK_EQUAL(none->device_count(devices), codes::no_device);
}

BOOST_AUTO_TEST_CASE(what_hangs_does_not_hold_up_the_end) {
  auto api = make_stand_in();
  two_streams x{api};
  api->hang(x.first.handle());
  BOOST_REQUIRE(x.first.view().fill(x.memory.data(), 0, 1));
  BOOST_REQUIRE(x.second.synchronize(soon()));
  auto wrong = api->finish(std::chrono::milliseconds{1});
  BOOST_CHECK_EQUAL(count(wrong, "does not end"), 1u);
  api->resume();
  BOOST_CHECK(x.first.synchronize(soon()));
}

BOOST_AUTO_TEST_SUITE_END()
