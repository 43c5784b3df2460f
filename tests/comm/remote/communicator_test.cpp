// SPDX-License-Identifier: Apache-2.0
// What remote_ranks promises: the suite that drives all ranks from one process
// says of ranks in many what it says of ranks in one.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <latch>
#include <string>
#include <vector>

#include "comm/conformance.hpp"
#include "support/rank_threads.hpp"
#include "support/remote_ranks.hpp"
#include "troupe/comm/gloo/factory.hpp"

using namespace std::literals;
using namespace troupe;

namespace {

deadline ample() {
  return deadline::after(60s);
}

result<comm::endpoint_ptr>
make_gloo(rank_id rank, std::int32_t size,
          const comm::collective_options& collectives) {
  comm::gloo::endpoint_options options;
  options.collectives = collectives;
  return comm::gloo::make_endpoint(rank, size, options);
}

/// The suite's largest group has five ranks. The processes stand as long as the
/// suite runs, and no longer: other tests fork, which is for a program without
/// threads.
struct gloo_processes {
  gloo_processes() { here = &all; }

  ~gloo_processes() { here = nullptr; }

  test::remote_ranks all{5, make_gloo};
  static inline test::remote_ranks* here = nullptr;
};

const test::conformance::backend subject{
  [](std::int32_t size, const comm::collective_options& collectives) {
    return gloo_processes::here->make_endpoints(size, collectives);
  }};

test::conformance::backend backend_of(test::remote_ranks& ranks) {
  return {[&ranks](std::int32_t size, const comm::collective_options& options) {
    return ranks.make_endpoints(size, options);
  }};
}

errc code_of(const result<void>& x) {
  return x ? errc{} : x.error().code();
}

/// Writes to memory when it may not: half of what it receives although it
/// fails, and one byte more when it ends.
class careless_communicator final : public comm::communicator {
public:
  ~careless_communicator() override {
    if (!borrowed_.empty())
      borrowed_.back() = std::byte{9};
  }

  rank_id rank() const noexcept override { return rank_id{0}; }

  std::int32_t size() const noexcept override { return 1; }

  result<void> send(std::span<const std::byte>, rank_id, std::uint32_t,
                    deadline) override {
    return {};
  }

  result<void> recv(std::span<std::byte> data, rank_id, std::uint32_t,
                    deadline) override {
    borrowed_ = data;
    for (auto& x : data.first(data.size() / 2))
      x = std::byte{8};
    return fail(errc::corrupt, "said by the real one");
  }

  result<void> broadcast(std::span<std::byte>, rank_id, deadline) override {
    return {};
  }

  result<void> all_reduce(std::span<std::byte>, dtype, comm::reduce_op,
                          deadline) override {
    return {};
  }

  result<void> all_gather(std::span<const std::byte>, std::span<std::byte>,
                          deadline) override {
    return {};
  }

  result<void> reduce_scatter(std::span<const std::byte>, std::span<std::byte>,
                              dtype, comm::reduce_op, deadline) override {
    return {};
  }

  result<void> barrier(deadline until) override {
    // As the test's: what is left has come over.
    return until.left() > 50s && until.left() <= 60s
             ? result<void>{}
             : fail(errc::internal, "another deadline");
  }

  void abort() noexcept override {}

  bool alive() const noexcept override { return true; }

private:
  std::span<std::byte> borrowed_;
};

class careless_endpoint final : public comm::endpoint {
public:
  const bytes& address() const noexcept override { return address_; }

  result<comm::communicator_ptr> connect(const std::vector<bytes>&,
                                         deadline) override {
    return std::make_shared<careless_communicator>();
  }

  void abort() noexcept override {}

private:
  const bytes address_{};
};

} // namespace

BOOST_AUTO_TEST_SUITE(remote_communicator)

BOOST_AUTO_TEST_SUITE(over_gloo, *boost::unit_test::fixture<gloo_processes>())

TROUPE_COMMUNICATOR_CONFORMANCE(subject)

BOOST_AUTO_TEST_CASE(nobody_wrote_to_memory_of_a_failed_call) {
  BOOST_CHECK_EQUAL(gloo_processes::here->late_writes(), 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(a_rank_killed_in_a_barrier_is_lost) {
  test::remote_ranks ranks{3, make_gloo};
  auto group = test::conformance::connect_all(backend_of(ranks), 3);
  std::latch inside{3};
  auto start = std::chrono::steady_clock::now();
  // Rank 0 never comes, so the others are in it until they hear of the death.
  auto outcomes = test::in_threads(3, [&](std::size_t rank) -> result<void> {
    inside.arrive_and_wait();
    if (rank != 0)
      return group[rank]->barrier(ample());
    ranks.signal(1, SIGKILL);
    return {};
  });
  BOOST_REQUIRE(!outcomes[1]);
  BOOST_CHECK(outcomes[1].error().code() == errc::lost);
  BOOST_CHECK_EQUAL(outcomes[1].error().message(),
                    "the process of rank 1 is gone");
  BOOST_CHECK(code_of(outcomes[2]) == errc::lost);
  BOOST_CHECK(!group[1]->alive());
  BOOST_CHECK(!group[2]->alive());
  BOOST_CHECK(code_of(group[0]->barrier(ample())) == errc::lost);
  BOOST_CHECK(code_of(group[1]->barrier(ample())) == errc::lost);
  group[1]->abort();
  BOOST_CHECK(!ranks.make_endpoint(rank_id{1}, 2));
  group.clear();
  // The others serve on.
  BOOST_CHECK(ranks.make_endpoint(rank_id{2}, 3));
  BOOST_CHECK(std::chrono::steady_clock::now() - start < 20s);
}

BOOST_AUTO_TEST_CASE(proxies_outlive_their_processes) {
  std::vector<comm::communicator_ptr> group;
  {
    test::remote_ranks ranks{2, make_gloo};
    group = test::conformance::connect_all(backend_of(ranks), 2);
  }
  BOOST_CHECK(code_of(group[0]->barrier(ample())) == errc::lost);
  BOOST_CHECK(!group[1]->alive());
}

BOOST_AUTO_TEST_CASE(errors_of_the_maker_come_over) {
  test::remote_ranks ranks{2, make_gloo};
  auto made = ranks.make_endpoint(rank_id{1}, 1);
  auto here = make_gloo(rank_id{1}, 1, {});
  BOOST_REQUIRE(!made);
  BOOST_REQUIRE(!here);
  BOOST_CHECK(made.error() == here.error());
}

// The suite says "memory is left alone": it can only be seen to be wrong if
// what a real object does wrong shows here.
BOOST_AUTO_TEST_CASE(wrong_writes_show) {
  test::remote_ranks ranks{1, [](rank_id, std::int32_t,
                                 const comm::collective_options&) {
                             return result<comm::endpoint_ptr>{
                               std::make_shared<careless_endpoint>()};
                           }};
  auto group = test::conformance::connect_all(backend_of(ranks), 1);
  BOOST_CHECK(group[0]->barrier(ample()));
  std::vector<std::byte> memory(64, std::byte{7});
  auto done = group[0]->recv(memory, rank_id{0}, 0, ample());
  BOOST_REQUIRE(!done);
  BOOST_CHECK(done.error() == (error{errc::corrupt, "said by the real one"}));
  std::vector<std::byte> half_written(64, std::byte{7});
  std::fill_n(half_written.begin(), 32, std::byte{8});
  BOOST_CHECK(memory == half_written);
  BOOST_CHECK_EQUAL(ranks.late_writes(), 0u);
  group.clear();
  BOOST_CHECK_EQUAL(ranks.late_writes(), 1u);
  BOOST_CHECK(memory == half_written);
}

BOOST_AUTO_TEST_SUITE_END()
