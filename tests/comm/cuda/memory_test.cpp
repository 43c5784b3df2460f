// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <thread>

#include "support/cuda/stand_in_fixture.hpp"
#include "troupe/comm/cuda/device_guard.hpp"
#include "troupe/comm/cuda/event.hpp"
#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/cuda/stream.hpp"

using namespace troupe;
using namespace troupe::comm::cuda;
using test::make_stand_in;

BOOST_AUTO_TEST_SUITE(cuda_memory)

BOOST_AUTO_TEST_CASE(device_memory_is_aligned_of_its_device_and_released) {
  auto api = make_stand_in({.devices = {0, 1}});
  api->set_device(0);
  {
    auto memory = device_memory::allocate(api, 1, 100).value();
    BOOST_CHECK_EQUAL(reinterpret_cast<std::uintptr_t>(memory.data()) % 256,
                      0u);
    BOOST_CHECK_EQUAL(memory.size(), 100u);
    auto where = facts_of(*api, memory.data() + 99).value();
    BOOST_CHECK(where.kind == memory_kind::device);
    BOOST_CHECK_EQUAL(where.device, 1);
    BOOST_CHECK(where.allocation == memory.data());
    BOOST_CHECK_EQUAL(where.allocation_bytes, 100u);
    std::int32_t device = -1;
    api->current_device(device);
    BOOST_CHECK_EQUAL(device, 0);
    auto other = std::move(memory);
    BOOST_CHECK(memory.data() == nullptr);
    BOOST_CHECK_EQUAL(api->leaks().size(), 1u);
  }
  BOOST_CHECK(api->finish().empty());
  BOOST_CHECK_EQUAL(api->calls("release"), 1u);
}

BOOST_AUTO_TEST_CASE(no_thread_begins_a_device_that_is_not_used) {
  auto api = make_stand_in({.devices = {0, 1}});
  // Threads that never chose a device stand on the first.
  auto elsewhere = [](const std::function<void()>& f) {
    std::thread{f}.join();
  };
  std::optional<device_memory> memory;
  std::optional<pinned_memory> pinned;
  std::optional<event> mark;
  std::optional<stream> line;
  elsewhere([&] { memory = device_memory::allocate(api, 1, 100).value(); });
  elsewhere([&] {
    auto here = device_guard::enter(*api, 1);
    pinned = pinned_memory::allocate(api, 100).value();
  });
  elsewhere([&] { mark = event::create(api, 1).value(); });
  elsewhere([&] { BOOST_CHECK(mark->done().value()); });
  elsewhere([&] { BOOST_CHECK(mark->wait(test::soon()).has_value()); });
  elsewhere([&] { line = stream::create(api, 1).value(); });
  elsewhere([&] {
    auto view = line->view();
    BOOST_CHECK(view.fill(memory->data(), 1, 100).has_value());
    BOOST_CHECK(view.copy(pinned->data(), memory->data(), 100).has_value());
    BOOST_CHECK(view.record(*mark).has_value());
    BOOST_CHECK(view.wait_for(*mark).has_value());
  });
  elsewhere([&] { BOOST_CHECK(line->synchronize(test::soon()).has_value()); });
  elsewhere([&] { line.reset(); });
  elsewhere([&] { mark.reset(); });
  elsewhere([&] { pinned.reset(); });
  elsewhere([&] { memory.reset(); });
  BOOST_CHECK((api->contexts() == std::set<std::int32_t>{1}));
  BOOST_CHECK(api->finish().empty());
}

BOOST_AUTO_TEST_CASE(assignment_releases_what_was_there) {
  auto api = make_stand_in();
  {
    auto a = device_memory::allocate(api, 0, 10).value();
    auto b = device_memory::allocate(api, 0, 20).value();
    auto* kept = b.data();
    a = std::move(b);
    BOOST_CHECK(a.data() == kept);
    auto c = pinned_memory::allocate(api, 10).value();
    c = pinned_memory{};
    BOOST_CHECK_EQUAL(api->calls("release_pinned"), 1u);
  }
  BOOST_CHECK(api->finish().empty());
  BOOST_CHECK_EQUAL(api->calls("release"), 2u);
}

BOOST_AUTO_TEST_CASE(too_much_is_exhausted_and_says_how_much) {
  auto api = make_stand_in();
  api->out_of_memory_above(1000);
  auto some = device_memory::allocate(api, 0, 600).value();
  auto more = device_memory::allocate(api, 0, 600);
  BOOST_REQUIRE(!more);
  BOOST_CHECK(more.error().code() == errc::exhausted);
  BOOST_CHECK(
    more.error().message().find("cudaMalloc(600) on device 0: out of memory")
    != std::string::npos);
  // Whether somebody else has it.
  BOOST_CHECK(
    more.error().message().ends_with("; 400 B of the device's 1000 B are free "
                                     "(nvidia-smi shows who has the rest)"));
  some = device_memory{};
  BOOST_CHECK(device_memory::allocate(api, 0, 600));
  api->fail_next("allocate_pinned", codes::out_of_memory);
  auto pinned = pinned_memory::allocate(api, 600);
  BOOST_REQUIRE(!pinned);
  BOOST_CHECK(pinned.error().code() == errc::exhausted);
}

BOOST_AUTO_TEST_CASE(nothing_costs_nothing) {
  auto api = make_stand_in();
  auto memory = device_memory::allocate(api, 0, 0).value();
  auto host = pinned_memory::allocate(api, 0).value();
  BOOST_CHECK(memory.view().empty());
  BOOST_CHECK(host.bytes().empty());
  BOOST_CHECK_EQUAL(api->calls("allocate") + api->calls("allocate_pinned"), 0u);
}

BOOST_AUTO_TEST_CASE(buffers_know_their_device_and_keep_the_memory) {
  auto api = make_stand_in({.devices = {0, 1}});
  auto kept = device_memory::allocate(api, 1, 64).value().into_buffer();
  BOOST_CHECK(kept.device().type == device_kind::cuda);
  BOOST_CHECK_EQUAL(kept.device().id, 1);
  BOOST_CHECK_EQUAL(kept.size(), 64u);
  auto part = kept.slice(32, 32);
  kept = {};
  auto view = view_of(part);
  BOOST_CHECK(view.data == part.data());
  BOOST_CHECK_EQUAL(view.device, 1);
  BOOST_CHECK_EQUAL(api->leaks().size(), 1u);
  auto host = pinned_memory::allocate(api, 64).value().into_buffer();
  BOOST_CHECK(host.device().type == device_kind::cuda_host);
  BOOST_CHECK(view_of(host).empty());
  part = {};
  host = {};
  BOOST_CHECK(api->finish().empty());
}

BOOST_AUTO_TEST_CASE(facts_tell_kinds_apart) {
  auto api = make_stand_in();
  auto host = pinned_memory::allocate(api, 8).value();
  int here = 0;
  BOOST_CHECK(facts_of(*api, &here)->kind == memory_kind::pageable);
  BOOST_CHECK(facts_of(*api, host.data())->kind == memory_kind::pinned);
  auto* managed = api->make_memory(memory_kind::managed, 8);
  BOOST_CHECK(facts_of(*api, managed)->kind == memory_kind::managed);
  BOOST_CHECK_EQUAL(api->release(managed), codes::success);
  api->fail_next("facts", codes::invalid_value);
  BOOST_CHECK(!facts_of(*api, &here));
}

BOOST_AUTO_TEST_CASE(a_view_contains_what_lies_wholly_inside) {
  std::byte bytes[100];
  device_view view{bytes + 10, 50, 0};
  BOOST_CHECK(view.contains(bytes + 10, 50));
  BOOST_CHECK(view.contains(bytes + 59, 1));
  BOOST_CHECK(view.contains(bytes + 60, 0));
  BOOST_CHECK(!view.contains(bytes + 59, 2));
  BOOST_CHECK(!view.contains(bytes + 9, 2));
  BOOST_CHECK(!view.contains(bytes + 10, ~std::uint64_t{0}));
  auto part = view.part(40, 10);
  BOOST_CHECK(part.data == bytes + 50);
  BOOST_CHECK_EQUAL(part.bytes, 10u);
}

BOOST_AUTO_TEST_SUITE_END()
