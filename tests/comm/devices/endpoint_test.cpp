// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <chrono>

#include "comm/conformance.hpp"
#include "comm/devices/on_device.hpp"
#include "comm/devices/stand_in_beds.hpp"
#include "support/rank_threads.hpp"
#include "troupe/comm/devices/bounce_communicator.hpp"
#include "troupe/comm/nccl/communicator.hpp"

using namespace std::literals;
using namespace troupe;
using test::conformance::backend;

namespace {

/// The largest group of the suite has five ranks.
test::stand_in_devices& machine() {
  static test::stand_in_devices out{5};
  return out;
}

/// What decides how the ranks talk.
struct rank_place {
  std::uint32_t device = 0;
  bool with_nccl = true;
};

std::vector<comm::endpoint_ptr>
endpoints(const std::vector<rank_place>& places) {
  std::vector<test::device_subject> on;
  for (const auto& x : places)
    on.push_back(machine().at(x.device, x.with_nccl));
  return test::endpoints_of(on);
}

bool over_nccl(const comm::communicator_ptr& x) {
  return dynamic_cast<comm::nccl::nccl_communicator*>(x.get()) != nullptr;
}

bool over_processes(const comm::communicator_ptr& x) {
  return dynamic_cast<comm::devices::bounce_communicator*>(x.get()) != nullptr;
}

/// All ranks come to that answer, and then it works.
void check_agreed(const std::vector<rank_place>& places, bool nccl) {
  auto group = test::connect(endpoints(places));
  for (const auto& x : group) {
    BOOST_CHECK_EQUAL(over_nccl(x), nccl);
    BOOST_CHECK_EQUAL(over_processes(x), !nccl);
  }
  for (auto in_device_memory : {false, true}) {
    auto sums = test::in_threads(group.size(), [&](std::size_t rank) {
      std::vector<float> xs(3000, static_cast<float>(rank + 1));
      auto data = std::as_writable_bytes(std::span{xs});
      comm::communicator_ptr self = group[rank];
      if (in_device_memory)
        self = std::make_shared<test::on_device>(self, machine().at(
                                                         places[rank].device));
      auto done = self->all_reduce(data, dtype::float32, comm::reduce_op::sum,
                                   deadline::after(60s));
      return done ? xs : std::vector<float>{};
    });
    auto n = static_cast<float>(group.size());
    for (const auto& xs : sums)
      BOOST_CHECK(xs == std::vector<float>(3000, n * (n + 1) / 2));
  }
}

backend on(bool own_devices) {
  return {[=](std::int32_t size, const comm::collective_options&) {
    std::vector<rank_place> places;
    for (std::int32_t rank = 0; rank < size; ++rank)
      places.push_back({own_devices ? static_cast<std::uint32_t>(rank) : 0u});
    return endpoints(places);
  }};
}

const auto devices = on(true);
const auto one_device = on(false);

} // namespace

BOOST_AUTO_TEST_SUITE(devices_endpoint)

BOOST_AUTO_TEST_SUITE(a_device_each)
TROUPE_COMMUNICATOR_CONFORMANCE(devices)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(one_device_for_all)
TROUPE_COMMUNICATOR_CONFORMANCE(one_device)
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(devices_talk_to_each_other_if_all_are_distinct) {
  check_agreed({{0}}, true);
  check_agreed({{0}, {1}}, true);
  check_agreed({{3}, {1}, {4}, {0}}, true);
}

BOOST_AUTO_TEST_CASE(two_ranks_on_one_device_talk_through_their_processes) {
  auto ids = machine().nccl->calls("make_id");
  check_agreed({{0}, {0}}, false);
  check_agreed({{0}, {1}, {2}, {1}}, false);
  // Nobody would come to it.
  BOOST_CHECK_EQUAL(machine().nccl->calls("make_id"), ids);
}

BOOST_AUTO_TEST_CASE(one_rank_without_nccl_is_enough) {
  check_agreed({{0, false}}, false);
  check_agreed({{0}, {1, false}, {2}}, false);
  check_agreed({{0, false}, {1}}, false);
}

// Also what only one of the two ways would need.
BOOST_AUTO_TEST_CASE(every_byte_of_an_address_that_is_cut_off_is_missed) {
  auto ends = endpoints({{0}, {1}});
  auto other = ends[1]->address();
  for (std::size_t kept = 0; kept < other.size(); ++kept) {
    auto cut = other;
    cut.resize(kept);
    auto fresh = endpoints({{0}, {1}});
    auto made = fresh[0]->connect({fresh[0]->address(), cut},
                                  deadline::after(60s));
    BOOST_REQUIRE(!made);
    BOOST_CHECK(made.error().code() == errc::invalid);
    if (kept == 0)
      BOOST_CHECK_MESSAGE(made.error().message().find("rank 1")
                            != std::string::npos,
                          made.error().message());
  }
}

BOOST_AUTO_TEST_CASE(a_rank_that_cannot_be_widened_takes_the_group_along) {
  auto ends = endpoints({{0}, {0}});
  std::vector<bytes> addresses{ends[0]->address(), ends[1]->address()};
  machine().runtime->fail_next("create_stream",
                               comm::cuda::codes::out_of_memory);
  auto made = test::in_threads(2, [&](std::size_t rank) {
    auto x = ends[rank]->connect(addresses, deadline::after(60s));
    // The one that was fast enough learns of it here.
    auto done = x ? (*x)->barrier(deadline::after(60s)) : fail(x.error());
    return done ? errc{} : done.error().code();
  });
  std::ranges::sort(made);
  BOOST_CHECK(made == (std::vector{errc::exhausted, errc::lost}));
}

BOOST_AUTO_TEST_CASE(nothing_was_done_wrong_in_all_that) {
  test::check_clean(machine());
}

BOOST_AUTO_TEST_SUITE_END()
