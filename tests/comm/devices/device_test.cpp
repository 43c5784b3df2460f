// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <random>
#include <thread>

#include "comm/devices/stand_in_beds.hpp"
#include "support/rank_threads.hpp"
#include "troupe/comm/cuda_ipc/name.hpp"
#include "troupe/comm/devices/cuda_device.hpp"
#include "troupe/comm/devices/factory.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/comm/socket.hpp"
#include "troupe/comm/transfer/copy_engine.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

struct fixture {
  ~fixture() {
    here = {};
    check_clean(*machine);
  }

  devices_ptr machine = std::make_shared<stand_in_devices>(2);
  device_subject here = machine->at(1);
};

std::vector<std::byte> noise(std::size_t bytes) {
  std::mt19937 random{5};
  std::vector<std::byte> out(bytes);
  for (auto& x : out)
    x = static_cast<std::byte>(random());
  return out;
}

deadline soon() {
  return deadline::after(std::chrono::seconds{10});
}

deadline shortly() {
  return deadline::after(std::chrono::milliseconds{10});
}

template <class T>
errc code_of(const result<T>& x) {
  return x ? errc{} : x.error().code();
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(devices_device, fixture)

BOOST_AUTO_TEST_CASE(it_says_what_it_is) {
  BOOST_CHECK(here.device->where().type == dlpack::device_type::cuda);
  BOOST_CHECK_EQUAL(here.device->where().id, 1);
  BOOST_CHECK_EQUAL(here.device->uuid(),
                    comm::cuda_ipc::text_of(stand_in_runtime::uuid_of(1)));
  BOOST_CHECK_NE(here.device->uuid(), machine->at(0).device->uuid());
  // The same device, whatever process looks.
  BOOST_CHECK_EQUAL(machine->at(0).device->uuid(),
                    machine->elsewhere().device->uuid());
  std::int32_t current = -1;
  BOOST_CHECK(here.device->enter());
  BOOST_CHECK_EQUAL(machine->runtime->current_device(current), 0);
  BOOST_CHECK_EQUAL(current, 1);
}

BOOST_AUTO_TEST_CASE(a_device_that_is_not_there_is_unavailable) {
  for (auto number : {-1, 2}) {
    auto made = comm::devices::cuda_device::make(machine->runtime, number,
                                                 nullptr, "none");
    BOOST_CHECK(code_of(made) == errc::unavailable);
  }
}

BOOST_AUTO_TEST_CASE(memory_that_is_given_out_is_counted) {
  machine->runtime->out_of_memory_above(std::uint64_t{10} << 20);
  auto before = here.device->memory().value();
  BOOST_CHECK_EQUAL(before.total_bytes, std::uint64_t{10} << 20);
  BOOST_CHECK_EQUAL(before.used_bytes, 0u);
  auto some = here.device->allocate(std::uint64_t{4} << 20).value();
  BOOST_CHECK_EQUAL(here.device->memory().value().used_bytes,
                    std::uint64_t{4} << 20);
  // Of this device alone, whatever is the thread's current one.
  BOOST_CHECK_EQUAL(machine->at(0).device->memory().value().used_bytes, 0u);
  BOOST_CHECK(code_of(here.device->allocate(std::uint64_t{8} << 20))
              == errc::exhausted);
  BOOST_CHECK(code_of(here.device->allocate(0)) == errc::invalid);
  some.reset();
  BOOST_CHECK_EQUAL(here.device->memory().value().used_bytes, 0u);
}

BOOST_AUTO_TEST_CASE(bytes_go_there_and_back) {
  for (std::size_t size : {0u, 1u, 1000u, (4u << 20) - 1, (9u << 20) + 5}) {
    auto sent = noise(size);
    auto memory = here.allocate(size + 1);
    BOOST_REQUIRE(here.device->put(memory.data() + 1, sent, soon()));
    std::vector<std::byte> got(size);
    BOOST_REQUIRE(here.device->get(got, memory.data() + 1, soon()));
    BOOST_CHECK(got == sent);
  }
}

BOOST_AUTO_TEST_CASE(threads_put_and_get_side_by_side) {
  auto good = in_threads(4, [&](std::size_t thread) -> int {
    auto memory = here.allocate(50'000);
    for (int round = 0; round < 20; ++round) {
      std::vector<std::byte> sent(memory.size(),
                                  static_cast<std::byte>(thread * 20 + 1));
      std::vector<std::byte> got(memory.size());
      if (!here.device->put(memory.data(), sent, soon())
          || !here.device->get(got, memory.data(), soon()) || got != sent)
        return 0;
    }
    return 1;
  });
  BOOST_CHECK(good == std::vector<int>(4, 1));
}

BOOST_AUTO_TEST_CASE(a_copy_that_fails_is_an_error_and_not_the_end) {
  auto memory = here.allocate(1000);
  auto sent = noise(1000);
  std::vector<std::byte> got(1000);
  machine->runtime->fail_next("allocate_pinned",
                              comm::cuda::codes::out_of_memory);
  BOOST_CHECK(code_of(here.device->put(memory.data(), sent, soon()))
              == errc::exhausted);
  BOOST_REQUIRE(here.device->put(memory.data(), sent, soon()));
  machine->runtime->fail_next("copy", comm::cuda::codes::invalid_value);
  BOOST_CHECK(code_of(here.device->get(got, memory.data(), soon()))
              == errc::failed);
  BOOST_REQUIRE(here.device->get(got, memory.data(), soon()));
  BOOST_CHECK(got == sent);
}

BOOST_AUTO_TEST_CASE(a_copy_that_hangs_ends_with_its_deadline) {
  auto memory = here.allocate(1000);
  auto sent = noise(1000);
  std::vector<std::byte> got(1000);
  machine->runtime->hang();
  BOOST_CHECK(code_of(here.device->put(memory.data(), sent, shortly()))
              == errc::timed_out);
  BOOST_CHECK(code_of(here.device->get(got, memory.data(), shortly()))
              == errc::timed_out);
  BOOST_CHECK(got == std::vector<std::byte>(1000));
  machine->runtime->resume();
  BOOST_REQUIRE(here.device->put(memory.data(), sent, soon()));
  BOOST_REQUIRE(here.device->get(got, memory.data(), soon()));
  BOOST_CHECK(got == sent);
}

BOOST_AUTO_TEST_CASE(waiting_for_another_threads_copy_has_a_deadline) {
  auto memory = here.allocate(1000);
  auto sent = noise(1000);
  machine->runtime->hang();
  auto before = machine->runtime->calls("query");
  auto codes = in_threads(2, [&](std::size_t thread) {
    if (thread == 0)
      return code_of(here.device->put(memory.data(), sent, soon()));
    // Until the other one has the line.
    auto until = soon();
    while (machine->runtime->calls("query") == before && !until.passed())
      std::this_thread::yield();
    auto code = code_of(here.device->put(memory.data(), sent, shortly()));
    machine->runtime->resume();
    return code;
  });
  BOOST_CHECK(codes[0] == errc{});
  BOOST_CHECK(codes[1] == errc::timed_out);
}

BOOST_AUTO_TEST_CASE(memory_of_others_is_shared_if_it_can_be) {
  auto theirs = here.allocate(3000);
  {
    auto part = here.device->share(theirs.bytes().subspan(1000, 500)).value();
    BOOST_CHECK(part->memory().data() == theirs.data() + 1000);
    BOOST_CHECK_EQUAL(part->memory().size(), 500u);
    BOOST_CHECK(!part->name().empty());
  }
  std::vector<std::byte> ordinary(10);
  BOOST_CHECK(code_of(here.device->share(ordinary)) == errc::invalid);
  BOOST_CHECK(code_of(here.device->share({})) == errc::invalid);
}

BOOST_AUTO_TEST_CASE(who_can_use_an_address_is_known) {
  auto other = machine->at(0);
  std::byte ordinary{};
  std::byte* ours = nullptr;
  std::byte* pinned = nullptr;
  auto& api = *machine->runtime;
  BOOST_CHECK(here.device->enter());
  BOOST_CHECK_EQUAL(api.allocate(ours, 64), comm::cuda::codes::success);
  BOOST_CHECK_EQUAL(api.allocate_pinned(pinned, 64),
                    comm::cuda::codes::success);
  auto check = [](const comm::device_ptr& whose, const std::byte* where,
                  bool process, bool device) {
    auto found = whose->reach(where).value();
    BOOST_CHECK_EQUAL(found.process, process);
    BOOST_CHECK_EQUAL(found.device, device);
  };
  check(here.device, &ordinary, true, false);
  check(here.device, ours + 7, false, true);
  check(here.device, pinned, true, true);
  check(other.device, ours, false, false);
  BOOST_CHECK_EQUAL(api.release(ours), comm::cuda::codes::success);
  BOOST_CHECK_EQUAL(api.release_pinned(pinned), comm::cuda::codes::success);
}

BOOST_AUTO_TEST_CASE(its_engines_work_on_it) {
  auto engine = here.device->engines()->make().value();
  auto memory = engine->allocate(100).value();
  BOOST_CHECK(here.holds(memory.data()));
  BOOST_CHECK_EQUAL(memory.device().id, 1);
}

BOOST_AUTO_TEST_CASE(links_are_of_memory_on_this_device) {
  std::vector<std::shared_ptr<comm::shared_memory>> elsewhere{
    machine->at(0).device->allocate(100).value()};
  auto fds = comm::shm::make_sockets().value();
  comm::socket other{fds.second};
  BOOST_CHECK(code_of(here.device->make_sender(fds.first, elsewhere))
              == errc::invalid);
  elsewhere.clear();
  // Such a memory may lie beside tensors of the process.
  auto both = comm::shm::make_sockets().value();
  auto sender = here.device
                  ->make_sender(both.first,
                                {here.device->allocate(1).value(),
                                 comm::shm::arena::create(1 << 20).value()});
  BOOST_CHECK(sender);
  BOOST_CHECK(machine->elsewhere().device->make_receiver(both.second));
}

BOOST_AUTO_TEST_CASE(a_build_or_machine_without_a_device_says_so) {
  auto made = comm::devices::make_device(0);
  if (made)
    BOOST_CHECK((*made)->memory().value().total_bytes > 0);
  else
    BOOST_CHECK_MESSAGE(made.error().code() == errc::unavailable
                          && !made.error().message().empty(),
                        to_string(made.error()));
}

BOOST_AUTO_TEST_SUITE_END()
