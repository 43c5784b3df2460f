// SPDX-License-Identifier: Apache-2.0
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <new>

#include "support/rank_threads.hpp"
#include "support/why.hpp"
#include "troupe/comm/inproc/factory.hpp"
#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/comm/transfer/executor.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::comm::transfer;

namespace {

std::atomic<std::size_t> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  auto whole = (bytes + alignment - 1) / alignment * alignment;
  if (auto* where = std::aligned_alloc(alignment, whole))
    return where;
  throw std::bad_alloc{};
}

} // namespace

// Of the whole program: every other form ends in one of these. Inlined, gcc 12
// would see `free` of what `new` gave and mistrust it.

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return counted(bytes, alignof(std::max_align_t));
}

[[gnu::noinline]] void* operator new(std::size_t bytes,
                                     std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}

[[gnu::noinline]] void operator delete(void* where) noexcept {
  std::free(where);
}

[[gnu::noinline]] void operator delete(void* where, std::size_t) noexcept {
  std::free(where);
}

[[gnu::noinline]] void operator delete(void* where, std::align_val_t) noexcept {
  std::free(where);
}

[[gnu::noinline]] void operator delete(void* where, std::size_t,
                                       std::align_val_t) noexcept {
  std::free(where);
}

namespace {

using ends = std::pair<comm::link_ptr, comm::link_ptr>;

constexpr std::size_t buckets = 5;
constexpr std::size_t bucket_bytes = 1 << 16;

deadline ample() {
  return deadline::after(60s);
}

program_channel channel_with(std::int32_t peer) {
  program_channel out{rank_id{peer}, link_kind::shm, {}};
  for (std::uint32_t i = 0; i < buckets; ++i) {
    program_part part;
    part.tensor = i;
    part.key = i;
    part.wire_bytes = bucket_bytes;
    part.run_elements = bucket_bytes;
    out.buckets.push_back({dtype::uint8, bucket_bytes, {part}});
  }
  return out;
}

/// A rank that sends all its tensors to the other and receives into others.
struct rank_of_two {
  rank_of_two(std::int32_t self,
              const std::function<buffer(std::size_t)>& allocate) {
    for (auto* memory : {&sent, &received})
      for (std::size_t i = 0; i < buckets; ++i)
        memory->push_back(allocate(bucket_bytes));
    program.rank = rank_id{self};
    program.sends.push_back(channel_with(1 - self));
    program.receives.push_back(channel_with(1 - self));
    for (auto& bucket : program.receives[0].buckets)
      bucket.parts[0].tensor += buckets;
  }

  std::vector<local_tensor> tensors() {
    std::vector<local_tensor> out;
    for (auto* memory : {&sent, &received})
      for (auto& x : *memory)
        out.push_back({"t", dtype::uint8, x.bytes()});
    return out;
  }

  rank_program program;
  std::vector<buffer> sent;
  std::vector<buffer> received;
};

/// What later runs of two ranks that exchange their tensors allocate.
std::size_t
allocated_by_later_runs(const std::function<buffer(std::size_t)>& memory,
                        const std::function<ends()>& make, run_mode mode) {
  rank_of_two a{0, memory};
  rank_of_two b{1, memory};
  auto there = make();
  auto back = make();
  auto x = executor::make(a.program, a.tensors(), {there.first}, {back.second})
             .value();
  auto y = executor::make(b.program, b.tensors(), {back.first}, {there.second})
             .value();
  std::array<std::size_t, 3> before{};
  std::array<std::size_t, 3> after{};
  for (std::size_t round = 0; round < before.size(); ++round) {
    std::barrier start{2, [&]() noexcept { before[round] = allocations; }};
    std::barrier stop{2, [&]() noexcept { after[round] = allocations; }};
    auto codes = test::in_threads(2, [&](std::size_t i) {
      auto& rank = *(i == 0 ? x : y);
      start.arrive_and_wait();
      auto done = rank.run({mode, false}, ample());
      if (done)
        done = rank.commit();
      stop.arrive_and_wait();
      return done;
    });
    for (const auto& x : codes)
      BOOST_REQUIRE_MESSAGE(x, test::why(x));
  }
  BOOST_CHECK_GT(after[0] - before[0], 0u);
  return after[1] - before[1] + after[2] - before[2];
}

} // namespace

BOOST_AUTO_TEST_SUITE(transfer_allocation)

BOOST_AUTO_TEST_CASE(later_runs_allocate_nothing) {
  auto home = comm::shm::arena::create(1 << 22).value();
  auto in_arena = [&](std::size_t bytes) {
    return home->allocate(bytes).value();
  };
  auto shm = [&] {
    auto fds = comm::shm::make_sockets().value();
    return ends{comm::shm::make_sender(fds.first, {home}).value(),
                comm::shm::make_receiver(fds.second).value()};
  };
  for (auto mode : {run_mode::in_place, run_mode::staged}) {
    BOOST_CHECK_EQUAL(allocated_by_later_runs(buffer::allocate,
                                              comm::inproc::make_link, mode),
                      0u);
    BOOST_CHECK_EQUAL(allocated_by_later_runs(in_arena, shm, mode), 0u);
    BOOST_CHECK_EQUAL(allocated_by_later_runs(buffer::allocate, shm, mode), 0u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
