// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/timed_communicator.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace troupe;
using namespace std::chrono_literals;

namespace {

/// Every operation takes two milliseconds; a broken one fails.
class slow_communicator final : public comm::communicator {
public:
  rank_id rank() const noexcept override { return rank_id{1}; }
  std::int32_t size() const noexcept override { return 3; }

  result<void> send(std::span<const std::byte>, rank_id, std::uint32_t,
                    deadline) override {
    return act("send");
  }

  result<void> recv(std::span<std::byte>, rank_id, std::uint32_t,
                    deadline) override {
    return act("recv");
  }

  result<void> broadcast(std::span<std::byte>, rank_id, deadline) override {
    return act("broadcast");
  }

  result<void> all_reduce(std::span<std::byte>, dtype, comm::reduce_op,
                          deadline) override {
    return act("all_reduce");
  }

  result<void> all_gather(std::span<const std::byte>, std::span<std::byte>,
                          deadline) override {
    return act("all_gather");
  }

  result<void> reduce_scatter(std::span<const std::byte>, std::span<std::byte>,
                              dtype, comm::reduce_op, deadline) override {
    return act("reduce_scatter");
  }

  result<void> barrier(deadline) override { return act("barrier"); }

  void abort() noexcept override { broken = true; }
  bool alive() const noexcept override { return !broken; }

  bool broken = false;
  std::vector<std::string> calls;

private:
  result<void> act(const char* what) {
    calls.emplace_back(what);
    // Busy, because a sleep may be any length.
    for (auto until = deadline::after(2ms); !until.passed();)
      continue;
    if (broken)
      return fail(errc::aborted, "broken");
    return {};
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(model_timed_communicator)

BOOST_AUTO_TEST_CASE(every_operation_is_passed_on_and_its_time_added) {
  slow_communicator inner;
  std::chrono::nanoseconds spent{};
  model::timed_communicator x{inner, spent};
  std::vector<std::byte> bytes(4);
  auto until = deadline::after(1s);
  auto sum = comm::reduce_op::sum;
  auto least = 0ms;
  auto count = [&](const result<void>& done) {
    BOOST_TEST(done.has_value());
    least += 2ms;
    BOOST_TEST((spent >= least));
  };
  count(x.send(bytes, rank_id{0}, 0, until));
  count(x.recv(bytes, rank_id{0}, 0, until));
  count(x.broadcast(bytes, rank_id{0}, until));
  count(x.all_reduce(bytes, dtype::float32, sum, until));
  count(x.all_gather(bytes, bytes, until));
  count(x.reduce_scatter(bytes, bytes, dtype::float32, sum, until));
  count(x.barrier(until));
  BOOST_TEST(inner.calls
               == (std::vector<std::string>{"send", "recv", "broadcast",
                                            "all_reduce", "all_gather",
                                            "reduce_scatter", "barrier"}),
             boost::test_tools::per_element());
  BOOST_TEST(x.rank().value() == 1);
  BOOST_TEST(x.size() == 3);
}

BOOST_AUTO_TEST_CASE(one_that_fails_took_its_time_too) {
  slow_communicator inner;
  std::chrono::nanoseconds spent{};
  model::timed_communicator x{inner, spent};
  BOOST_TEST(x.alive());
  x.abort();
  BOOST_TEST(!x.alive());
  auto got = x.barrier(deadline::after(1s));
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::aborted));
  BOOST_TEST((spent >= 2ms));
}

BOOST_AUTO_TEST_SUITE_END()
