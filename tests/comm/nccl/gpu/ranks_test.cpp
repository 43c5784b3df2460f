// SPDX-License-Identifier: Apache-2.0
// NCCL itself, on one device (one_device.hpp). Slow, but it is the real code.
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "comm/nccl/gpu/one_device.hpp"
#include "support/forked_ranks.hpp"
#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/cuda/stream.hpp"

using namespace std::literals;
using namespace troupe;
using comm::reduce_op;
using comm::cuda::device_memory;
using test::rank_place;

namespace {

deadline ample() {
  return deadline::after(120s);
}

/// Exit status of a rank: 0, or the line where it went wrong modulo 90, plus 1.
#define EXIT_UNLESS(condition)                                                \
  if (!(condition)) {                                                         \
    fmt::print(stderr, "rank {}: line {}: {}\n", rank, __LINE__, #condition); \
    return 1 + __LINE__ % 90;                                                 \
  }

std::span<std::byte> bytes_of(std::vector<float>& xs) {
  return std::as_writable_bytes(std::span{xs});
}

/// Device memory with those elements, written by way of pinned memory.
device_memory upload(const rank_place& at, const std::vector<float>& xs) {
  auto size = xs.size() * sizeof(float);
  auto out = device_memory::allocate(at.runtime, 0, size).value();
  auto pinned = comm::cuda::pinned_memory::allocate(at.runtime, size).value();
  std::memcpy(pinned.data(), xs.data(), size);
  auto stream = comm::cuda::stream::create(at.runtime, 0).value();
  (void) stream.view().copy(out.data(), pinned.data(), size);
  (void) stream.synchronize(ample());
  return out;
}

std::vector<float> download(const rank_place& at, const device_memory& x) {
  std::vector<float> out(x.size() / sizeof(float));
  auto pinned = comm::cuda::pinned_memory::allocate(at.runtime, x.size())
                  .value();
  auto stream = comm::cuda::stream::create(at.runtime, 0).value();
  (void) stream.view().copy(pinned.data(), x.data(), x.size());
  (void) stream.synchronize(ample());
  std::memcpy(out.data(), pinned.data(), x.size());
  return out;
}

std::span<std::byte> span_of(const device_memory& x) {
  return {x.data(), x.size()};
}

using body = std::function<int(std::size_t rank, rank_place& at)>;

void in_processes(std::int32_t size, const body& f) {
  auto ranks = static_cast<std::size_t>(size);
  test::forked_ranks group{ranks,
                           [&](std::size_t rank, test::pipe_end& parent) {
                             auto at = test::join_on_one_device(rank, size,
                                                                parent);
                             return at.group ? f(rank, at) : 91;
                           }};
  BOOST_REQUIRE(test::exchange(group, ranks, ample()));
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    auto status = group.wait(rank, ample());
    BOOST_REQUIRE(status);
    BOOST_CHECK_MESSAGE(*status == 0, "rank " << rank << ": " << *status);
  }
}

int all_operations(std::size_t rank, rank_place& at) {
  auto& x = *at.group;
  auto n = static_cast<float>(x.size());
  auto mine = static_cast<float>(rank + 1);
  auto sum = n * (n + 1) / 2;
  // More than a chunk, so that host memory goes over in several.
  constexpr std::size_t count = (5 << 20) / sizeof(float) + 3;
  std::vector<float> host(count, mine);
  EXIT_UNLESS(
    x.all_reduce(bytes_of(host), dtype::float32, reduce_op::sum, ample()));
  EXIT_UNLESS(host == std::vector<float>(count, sum));
  auto device = upload(at, std::vector<float>(count, mine));
  EXIT_UNLESS(
    x.all_reduce(span_of(device), dtype::float32, reduce_op::sum, ample()));
  EXIT_UNLESS(download(at, device) == std::vector<float>(count, sum));
  auto ranks = static_cast<std::size_t>(x.size());
  auto part = upload(at, {mine, 2 * mine});
  auto all = upload(at, std::vector<float>(2 * ranks));
  EXIT_UNLESS(x.all_gather(span_of(part), span_of(all), ample()));
  auto gathered = download(at, all);
  for (std::size_t r = 0; r < ranks; ++r)
    EXIT_UNLESS(gathered[2 * r + 1] == 2 * static_cast<float>(r + 1));
  EXIT_UNLESS(x.reduce_scatter(span_of(all), span_of(part), dtype::float32,
                               reduce_op::sum, ample()));
  EXIT_UNLESS(download(at, part)[0] == n * mine);
  EXIT_UNLESS(x.broadcast(span_of(part), rank_id{1}, ample()));
  EXIT_UNLESS(download(at, part)[0] == n * 2);
  auto peer = rank_id{static_cast<std::int32_t>(rank ^ 1)};
  std::vector<float> message(1000, mine);
  if (rank % 2 == 0)
    EXIT_UNLESS(x.send(bytes_of(message), peer, 5, ample()));
  if (rank % 2 == 1) {
    EXIT_UNLESS(x.recv(bytes_of(message), peer, 5, ample()));
    EXIT_UNLESS(message == std::vector<float>(1000, mine - 1));
  }
  EXIT_UNLESS(x.barrier(ample()));
  EXIT_UNLESS(x.health());
  return 0;
}

} // namespace

using test::device_or_skip;
BOOST_GLOBAL_FIXTURE(device_or_skip);

BOOST_AUTO_TEST_SUITE(nccl_gpu_ranks)

BOOST_AUTO_TEST_CASE(two_ranks_on_one_device) {
  in_processes(2, all_operations);
}

BOOST_AUTO_TEST_CASE(four_ranks_on_one_device) {
  in_processes(4, all_operations);
}

BOOST_AUTO_TEST_CASE(a_split_works) {
  in_processes(4, [](std::size_t rank, rank_place& at) -> int {
    auto part = at.group->split(static_cast<std::int32_t>(rank % 2), 0,
                                ample());
    EXIT_UNLESS(part);
    std::vector<float> xs{static_cast<float>(rank)};
    EXIT_UNLESS((*part)->all_reduce(bytes_of(xs), dtype::float32,
                                    reduce_op::sum, ample()));
    EXIT_UNLESS(xs[0] == (rank % 2 == 0 ? 2.f : 4.f));
    EXIT_UNLESS(at.group->barrier(ample()));
    return 0;
  });
}

BOOST_AUTO_TEST_CASE(a_rank_that_does_not_come_meets_the_deadline) {
  in_processes(2, [](std::size_t rank, rank_place& at) -> int {
    if (rank == 0) {
      auto done = at.group->barrier(deadline::after(1s));
      EXIT_UNLESS(!done && done.error().code() == errc::timed_out);
      return 0;
    }
    // Learns of it beside NCCL.
    auto until = ample();
    while (at.group->health() && !until.passed()) {}
    auto done = at.group->barrier(ample());
    EXIT_UNLESS(!done && done.error().code() == errc::lost);
    return 0;
  });
}

BOOST_AUTO_TEST_CASE(a_killed_rank_is_lost_at_once) {
  constexpr std::size_t ranks = 2;
  test::forked_ranks
    group{ranks, [](std::size_t rank, test::pipe_end& parent) -> int {
            auto at = test::join_on_one_device(rank, ranks, parent);
            EXIT_UNLESS(at.group);
            auto memory = upload(at, std::vector<float>(1 << 20, 1.f));
            for (auto first = true;; first = false) {
              auto done = at.group->all_reduce(span_of(memory), dtype::float32,
                                               reduce_op::max, ample());
              if (!done)
                return static_cast<int>(done.error().code());
              if (first && !parent.say(bytes(1)))
                return 92;
            }
          }};
  BOOST_REQUIRE(test::exchange(group, ranks, ample()));
  for (std::size_t rank = 0; rank < ranks; ++rank)
    BOOST_REQUIRE(group.to(rank).hear(ample()));
  auto start = std::chrono::steady_clock::now();
  group.signal(1, SIGKILL);
  auto status = group.wait(0, ample());
  BOOST_REQUIRE(status);
  BOOST_CHECK_EQUAL(*status, static_cast<int>(errc::lost));
  BOOST_CHECK(std::chrono::steady_clock::now() - start < 20s);
}

BOOST_AUTO_TEST_SUITE_END()
