// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstring>
#include <thread>

#include "comm/nccl/stand_in_ranks.hpp"
#include "troupe/comm/cuda/memory.hpp"

using namespace troupe;
using namespace troupe::test;
using comm::nccl::settings;

namespace {

/// The sum of everybody's number, by a communicator; -1 if it fails.
int sum_of(comm::communicator& x, int mine) {
  std::vector<std::int32_t> xs{mine};
  auto done = x.all_reduce(std::as_writable_bytes(std::span{xs}), dtype::int32,
                           comm::reduce_op::sum, ample());
  return done ? xs[0] : -1;
}

comm::communicator_ptr join(const std::vector<comm::endpoint_ptr>& all,
                            std::size_t index) {
  std::vector<bytes> addresses;
  for (const auto& x : all)
    addresses.push_back(x->address());
  return all[index]->connect(addresses, ample()).value_or(nullptr);
}

} // namespace

BOOST_AUTO_TEST_SUITE(nccl_split)

BOOST_AUTO_TEST_CASE(ranks_of_one_color_get_a_communicator) {
  stand_in_machine machine{4};
  auto group = make_group(machine, 4);
  // Ranks 0 and 2 in reversed order, 1 alone, 3 in none.
  const std::vector<std::int32_t> colors{5, 6, 5, -1};
  auto good = in_threads(4, [&](std::size_t rank) -> int {
    auto part = group[rank]->split(colors[rank], 10 - static_cast<int>(rank),
                                   ample());
    if (!part)
      return 0;
    if (rank == 3)
      return *part == nullptr ? 1 : 0;
    auto& x = **part;
    auto expected_rank = rank == 0 ? 1 : 0;
    auto expected_size = rank == 1 ? 1 : 2;
    auto sum = sum_of(x, static_cast<int>(rank) + 1);
    return x.rank() == rank_id{expected_rank} && x.size() == expected_size
               && sum == (rank == 1 ? 2 : 4) && x.barrier(ample())
             ? 1
             : 0;
  });
  BOOST_CHECK(good == std::vector<int>(4, 1));
  // The one it came from goes on.
  auto sums = in_threads(4,
                         [&](std::size_t r) { return sum_of(*group[r], 1); });
  BOOST_CHECK(sums == std::vector<int>(4, 4));
  group.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(a_split_that_somebody_misses_meets_the_deadline) {
  stand_in_machine machine{2};
  auto group = make_group(machine, 2);
  auto made = group[0]->split(0, 0, soon());
  BOOST_REQUIRE(!made);
  BOOST_CHECK(made.error().code() == errc::timed_out);
  BOOST_CHECK(!group[0]->alive());
  BOOST_CHECK(code_of(group[1]->barrier(ample())) == errc::lost);
  group.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(a_split_that_nccl_refuses_is_the_end) {
  stand_in_machine machine{2};
  auto group = make_group(machine, 2);
  machine.library->fail_next("split", comm::nccl::codes::internal_error);
  auto codes = in_threads(2, [&](std::size_t rank) {
    auto made = group[rank]->split(0, 0, ample());
    return made ? errc{} : made.error().code();
  });
  BOOST_CHECK((codes[0] == errc::internal) != (codes[1] == errc::internal));
  BOOST_CHECK((codes[0] == errc::lost) != (codes[1] == errc::lost));
  group.clear();
  machine.check_clean();
}

// -- shrink -------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(survivors_go_on_without_the_lost) {
  stand_in_machine machine{3};
  auto group = make_group(machine, 3, [](std::int32_t, settings& x) {
    x.keep_for_shrink = true;
  });
  auto codes = in_threads(3, [&](std::size_t rank) {
    if (rank == 1) {
      group[1]->abort();
      return errc{};
    }
    return code_of(group[rank]->barrier(ample()));
  });
  BOOST_CHECK(codes[0] == errc::lost);
  BOOST_CHECK(codes[2] == errc::lost);
  std::vector<comm::endpoint_ptr> ends{group[0]->shrink({rank_id{1}}).value(),
                                       group[2]->shrink({rank_id{1}}).value()};
  auto sums = in_threads(2, [&](std::size_t i) {
    auto made = join(ends, i);
    auto placed = made && made->size() == 2
                  && made->rank() == rank_id{static_cast<std::int32_t>(i)};
    return placed ? sum_of(*made, 20) : -2;
  });
  BOOST_CHECK(sums == std::vector<int>(2, 40));
  // The old one is over.
  BOOST_CHECK(!group[0]->alive());
  BOOST_CHECK(!group[0]->shrink({rank_id{1}}));
  ends.clear();
  group.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(a_healthy_group_can_shrink_too) {
  stand_in_machine machine{3};
  auto group = make_group(machine, 3);
  std::vector<comm::endpoint_ptr>
    ends{group[1]->shrink({rank_id{0}, rank_id{0}}).value(),
         group[2]->shrink({rank_id{0}}).value()};
  auto sums = in_threads(2, [&](std::size_t i) {
    auto made = join(ends, i);
    return made ? sum_of(*made, 1) : -2;
  });
  BOOST_CHECK(sums == std::vector<int>(2, 2));
  ends.clear();
  group.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(a_survivor_that_does_not_come_meets_the_deadline) {
  stand_in_machine machine{3};
  auto group = make_group(machine, 3);
  std::vector<comm::endpoint_ptr> ends{group[0]->shrink({rank_id{2}}).value(),
                                       group[1]->shrink({rank_id{2}}).value()};
  auto made = ends[0]->connect({ends[0]->address(), ends[1]->address()},
                               soon());
  BOOST_REQUIRE(!made);
  BOOST_CHECK(made.error().code() == errc::timed_out);
  BOOST_CHECK(ends[1]->connect({ends[0]->address()}, soon()).error().code()
              == errc::invalid);
  ends.clear();
  group.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(what_cannot_be_shrunk_says_why) {
  stand_in_machine old{2, {.version = 22600, .can_shrink = false}};
  auto group = make_group(old, 2);
  auto made = group[0]->shrink({rank_id{1}});
  BOOST_REQUIRE(!made);
  BOOST_CHECK(made.error().code() == errc::unavailable);
  BOOST_CHECK(made.error().message().find("2.26.0") != std::string::npos);
  stand_in_machine machine{2};
  auto other = make_group(machine, 2);
  for (auto& x : {std::vector<rank_id>{}, {rank_id{0}}, {rank_id{2}}}) {
    auto wrong = other[0]->shrink(x);
    BOOST_REQUIRE(!wrong);
    BOOST_CHECK(wrong.error().code() == errc::invalid);
  }
  other[0]->abort();
  auto ended = other[0]->shrink({rank_id{1}});
  BOOST_REQUIRE(!ended);
  BOOST_CHECK(ended.error().code() == errc::unavailable);
}

// As NCCL does it, also with NCCL_SHRINK_ABORT: an error stays an error.
BOOST_AUTO_TEST_CASE(an_error_of_nccls_own_cannot_be_shrunk_away) {
  stand_in_machine machine{3};
  auto group = make_group(machine, 3, [](std::int32_t, settings& x) {
    x.keep_for_shrink = true;
  });
  // One has it already; of the other it comes between the look and the call.
  machine.library->break_device(0, comm::nccl::codes::remote_error);
  auto refused = group[0]->shrink({rank_id{1}});
  BOOST_REQUIRE(!refused);
  BOOST_CHECK(refused.error().code() == errc::unavailable);
  BOOST_CHECK(refused.error().message().find("make a new group")
              != std::string::npos);
  std::vector<comm::endpoint_ptr> ends{group[1]->shrink({rank_id{0}}).value(),
                                       group[2]->shrink({rank_id{0}}).value()};
  machine.library->break_device(1, comm::nccl::codes::remote_error);
  auto made = in_threads(2, [&](std::size_t i) {
    auto x = ends[i]->connect({ends[0]->address(), ends[1]->address()},
                              ample());
    return x ? std::string{} : x.error().message();
  });
  BOOST_CHECK(made[0].find("make a new group") != std::string::npos);
  BOOST_CHECK(!made[1].empty());
  ends.clear();
  group.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(a_shrink_that_hangs_meets_the_deadline) {
  stand_in_machine machine{2};
  auto group = make_group(machine, 2, [](std::int32_t, settings& x) {
    x.limits = {std::chrono::milliseconds{50}, std::chrono::milliseconds{100},
                std::chrono::milliseconds{100}};
  });
  std::vector<comm::endpoint_ptr> ends{group[0]->shrink({rank_id{1}}).value()};
  machine.library->hang("shrink");
  auto made = ends[0]->connect({ends[0]->address()}, soon());
  BOOST_REQUIRE(!made);
  BOOST_CHECK(made.error().code() == errc::timed_out);
  // What it waits for stands, until it comes back.
  BOOST_CHECK_EQUAL(machine.library->calls("abort"), 0u);
  ends.clear();
  group.clear();
  machine.library->resume();
  // Its memory may be freed late, too.
  auto until = ample();
  while ((machine.library->standing() > 0 || !machine.runtime->leaks().empty())
         && !until.passed())
    std::this_thread::yield();
  machine.check_clean();
}

// -- memory -------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(registered_memory_ends_with_its_owner) {
  stand_in_machine machine{1};
  auto group = make_group(machine, 1);
  auto memory = comm::cuda::device_memory::allocate(machine.runtime, 0, 256);
  BOOST_REQUIRE(memory);
  std::span<std::byte> all{memory->data(), 256};
  {
    auto known = group[0]->register_memory(all);
    BOOST_REQUIRE(known);
    auto moved = std::move(*known);
    BOOST_CHECK_EQUAL(machine.library->calls("deregister"), 0u);
  }
  BOOST_CHECK_EQUAL(machine.library->calls("deregister"), 1u);
  // One whose communicator ended first does no harm.
  auto known = group[0]->register_memory(all);
  BOOST_REQUIRE(known);
  group[0]->abort();
  BOOST_CHECK(!group[0]->register_memory(all));
  { auto last = std::move(*known); }
  std::vector<std::byte> host(16);
  auto other = make_group(machine, 1);
  auto wrong = other[0]->register_memory(host);
  BOOST_REQUIRE(!wrong);
  BOOST_CHECK(wrong.error().code() == errc::invalid);
  other.clear();
  group.clear();
  known = fail(errc::internal, "no more");
  memory = fail(errc::internal, "no more");
  machine.check_clean();
}

BOOST_AUTO_TEST_SUITE_END()
