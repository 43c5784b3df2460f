// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <latch>
#include <thread>

#include "comm/conformance.hpp"
#include "comm/devices/on_device.hpp"
#include "comm/devices/stand_in_beds.hpp"
#include "support/rank_threads.hpp"
#include "troupe/comm/devices/bounce_communicator.hpp"
#include "troupe/comm/gloo/factory.hpp"
#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/inproc/hub.hpp"

using namespace std::literals;
using namespace troupe;
using test::conformance::backend;

namespace {

/// All groups share one device.
test::stand_in_devices& devices() {
  static test::stand_in_devices out;
  return out;
}

using inner_maker = std::function<
  comm::endpoint_ptr(rank_id rank, std::int32_t size,
                     const comm::collective_options&)>;

comm::endpoint_ptr inproc(rank_id rank, std::int32_t size,
                          const comm::collective_options& options) {
  static comm::inproc::hub shared;
  return shared.make_endpoint("group", rank, size, options).value();
}

comm::endpoint_ptr gloo(rank_id rank, std::int32_t size,
                        const comm::collective_options& collectives) {
  comm::gloo::endpoint_options options;
  options.collectives = collectives;
  return comm::gloo::make_endpoint(rank, size, options).value();
}

backend over(const inner_maker& make, bool in_device_memory) {
  return {[=](std::int32_t size, const comm::collective_options& options) {
    auto place = devices().at(0);
    std::vector<comm::endpoint_ptr> out;
    for (std::int32_t rank = 0; rank < size; ++rank)
      out.push_back(std::make_shared<test::changed_endpoint>(
        make(rank_id{rank}, size, options),
        [=](comm::communicator_ptr inner) -> result<comm::communicator_ptr> {
          auto wide = place.device->widen(std::move(inner));
          if (wide && in_device_memory)
            return std::make_shared<test::on_device>(*wide, place);
          return wide;
        }));
    return out;
  }};
}

const auto inproc_of_processes = over(inproc, false);
const auto inproc_of_devices = over(inproc, true);
const auto gloo_of_processes = over(gloo, false);
const auto gloo_of_devices = over(gloo, true);

deadline ample() {
  return deadline::after(60s);
}

errc code_of(const result<void>& x) {
  return x ? errc{} : x.error().code();
}

struct fixture {
  ~fixture() {
    group.clear();
    data = {};
    other = {};
    place = {};
    test::check_clean(*machine);
  }

  void widen(std::int32_t size) {
    for (auto& x : comm::inproc::make_group(size))
      group.push_back(place.device->widen(x).value());
    data = place.allocate(1000);
    other = place.allocate(1000);
  }

  test::devices_ptr machine = std::make_shared<test::stand_in_devices>();
  test::device_subject place = machine->at(0);
  std::vector<comm::communicator_ptr> group;
  buffer data;
  buffer other;
};

} // namespace

BOOST_AUTO_TEST_SUITE(devices_bounce)

BOOST_AUTO_TEST_SUITE(over_inproc_of_processes)
TROUPE_COMMUNICATOR_CONFORMANCE(inproc_of_processes)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(over_inproc_of_devices)
TROUPE_COMMUNICATOR_CONFORMANCE(inproc_of_devices)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(over_gloo_of_processes)
TROUPE_COMMUNICATOR_CONFORMANCE(gloo_of_processes)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(over_gloo_of_devices)
TROUPE_COMMUNICATOR_CONFORMANCE(gloo_of_devices)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(nothing_was_done_wrong_in_all_that) {
  test::check_clean(devices());
}

// One rank hands over memory of the device, the other of its process.
BOOST_FIXTURE_TEST_CASE(memory_of_both_kinds_meets, fixture) {
  widen(2);
  std::vector<float> here(250, 2.f);
  std::vector<float> there(250, 3.f);
  place.put(data.data(), std::as_bytes(std::span{there}));
  auto codes = test::in_threads(2, [&](std::size_t rank) {
    auto xs = rank == 0 ? std::as_writable_bytes(std::span{here})
                        : data.bytes();
    return code_of(group[rank]->all_reduce(xs, dtype::float32,
                                           comm::reduce_op::sum, ample()));
  });
  BOOST_CHECK(codes == std::vector<errc>(2));
  place.get(std::as_writable_bytes(std::span{there}), data.data());
  BOOST_CHECK(here == std::vector<float>(250, 5.f));
  BOOST_CHECK(there == here);
}

// Tensors are long, and what is pinned is not. Rank 1 has them in the process.
BOOST_FIXTURE_TEST_CASE(long_operations_pin_little, fixture) {
  using integers = std::vector<std::int32_t>;
  constexpr std::size_t ranks = 2;
  widen(ranks);
  // Several pieces of either kind, the last one odd.
  constexpr std::size_t count = (std::size_t{9} << 18) + 3;
  auto long_one = place.allocate(4 * count);
  auto all = place.allocate(4 * count * ranks);
  auto value = [](std::size_t rank, std::size_t i) {
    return static_cast<std::int32_t>(rank * 7'000'000 + i);
  };
  auto codes = test::in_threads(ranks, [&](std::size_t rank) -> int {
    auto& group_here = *group[rank];
    integers mine(count);
    integers gathered(count * ranks);
    auto fill = [&] {
      for (std::size_t i = 0; i < count; ++i)
        mine[i] = value(rank, i);
      if (rank == 0)
        place.put(long_one.data(), std::as_bytes(std::span{mine}));
    };
    auto bring = [&](integers& to, buffer& from) {
      if (rank == 0)
        place.get(std::as_writable_bytes(std::span{to}), from.data());
    };
    auto one = rank == 0 ? long_one.bytes()
                         : std::as_writable_bytes(std::span{mine});
    auto many = rank == 0 ? all.bytes()
                          : std::as_writable_bytes(std::span{gathered});
    auto wrong = [&](const integers& xs, auto&& expected) {
      for (std::size_t i = 0; i < xs.size(); ++i)
        if (xs[i] != expected(i))
          return true;
      return false;
    };
    fill();
    if (!group_here.all_reduce(one, dtype::int32, comm::reduce_op::sum,
                               ample()))
      return 1;
    bring(mine, long_one);
    if (wrong(mine, [&](auto i) { return value(0, i) + value(1, i); }))
      return 2;
    fill();
    if (!group_here.all_gather(one, many, ample()))
      return 3;
    bring(gathered, all);
    if (wrong(gathered, [&](auto i) { return value(i / count, i % count); }))
      return 4;
    if (!group_here.reduce_scatter(many, one, dtype::int32,
                                   comm::reduce_op::max, ample()))
      return 5;
    bring(mine, long_one);
    if (wrong(mine, [&](auto i) { return value(rank, i); }))
      return 6;
    fill();
    if (!group_here.broadcast(one, rank_id{1}, ample()))
      return 7;
    bring(mine, long_one);
    if (wrong(mine, [&](auto i) { return value(1, i); }))
      return 8;
    fill();
    auto moved = rank == 0 ? group_here.send(one, rank_id{1}, 3, ample())
                           : group_here.recv(one, rank_id{0}, 3, ample());
    if (!moved)
      return 9;
    bring(mine, long_one);
    return wrong(mine, [&](auto i) { return value(0, i); }) ? 10 : 0;
  });
  BOOST_CHECK(codes == std::vector<int>(ranks));
  BOOST_CHECK_LE(machine->runtime->largest_pinned(), std::size_t{4} << 20);
}

// Also where it would be whole pieces.
BOOST_AUTO_TEST_CASE(a_message_of_another_length_is_refused) {
  auto mib = std::size_t{1} << 20;
  for (auto [sent, expected] :
       {std::pair{8 * mib, 4 * mib}, {4 * mib, 8 * mib}, {12 * mib, 8 * mib}}) {
    fixture x;
    x.widen(2);
    auto from = x.place.allocate(sent);
    auto to = x.place.allocate(expected);
    auto codes = test::in_threads(2, [&](std::size_t rank) {
      auto until = deadline::after(20s);
      return code_of(rank == 0
                       ? x.group[0]->send(from.bytes(), rank_id{1}, 0, until)
                       : x.group[1]->recv(to.bytes(), rank_id{0}, 0, until));
    });
    BOOST_CHECK(codes[1] == errc::invalid);
  }
}

BOOST_FIXTURE_TEST_CASE(a_failure_of_the_device_ends_the_group, fixture) {
  widen(2);
  machine->runtime->fail_next("allocate_pinned",
                              comm::cuda::codes::out_of_memory);
  auto first = group[0]->broadcast(data.bytes(), rank_id{0}, ample());
  BOOST_REQUIRE(!first);
  BOOST_CHECK(first.error().code() == errc::exhausted);
  BOOST_CHECK(!group[0]->alive());
  // Every later call says the same.
  BOOST_CHECK(group[0]->barrier(ample()).error() == first.error());
  BOOST_CHECK(group[0]->send(data.bytes(), rank_id{1}, 0, ample()).error()
              == first.error());
  BOOST_CHECK(code_of(group[1]->barrier(ample())) == errc::lost);
}

BOOST_FIXTURE_TEST_CASE(a_device_that_hangs_meets_the_deadline, fixture) {
  widen(2);
  machine->runtime->hang();
  auto codes = test::in_threads(2, [&](std::size_t rank) {
    return code_of(
      rank == 0
        ? group[0]->send(data.bytes(), rank_id{1}, 0, deadline::after(50ms))
        : group[1]->recv(other.bytes(), rank_id{0}, 0, ample()));
  });
  BOOST_CHECK(codes[0] == errc::timed_out);
  BOOST_CHECK(codes[1] == errc::lost);
  BOOST_CHECK(code_of(group[0]->barrier(ample())) == errc::timed_out);
  // The copy is still under way: the communicator's end waits for it, or the
  // fixture would see a release under the device's hands.
  auto before = machine->runtime->calls("query");
  auto waited = test::in_threads(2, [&](std::size_t thread) -> int {
    if (thread == 0) {
      group[0].reset();
      return 1;
    }
    auto until = ample();
    while (machine->runtime->calls("query") < before + 100 && !until.passed())
      std::this_thread::yield();
    machine->runtime->resume();
    return until.passed() ? 0 : 1;
  });
  BOOST_CHECK(waited == std::vector<int>(2, 1));
}

BOOST_FIXTURE_TEST_CASE(abort_ends_a_wait_for_the_device, fixture) {
  widen(2);
  machine->runtime->hang();
  std::latch inside{2};
  auto start = std::chrono::steady_clock::now();
  auto before = machine->runtime->calls("query");
  auto codes = test::in_threads(2, [&](std::size_t thread) {
    inside.arrive_and_wait();
    if (thread == 0)
      return code_of(group[0]->broadcast(data.bytes(), rank_id{0}, ample()));
    auto until = ample();
    while (machine->runtime->calls("query") < before + 100 && !until.passed())
      std::this_thread::yield();
    group[0]->abort();
    return errc{};
  });
  BOOST_CHECK(codes[0] == errc::aborted);
  BOOST_CHECK(std::chrono::steady_clock::now() - start < 10s);
  BOOST_CHECK(code_of(group[0]->barrier(ample())) == errc::aborted);
  BOOST_CHECK(code_of(group[1]->barrier(ample())) == errc::lost);
  machine->runtime->resume();
}

BOOST_FIXTURE_TEST_CASE(a_dead_device_is_lost, fixture) {
  widen(2);
  machine->runtime->fail_async(comm::cuda::codes::launch_failure);
  auto codes = test::in_threads(2, [&](std::size_t rank) {
    return code_of(group[rank]->broadcast(data.bytes(), rank_id{0}, ample()));
  });
  BOOST_CHECK(codes == std::vector<errc>(2, errc::lost));
}

BOOST_AUTO_TEST_SUITE_END()
