// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>

#include "comm/nccl/stand_in_ranks.hpp"
#include "support/random_seed.hpp"
#include "troupe/comm/nccl/launch_order.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::test;
using namespace troupe::comm::nccl;

namespace {

constexpr auto group_a = launch_group{1};
constexpr auto group_b = launch_group{2};

result<void> always() {
  return {};
}

/// Stands where the actor will: one sequence, grants delivered at once.
class local_order {
public:
  explicit local_order(std::int32_t launchers) {
    for (std::int32_t x = 0; x < launchers; ++x)
      leases_.push_back(std::make_shared<device_lease>(
        [this](const launch_request& what) { return ask(what); }));
  }

  void add(launch_group group, std::vector<launcher_id> ranks) {
    std::unique_lock lock{mutex_};
    BOOST_REQUIRE(sequence_.add(group, std::move(ranks)));
  }

  std::shared_ptr<device_lease> lease(std::int32_t x) {
    return leases_[static_cast<std::size_t>(x)];
  }

  /// False if nobody asks so often before `until`.
  bool await_asked(std::size_t count, deadline until) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, until.left(),
                             [&] { return asked_ >= count; });
  }

private:
  result<void> ask(const launch_request& what) {
    std::vector<launch_grant> grants;
    {
      std::unique_lock lock{mutex_};
      auto given = sequence_.ask(what);
      if (!given)
        return fail(given.error());
      grants = std::move(*given);
      ++asked_;
      changed_.notify_all();
    }
    for (const auto& x : grants)
      lease(x.to.value())->granted(x);
    return {};
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  launch_sequence sequence_;
  std::size_t asked_ = 0;
  std::vector<std::shared_ptr<device_lease>> leases_;
};

/// Two communicators of two ranks whose kernels share two devices.
struct two_groups {
  explicit two_groups(const stand_in_machine& on, local_order* order) {
    for (auto name : {group_a, group_b}) {
      if (order != nullptr)
        order->add(name, {launcher_id{0}, launcher_id{1}});
      groups[name] = make_group(on, 2, [&](std::int32_t rank, settings& x) {
        x.group = name;
        if (order != nullptr)
          x.gate = order->lease(rank);
      });
    }
  }

  /// Rank 0 comes to A first, rank 1 to B; `next` waits until both have.
  template <class Next>
  std::vector<errc> in_opposite_orders(deadline until, Next next) {
    return in_threads(4, [&](std::size_t i) {
      auto rank = i / 2;
      auto first = i % 2 == 0;
      if (!first && !next(rank))
        return errc::internal;
      auto name = (rank == 0) == first ? group_a : group_b;
      std::vector<std::byte> xs(64);
      return code_of(groups[name][rank]->all_reduce(xs, dtype::float32,
                                                    comm::reduce_op::sum,
                                                    until));
    });
  }

  std::map<launch_group, nccl_group> groups;
};

} // namespace

BOOST_AUTO_TEST_SUITE(nccl_launch_order)

BOOST_AUTO_TEST_CASE(a_group_is_granted_when_all_its_ranks_have_asked) {
  launch_sequence order;
  BOOST_REQUIRE(order.add(group_a, {launcher_id{7}, launcher_id{8}}));
  BOOST_CHECK(order.ask({group_a, rank_id{1}, {}}).value().empty());
  auto grants = order.ask({group_a, rank_id{0}, {}}).value();
  BOOST_REQUIRE_EQUAL(grants.size(), 2u);
  BOOST_CHECK(
    (grants[0] == launch_grant{launcher_id{7}, group_a, rank_id{0}, 0}));
  BOOST_CHECK(
    (grants[1] == launch_grant{launcher_id{8}, group_a, rank_id{1}, 0}));
}

BOOST_AUTO_TEST_CASE(a_message_needs_its_two_ends_only) {
  launch_sequence order;
  BOOST_REQUIRE(
    order.add(group_a, {launcher_id{0}, launcher_id{1}, launcher_id{2}}));
  BOOST_CHECK(order.ask({group_a, rank_id{2}, rank_id{0}}).value().empty());
  BOOST_CHECK(order.ask({group_a, rank_id{1}, {}}).value().empty());
  auto grants = order.ask({group_a, rank_id{0}, rank_id{2}}).value();
  BOOST_REQUIRE_EQUAL(grants.size(), 2u);
  BOOST_CHECK(grants[0].to == launcher_id{0});
  BOOST_CHECK(grants[1].to == launcher_id{2});
}

BOOST_AUTO_TEST_CASE(requests_without_sense_are_refused) {
  launch_sequence order;
  BOOST_CHECK(!order.add(group_a, {}));
  BOOST_REQUIRE(order.add(group_a, {launcher_id{0}, launcher_id{1}}));
  BOOST_CHECK(!order.add(group_a, {launcher_id{0}}));
  BOOST_CHECK(!order.ask({group_b, rank_id{0}, {}}));
  BOOST_CHECK(!order.ask({group_a, rank_id{2}, {}}));
  BOOST_CHECK(!order.ask({group_a, rank_id{0}, rank_id{0}}));
  BOOST_CHECK(!order.ask({group_a, rank_id{0}, rank_id{-1}}));
  BOOST_REQUIRE(order.ask({group_a, rank_id{0}, {}}));
  BOOST_CHECK(!order.ask({group_a, rank_id{0}, {}}));
  // What a dead group asked for is forgotten.
  order.remove(group_a);
  BOOST_REQUIRE(order.add(group_a, {launcher_id{0}, launcher_id{1}}));
  BOOST_CHECK(order.ask({group_a, rank_id{1}, {}}).value().empty());
}

// Whatever order the requests come in, no two launchers see two operations in
// opposite orders.
BOOST_AUTO_TEST_CASE(all_launchers_see_one_order) {
  auto seed = random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 generator{seed};
  constexpr std::int32_t launchers = 4;
  const std::vector<std::vector<std::int32_t>> groups{{0, 1, 2, 3},
                                                      {2, 0},
                                                      {3, 1, 0},
                                                      {1, 2}};
  launch_sequence order;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    std::vector<launcher_id> ranks;
    for (auto x : groups[g])
      ranks.push_back(launcher_id{x});
    BOOST_REQUIRE(order.add(launch_group{g}, ranks));
  }
  // Each rank asks again as soon as it is granted.
  struct asker {
    std::size_t group;
    std::int32_t rank;
    std::uint32_t rounds = 0;
  };
  std::vector<asker> idle;
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (std::size_t r = 0; r < groups[g].size(); ++r)
      idle.push_back({g, static_cast<std::int32_t>(r)});
  std::map<std::int32_t, std::vector<std::pair<std::size_t, std::uint32_t>>>
    seen;
  std::map<std::pair<std::size_t, std::int32_t>, std::uint32_t> rounds;
  for (std::uint32_t turn = 0; turn < 2000 && !idle.empty(); ++turn) {
    std::swap(idle[generator() % idle.size()], idle.back());
    auto who = idle.back();
    idle.pop_back();
    auto grants = order.ask({launch_group{who.group}, rank_id{who.rank}, {}});
    BOOST_REQUIRE(grants);
    for (const auto& x : *grants) {
      auto& list = seen[x.to.value()];
      BOOST_CHECK_EQUAL(x.number, list.size());
      auto g = static_cast<std::size_t>(x.group.value());
      list.push_back({g, rounds[{g, x.rank.value()}]++});
      idle.push_back({g, x.rank.value()});
    }
  }
  for (std::int32_t a = 0; a < launchers; ++a)
    for (std::int32_t b = 0; b < a; ++b) {
      std::vector<std::pair<std::size_t, std::uint32_t>> left;
      std::vector<std::pair<std::size_t, std::uint32_t>> right;
      for (const auto& x : seen[a])
        if (std::count(seen[b].begin(), seen[b].end(), x) > 0)
          left.push_back(x);
      for (const auto& x : seen[b])
        if (std::count(seen[a].begin(), seen[a].end(), x) > 0)
          right.push_back(x);
      BOOST_CHECK(!left.empty());
      BOOST_CHECK(left == right);
    }
}

// -- device_lease -------------------------------------------------------------

BOOST_AUTO_TEST_CASE(grants_are_passed_by_number) {
  launch_request a{group_a, rank_id{0}, {}};
  launch_request b{group_b, rank_id{0}, {}};
  std::atomic<int> asked{0};
  device_lease* self = nullptr;
  // Once both have asked, the grants come in the wrong order.
  device_lease lease{[&](const launch_request&) {
    if (++asked == 2) {
      self->granted({launcher_id{0}, group_b, rank_id{0}, 1});
      self->granted({launcher_id{0}, group_a, rank_id{0}, 0});
    }
    return result<void>{};
  }};
  self = &lease;
  std::atomic<bool> a_was_in{false};
  auto good = in_threads(2, [&](std::size_t i) -> int {
    const auto& mine = i == 0 ? a : b;
    if (!lease.enter(mine, ample(), always))
      return 0;
    auto in_order = i == 0 || a_was_in;
    if (i == 0)
      a_was_in = true;
    lease.leave(mine);
    return in_order ? 1 : 0;
  });
  BOOST_CHECK(good == std::vector<int>(2, 1));
}

BOOST_AUTO_TEST_CASE(a_caller_that_gives_up_leaves_no_hole) {
  std::uint64_t next = 2;
  auto prompt = false;
  device_lease* self = nullptr;
  device_lease lease{[&](const launch_request& x) {
    if (prompt)
      self->granted({launcher_id{0}, x.group, x.rank, next++});
    return result<void>{};
  }};
  self = &lease;
  launch_request a{group_a, rank_id{0}, {}};
  launch_request b{group_b, rank_id{0}, {}};
  BOOST_CHECK(code_of(lease.enter(a, deadline::after(20ms), always))
              == errc::timed_out);
  // Not answered yet: a second request would be taken for the first.
  BOOST_CHECK(code_of(lease.enter(a, soon(), always)) == errc::invalid);
  auto unwanted = [] { return result<void>{fail(errc::aborted, "enough")}; };
  BOOST_CHECK(code_of(lease.enter(b, ample(), unwanted)) == errc::aborted);
  lease.granted({launcher_id{0}, group_b, rank_id{0}, 1});
  lease.granted({launcher_id{0}, group_a, rank_id{0}, 0});
  prompt = true;
  for (auto i = 0; i < 3; ++i) {
    BOOST_CHECK(lease.enter(a, ample(), always));
    lease.leave(a);
  }
  // Granted, but not its turn: the number before it never comes.
  next = 6;
  BOOST_CHECK(code_of(lease.enter(a, deadline::after(20ms), always))
              == errc::timed_out);
  lease.granted({launcher_id{0}, group_b, rank_id{0}, 5});
  BOOST_CHECK(lease.enter(a, ample(), always));
  lease.leave(a);
}

BOOST_AUTO_TEST_CASE(a_request_that_cannot_be_made_is_reported) {
  device_lease lease{[](const launch_request&) {
    return result<void>{fail(errc::unavailable, "no actor")};
  }};
  launch_request a{group_a, rank_id{0}, {}};
  for (auto i = 0; i < 2; ++i)
    BOOST_CHECK(code_of(lease.enter(a, ample(), always)) == errc::unavailable);
}

BOOST_AUTO_TEST_CASE(a_group_that_is_taken_out_ends_its_waits) {
  device_lease* self = nullptr;
  device_lease lease{[&](const launch_request& x) {
    self->forget(x.group);
    return result<void>{};
  }};
  self = &lease;
  launch_request a{group_a, rank_id{0}, {}};
  for (auto i = 0; i < 2; ++i)
    BOOST_CHECK(code_of(lease.enter(a, ample(), always)) == errc::lost);
}

// -- communicators --------------------------------------------------------------

// Shows that the stand-in models what the gate is for.
BOOST_AUTO_TEST_CASE(opposite_orders_without_a_gate_hang) {
  stand_in_machine machine{2, {.one_kernel_at_a_time = true}};
  two_groups pair{machine, nullptr};
  auto codes = pair.in_opposite_orders(deadline::after(500ms), [&](std::size_t
                                                                     rank) {
    return machine.library->await_launches(static_cast<std::int32_t>(rank), 1,
                                           ample());
  });
  BOOST_CHECK_GE(std::count(codes.begin(), codes.end(), errc::timed_out), 1);
  BOOST_CHECK_EQUAL(std::count(codes.begin(), codes.end(), errc{}), 0);
  pair.groups.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(opposite_orders_through_the_gate_finish) {
  stand_in_machine machine{2, {.one_kernel_at_a_time = true}};
  local_order order{2};
  two_groups pair{machine, &order};
  auto codes = pair.in_opposite_orders(ample(), [&](std::size_t) {
    // Both ranks have asked, for different groups.
    return order.await_asked(2, ample());
  });
  BOOST_CHECK(codes == std::vector<errc>(4, errc{}));
  pair.groups.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(a_wait_at_the_gate_ends_with_the_communicator) {
  stand_in_machine machine{2, {.one_kernel_at_a_time = true}};
  local_order order{2};
  two_groups pair{machine, &order};
  auto& a = pair.groups[group_a];
  BOOST_CHECK(code_of(a[0]->barrier(deadline::after(20ms))) == errc::timed_out);
  BOOST_CHECK(code_of(a[1]->barrier(ample())) == errc::lost);
  auto& b = pair.groups[group_b];
  auto codes = in_threads(2, [&](std::size_t i) {
    if (i == 0)
      return code_of(b[0]->barrier(ample()));
    // The third request of all, after those of A.
    auto asked = order.await_asked(2, ample());
    b[0]->abort();
    return asked ? errc{} : errc::internal;
  });
  BOOST_CHECK(codes[0] == errc::aborted);
  pair.groups.clear();
  machine.check_clean();
}

BOOST_AUTO_TEST_SUITE_END()
