// SPDX-License-Identifier: Apache-2.0
#include "comm/conformance.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <latch>
#include <limits>
#include <random>
#include <string>

#include <boost/test/unit_test.hpp>
#include <fmt/core.h>

#include "support/random_seed.hpp"
#include "support/rank_threads.hpp"

using namespace std::literals;

namespace troupe::test::conformance {

namespace {

using comm::collective_options;
using comm::communicator;
using comm::communicator_ptr;
using comm::reduce_op;

/// Long enough for any machine; a test that needs it has failed.
deadline ample() {
  return deadline::after(60s);
}

/// Generous: what is asserted is that nobody waited for `ample`.
constexpr auto at_once = 10s;

std::span<const std::byte> const_bytes(const auto& xs) {
  return std::as_bytes(std::span{xs});
}

std::span<std::byte> mutable_bytes(auto& xs) {
  return std::as_writable_bytes(std::span{xs});
}

std::int32_t as_rank(std::size_t x) {
  return static_cast<std::int32_t>(x);
}

/// Small integers: every partial sum over 5 ranks is exact even in bfloat16.
std::int32_t input(std::size_t rank, std::size_t i) {
  return static_cast<std::int32_t>((rank + 1) * (i % 7 + 1));
}

std::int32_t expected(std::size_t ranks, std::size_t i, reduce_op op) {
  auto unit = static_cast<std::int32_t>(i % 7 + 1);
  auto n = as_rank(ranks);
  switch (op) {
    case reduce_op::sum: return n * (n + 1) / 2 * unit;
    case reduce_op::max: return n * unit;
    default: return unit;
  }
}

template <class T>
T element(std::int32_t x) {
  return T(static_cast<float>(x));
}

template <>
std::int32_t element<std::int32_t>(std::int32_t x) {
  return x;
}

template <>
std::int64_t element<std::int64_t>(std::int32_t x) {
  return x;
}

template <class T>
std::vector<T> inputs(std::size_t rank, std::size_t count,
                      std::size_t offset = 0) {
  std::vector<T> xs;
  for (std::size_t i = 0; i < count; ++i)
    xs.push_back(element<T>(input(rank, offset + i)));
  return xs;
}

/// The first thing that is not as it should be, or nothing.
using finding = std::string;

#define REPORT_UNLESS(condition) \
  if (!(condition))              \
  return fmt::format("line {}: {}", __LINE__, #condition)

#define REPORT_FAILURE(expression)           \
  if (auto outcome = (expression); !outcome) \
  return fmt::format("line {}: {}", __LINE__, to_string(outcome.error()))

template <class T>
finding collectives_of(communicator& self, std::size_t count) {
  auto rank = static_cast<std::size_t>(self.rank().value());
  auto ranks = static_cast<std::size_t>(self.size());
  for (std::size_t root = 0; root < ranks; ++root) {
    auto xs = inputs<T>(rank, count);
    REPORT_FAILURE(
      self.broadcast(mutable_bytes(xs), rank_id{as_rank(root)}, ample()));
    REPORT_UNLESS(xs == inputs<T>(root, count));
  }
  for (auto op : {reduce_op::sum, reduce_op::max, reduce_op::min}) {
    auto xs = inputs<T>(rank, count);
    REPORT_FAILURE(
      self.all_reduce(mutable_bytes(xs), dtype_of_v<T>, op, ample()));
    for (std::size_t i = 0; i < count; ++i)
      REPORT_UNLESS(xs[i] == element<T>(expected(ranks, i, op)));
    auto all = inputs<T>(rank, count * ranks);
    std::vector<T> part(count);
    REPORT_FAILURE(self.reduce_scatter(const_bytes(all), mutable_bytes(part),
                                       dtype_of_v<T>, op, ample()));
    for (std::size_t i = 0; i < count; ++i)
      REPORT_UNLESS(part[i]
                    == element<T>(expected(ranks, rank * count + i, op)));
  }
  auto xs = inputs<T>(rank, count);
  std::vector<T> all(count * ranks);
  REPORT_FAILURE(self.all_gather(const_bytes(xs), mutable_bytes(all), ample()));
  for (std::size_t r = 0; r < ranks; ++r) {
    auto theirs = inputs<T>(r, count);
    REPORT_UNLESS(
      std::equal(theirs.begin(), theirs.end(),
                 all.begin() + static_cast<std::ptrdiff_t>(r * count)));
  }
  REPORT_FAILURE(self.barrier(ample()));
  REPORT_UNLESS(self.alive());
  return {};
}

void check_findings(const std::vector<finding>& findings) {
  for (std::size_t rank = 0; rank < findings.size(); ++rank)
    BOOST_CHECK_MESSAGE(findings[rank].empty(),
                        "rank " << rank << ": " << findings[rank]);
}

/// Code of an operation that must have failed.
errc code_of(const result<void>& x) {
  return x ? errc{} : x.error().code();
}

} // namespace

std::vector<communicator_ptr> connect_all(const backend& with,
                                          std::int32_t size,
                                          const collective_options& options) {
  auto endpoints = with.make_endpoints(size, options);
  std::vector<bytes> addresses;
  for (const auto& x : endpoints)
    addresses.push_back(x->address());
  auto made = in_threads(endpoints.size(), [&](std::size_t rank) {
    return endpoints[rank]->connect(addresses, ample()).value_or(nullptr);
  });
  for (const auto& x : made)
    BOOST_REQUIRE(x);
  return made;
}

void send_and_recv_move_bytes(const backend& with) {
  auto group = connect_all(with, 3);
  const std::vector<std::size_t> counts{0, 1, 7, 4099, 3000001};
  check_findings(in_threads(3, [&](std::size_t rank) -> finding {
    auto& self = *group[rank];
    auto left = rank_id{as_rank((rank + 2) % 3)};
    auto right = rank_id{as_rank((rank + 1) % 3)};
    std::uint32_t tag = 0xfffffff0;
    for (auto count : counts) {
      ++tag;
      auto mine = inputs<std::int32_t>(rank, count);
      std::vector<std::int32_t> theirs(count);
      // Sends wait for their receive: somebody must begin with receiving.
      if (rank == 0)
        REPORT_FAILURE(self.send(const_bytes(mine), right, tag, ample()));
      REPORT_FAILURE(self.recv(mutable_bytes(theirs), left, tag, ample()));
      if (rank != 0)
        REPORT_FAILURE(self.send(const_bytes(mine), right, tag, ample()));
      REPORT_UNLESS(
        theirs
        == inputs<std::int32_t>(static_cast<std::size_t>(left.value()), count));
    }
    return {};
  }));
}

void collectives_follow_their_formulas(const backend& with) {
  for (std::int32_t size = 1; size <= 5; ++size)
    for (auto options :
         {collective_options{},
          collective_options{.segment_bytes = 1000, .tree_bytes = 64}}) {
      auto group = connect_all(with, size, options);
      check_findings(in_threads(group.size(), [&](std::size_t rank) {
        finding found;
        auto& self = *group[rank];
        for (std::size_t count : {0u, 1u, 7u, 1000u, 6007u}) {
          if (found.empty())
            found = collectives_of<float>(self, count);
          if (found.empty())
            found = collectives_of<bfloat16>(self, count);
        }
        if (found.empty())
          found = collectives_of<double>(self, 999);
        if (found.empty())
          found = collectives_of<std::int32_t>(self, 999);
        if (found.empty())
          found = collectives_of<std::int64_t>(self, 999);
        return found;
      }));
    }
}

void ranks_get_identical_bits(const backend& with) {
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 generator{seed};
  std::normal_distribution<float> normal{0, 1e3f};
  std::vector<std::vector<float>> data(4, std::vector<float>(10007));
  for (auto& xs : data)
    for (auto& x : xs)
      x = normal(generator);
  auto reduce = [&](const collective_options& options) {
    auto group = connect_all(with, 4, options);
    auto reduced = in_threads(4, [&](std::size_t rank) {
      auto xs = data[rank];
      auto done = group[rank]->all_reduce(mutable_bytes(xs), dtype::float32,
                                          reduce_op::sum, ample());
      return done ? xs : std::vector<float>{};
    });
    for (const auto& xs : reduced)
      BOOST_CHECK(xs == reduced[0]);
    return reduced[0];
  };
  auto once = reduce({});
  BOOST_CHECK_EQUAL(once.size(), data[0].size());
  BOOST_CHECK(once == reduce({}));
  // How the way is cut into messages must not show.
  BOOST_CHECK(once == reduce({.segment_bytes = 512}));
}

void bfloat16_is_rounded_once(const backend& with) {
  // 256 + 1 is 256 in bfloat16, but 256 + 1 + 1 is 258.
  for (auto count : {1u, 30000u}) {
    auto group = connect_all(with, 3);
    auto reduced = in_threads(3, [&](std::size_t rank) {
      std::vector<bfloat16> xs(count, bfloat16{rank == 0 ? 256.f : 1.f});
      auto done = group[rank]->all_reduce(mutable_bytes(xs), dtype::bfloat16,
                                          reduce_op::sum, ample());
      return done ? xs : std::vector<bfloat16>{};
    });
    for (const auto& xs : reduced)
      BOOST_CHECK(xs == std::vector<bfloat16>(count, bfloat16{258.f}));
  }
}

void max_and_min_let_nan_through(const backend& with) {
  for (auto op : {reduce_op::max, reduce_op::min})
    for (std::size_t culprit = 0; culprit < 3; ++culprit) {
      auto group = connect_all(with, 3);
      auto reduced = in_threads(3, [&](std::size_t rank) {
        std::vector<float> xs{1.f, rank == culprit
                                     ? std::numeric_limits<float>::quiet_NaN()
                                     : 2.f};
        auto done = group[rank]->all_reduce(mutable_bytes(xs), dtype::float32,
                                            op, ample());
        return done ? xs : std::vector<float>{};
      });
      for (const auto& xs : reduced) {
        BOOST_REQUIRE_EQUAL(xs.size(), 2u);
        BOOST_CHECK_EQUAL(xs[0], 1.f);
        BOOST_CHECK(std::isnan(xs[1]));
      }
    }
}

void wrong_arguments_kill(const backend& with) {
  std::array<std::byte, 6> odd{};
  std::array<std::byte, 8> even{};
  auto f32 = dtype::float32;
  const std::vector<std::function<result<void>(communicator&)>> calls{
    [&](auto& x) { return x.send(odd, rank_id{0}, 0, ample()); },
    [&](auto& x) { return x.send(odd, rank_id{2}, 0, ample()); },
    [&](auto& x) { return x.recv(odd, rank_id{-1}, 0, ample()); },
    [&](auto& x) { return x.broadcast(odd, rank_id{2}, ample()); },
    [&](auto& x) { return x.all_reduce(odd, f32, reduce_op::sum, ample()); },
    [&](auto& x) {
      return x.all_reduce(even, dtype::boolean, reduce_op::sum, ample());
    },
    [&](auto& x) {
      return x.all_reduce(even, dtype{99}, reduce_op::sum, ample());
    },
    [&](auto& x) { return x.all_gather(odd, even, ample()); },
    [&](auto& x) {
      return x.reduce_scatter(odd, even, f32, reduce_op::sum, ample());
    },
  };
  for (const auto& call : calls) {
    auto group = connect_all(with, 2);
    BOOST_CHECK(code_of(call(*group[0])) == errc::invalid);
    BOOST_CHECK(!group[0]->alive());
    BOOST_CHECK(code_of(group[0]->barrier(ample())) == errc::invalid);
    // The peer does not wait for somebody who will never come.
    BOOST_CHECK(code_of(group[1]->barrier(ample())) == errc::lost);
  }
}

void unexpected_sizes_fail(const backend& with) {
  for (auto sizes : {std::pair{8u, 16u}, std::pair{16u, 8u}}) {
    auto group = connect_all(with, 2);
    auto until = deadline::after(300ms);
    std::vector<std::byte> received(sizes.second);
    auto codes = in_threads(2, [&](std::size_t rank) {
      std::vector<std::byte> sent(sizes.first, std::byte{1});
      auto& self = *group[rank];
      return code_of(rank == 0 ? self.send(sent, rank_id{1}, 5, until)
                               : self.recv(received, rank_id{0}, 5, until));
    });
    for (auto code : codes)
      BOOST_CHECK_MESSAGE(code == errc::invalid || code == errc::timed_out
                            || code == errc::lost,
                          to_string(code));
    BOOST_CHECK(received == std::vector<std::byte>(sizes.second));
  }
}

void passed_deadline_kills(const backend& with) {
  std::vector<std::byte> memory(64);
  auto f32 = dtype::float32;
  const std::vector<std::function<result<void>(communicator&, deadline)>> calls{
    [&](auto& x, auto t) { return x.send(memory, rank_id{1}, 0, t); },
    [&](auto& x, auto t) { return x.recv(memory, rank_id{1}, 0, t); },
    [&](auto& x, auto t) { return x.broadcast(memory, rank_id{0}, t); },
    [&](auto& x, auto t) {
      return x.all_reduce(memory, f32, reduce_op::sum, t);
    },
    [&](auto& x, auto t) { return x.barrier(t); },
  };
  for (const auto& call : calls) {
    auto group = connect_all(with, 2);
    BOOST_CHECK(code_of(call(*group[0], deadline::after(20ms)))
                == errc::timed_out);
    BOOST_CHECK(!group[0]->alive());
    // Later calls fail at once with the first error, and abort changes nothing.
    group[0]->abort();
    auto start = std::chrono::steady_clock::now();
    BOOST_CHECK(code_of(call(*group[0], ample())) == errc::timed_out);
    BOOST_CHECK(code_of(group[0]->barrier(ample())) == errc::timed_out);
    BOOST_CHECK(code_of(group[1]->barrier(ample())) == errc::lost);
    BOOST_CHECK(std::chrono::steady_clock::now() - start < at_once);
  }
}

void failed_receive_leaves_memory_alone(const backend& with) {
  auto group = connect_all(with, 2);
  std::vector<std::byte> target(1 << 16, std::byte{7});
  BOOST_CHECK(
    code_of(group[0]->recv(target, rank_id{1}, 0, deadline::after(20ms)))
    == errc::timed_out);
  std::vector<std::byte> late(1 << 16, std::byte{9});
  BOOST_CHECK(code_of(group[1]->send(late, rank_id{0}, 0, ample()))
              == errc::lost);
  group.clear();
  BOOST_CHECK(target == std::vector<std::byte>(1 << 16, std::byte{7}));
}

void abort_wakes_every_waiter(const backend& with) {
  // Rank 0 never comes, so all others wait for somebody.
  for (auto everybody : {false, true}) {
    auto group = connect_all(with, 4);
    std::latch inside{4};
    auto start = std::chrono::steady_clock::now();
    auto codes = in_threads(4, [&](std::size_t rank) {
      inside.arrive_and_wait();
      if (rank != 0)
        return code_of(group[rank]->barrier(ample()));
      for (std::size_t x = 1; x < (everybody ? 4u : 2u); ++x)
        group[x]->abort();
      return errc{};
    });
    BOOST_CHECK(std::chrono::steady_clock::now() - start < at_once);
    for (std::size_t rank = 1; rank < 4; ++rank) {
      auto own = codes[rank] == errc::aborted;
      auto other = codes[rank] == errc::lost;
      BOOST_CHECK_MESSAGE(rank == 1 || everybody ? own || other : other,
                          "rank " << rank << ": " << to_string(codes[rank]));
      BOOST_CHECK(!group[rank]->alive());
    }
    BOOST_CHECK(codes[1] == errc::aborted);
    group[0]->abort();
    group[0]->abort();
    BOOST_CHECK(code_of(group[0]->barrier(ample())) == errc::aborted);
  }
}

void abort_in_a_large_transfer_ends_it(const backend& with) {
  auto group = connect_all(with, 2);
  std::latch inside{3};
  auto codes = in_threads(3, [&](std::size_t rank) {
    std::vector<float> xs(rank < 2 ? 1 << 22 : 0, 1.f);
    inside.arrive_and_wait();
    if (rank == 2) {
      group[0]->abort();
      return errc{};
    }
    // As often as it takes for the abort to meet one half-way.
    for (;;) {
      auto done = group[rank]->all_reduce(mutable_bytes(xs), dtype::float32,
                                          reduce_op::max, ample());
      if (!done)
        return done.error().code();
    }
  });
  BOOST_CHECK(codes[0] == errc::aborted);
  BOOST_CHECK(codes[1] == errc::lost);
}

void dropped_communicator_is_lost(const backend& with) {
  auto group = connect_all(with, 3);
  auto codes = in_threads(3, [&](std::size_t rank) {
    if (rank == 2) {
      group[2].reset();
      return errc::lost;
    }
    return code_of(group[rank]->barrier(ample()));
  });
  for (auto code : codes)
    BOOST_CHECK(code == errc::lost);
}

// -- endpoint -----------------------------------------------------------------

void malformed_addresses_are_invalid(const backend& with) {
  auto fails = [&](auto change) {
    auto endpoints = with.make_endpoints(2, {});
    std::vector<bytes> addresses{endpoints[0]->address(),
                                 endpoints[1]->address()};
    change(addresses);
    auto made = endpoints[0]->connect(addresses, ample());
    BOOST_REQUIRE(!made);
    BOOST_CHECK(made.error().code() == errc::invalid);
  };
  fails([](auto& xs) { xs.pop_back(); });
  fails([](auto& xs) { xs.push_back(xs[1]); });
  fails([](auto& xs) { xs[1].clear(); });
  fails([](auto& xs) { xs[1].push_back(std::byte{0}); });
  fails([](auto& xs) { xs[1].assign(1000, std::byte{0xff}); });
  fails([](auto& xs) { std::swap(xs[0], xs[1]); });
  fails([](auto& xs) { xs[1] = xs[0]; });
  fails([&](auto& xs) { xs[1] = with.make_endpoints(3, {})[1]->address(); });
  auto whole = with.make_endpoints(2, {})[1]->address().size();
  for (std::size_t kept = 0; kept < whole; ++kept)
    fails([kept](auto& xs) { xs[1].resize(kept); });
}

void absent_rank_times_out(const backend& with) {
  auto endpoints = with.make_endpoints(2, {});
  std::vector<bytes> addresses{endpoints[0]->address(),
                               endpoints[1]->address()};
  for (const auto& x : {endpoints[0], endpoints[1]}) {
    auto made = x->connect(addresses, deadline::after(20ms));
    BOOST_REQUIRE(!made);
    // The second finds that the first has given up.
    BOOST_CHECK(made.error().code() == errc::timed_out
                || (x == endpoints[1] && made.error().code() == errc::lost));
    auto again = x->connect(addresses, ample());
    BOOST_REQUIRE(!again);
    BOOST_CHECK(again.error().code() == errc::invalid);
  }
}

void abort_ends_connect(const backend& with) {
  for (std::size_t who : {0u, 1u}) {
    auto endpoints = with.make_endpoints(2, {});
    std::vector<bytes> addresses{endpoints[0]->address(),
                                 endpoints[1]->address()};
    std::latch inside{2};
    auto codes = in_threads(2, [&](std::size_t thread) {
      inside.arrive_and_wait();
      if (thread == 1) {
        endpoints[who]->abort();
        return errc{};
      }
      auto made = endpoints[who]->connect(addresses, ample());
      return made ? errc{} : made.error().code();
    });
    BOOST_CHECK(codes[0] == errc::aborted);
  }
}

} // namespace troupe::test::conformance
