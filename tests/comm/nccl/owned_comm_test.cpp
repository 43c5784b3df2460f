// SPDX-License-Identifier: Apache-2.0
// What an NCCL that hangs may do to our threads: nothing beyond a bound.
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>

#include "comm/nccl/stand_in_ranks.hpp"
#include "troupe/comm/cuda/memory.hpp"
#include "troupe/comm/cuda/stream.hpp"
#include "troupe/comm/nccl/owned_comm.hpp"

using namespace std::literals;
using namespace troupe;
using namespace troupe::test;
namespace nccl = troupe::comm::nccl;
namespace codes = troupe::comm::nccl::codes;

namespace {

/// Generous: what is asserted is that nobody waited for `ample`.
constexpr auto at_once = 10s;

constexpr nccl::comm_limits short_limits{50ms, 100ms, 100ms};

/// A communicator of one rank, ready.
std::unique_ptr<nccl::owned_comm>
make_comm(const stand_in_machine& on, nccl::comm_limits limits = short_limits) {
  nccl::unique_id id{};
  (void) on.library->make_id(id);
  auto place = std::make_shared<nccl::comm_handle>(nullptr);
  (void) on.library->init(*place, id, 1, 0);
  auto out = std::make_unique<
    nccl::owned_comm>(nccl::comm_parts{on.library, on.runtime, 0,
                                       "rank 0 of a test", limits},
                      place);
  BOOST_REQUIRE(out->state() == codes::success);
  return out;
}

template <class F>
bool soon_true(F f) {
  auto until = ample();
  while (!f() && !until.passed())
    std::this_thread::yield();
  return f();
}

} // namespace

BOOST_AUTO_TEST_SUITE(nccl_owned_comm)

BOOST_AUTO_TEST_CASE(an_end_that_hangs_is_left_behind_and_released_late) {
  for (auto* function : {"abort", "destroy"}) {
    stand_in_machine machine{1};
    auto comm = make_comm(machine);
    auto witness = std::make_shared<int>(0);
    std::weak_ptr<int> kept = witness;
    comm->keep(std::move(witness));
    machine.library->hang(function);
    auto start = std::chrono::steady_clock::now();
    // Its thread has begun to finalize by then: one that is late aborts.
    if (function == "destroy"sv)
      BOOST_CHECK(!comm->retire(ample().at_most(2s)));
    comm.reset();
    BOOST_CHECK(std::chrono::steady_clock::now() - start < at_once);
    // It has all that NCCL may still touch.
    BOOST_CHECK(soon_true([&] { return machine.library->hanging() == 1; }));
    BOOST_CHECK_EQUAL(machine.library->standing(), 1u);
    BOOST_CHECK(!kept.expired());
    machine.library->resume();
    BOOST_CHECK(soon_true([&] { return kept.expired(); }));
    BOOST_CHECK_EQUAL(machine.library->calls(function), 1u);
    machine.check_clean();
  }
}

BOOST_AUTO_TEST_CASE(ends_from_everywhere_are_one) {
  for (auto round = 0; round < 50; ++round) {
    stand_in_machine machine{1};
    auto comm = make_comm(machine, {});
    in_threads(4, [&](std::size_t i) {
      if (i == 0)
        comm->retire(ample());
      else if (i == 1)
        comm->abort();
      else
        (void) (i == 2 ? comm->state() : comm->look());
      return 0;
    });
    comm.reset();
    BOOST_CHECK_EQUAL(machine.library->calls("abort")
                        + machine.library->calls("destroy"),
                      1u);
    machine.check_clean();
  }
}

BOOST_AUTO_TEST_CASE(who_aborts_does_not_wait_for_what_should_come_through) {
  stand_in_machine machine{2};
  auto comm = make_comm(machine, {1s, 10s, 5s});
  // It never gets through with finalizing.
  machine.library->hold_init();
  std::thread retiring{[&] { comm->retire(ample()); }};
  BOOST_CHECK(
    soon_true([&] { return machine.library->calls("finalize") == 1; }));
  auto start = std::chrono::steady_clock::now();
  comm->abort();
  BOOST_CHECK(comm->await_end());
  retiring.join();
  BOOST_CHECK(std::chrono::steady_clock::now() - start < at_once);
  BOOST_CHECK_EQUAL(machine.library->calls("abort"), 1u);
  comm.reset();
  machine.check_clean();
}

BOOST_AUTO_TEST_CASE(nobody_goes_in_beside_a_call_that_hangs) {
  stand_in_machine machine{1};
  auto comm = make_comm(machine);
  auto stream = comm::cuda::stream::create(machine.runtime, 0).value();
  auto word = comm::cuda::device_memory::allocate(machine.runtime, 0, 4)
                .value();
  machine.library->hang("all_reduce");
  std::thread inside{[&] {
    (void) comm->with([&](nccl::comm_handle x) {
      return machine.library->all_reduce(word.data(), 1, dtype::int32,
                                         comm::reduce_op::max, x,
                                         stream.handle());
    });
  }};
  BOOST_CHECK(soon_true([&] { return machine.library->hanging() == 1; }));
  // Neither a call nor the end.
  BOOST_CHECK(comm->with([](nccl::comm_handle) { return codes::success; })
              == codes::stuck);
  auto why = nccl::error_of(*machine.library, codes::stuck, "", "sending");
  BOOST_CHECK(why.code() == errc::timed_out);
  comm->abort();
  BOOST_CHECK(!comm->await_end());
  BOOST_CHECK(!comm->state());
  BOOST_CHECK_EQUAL(machine.library->calls("abort"), 0u);
  // Once it is out, the end goes on by itself.
  machine.library->resume();
  inside.join();
  BOOST_CHECK(soon_true([&] { return machine.library->standing() == 0; }));
  comm.reset();
  BOOST_CHECK(machine.library->misuse().empty());
}

BOOST_AUTO_TEST_CASE(a_look_never_waits) {
  stand_in_machine machine{1};
  auto comm = make_comm(machine, {60s, 10s, 5s});
  auto hasty = make_comm(machine, {60s, 0ms, 5s});
  machine.library->hang("shrink");
  const std::int32_t gone[] = {0};
  for (auto* x : {comm.get(), hasty.get()}) {
    auto place = std::make_shared<nccl::comm_handle>(nullptr);
    x->keep(place);
    auto code = x->with_bound("a test", deadline::after(20ms),
                              [lib = machine.library, place,
                               gone](nccl::comm_handle raw) {
                                return lib->shrink(raw, gone, *place);
                              });
    BOOST_CHECK(code == codes::stuck);
  }
  auto start = std::chrono::steady_clock::now();
  // What was known before the call, until it has been inside too long.
  BOOST_CHECK(comm->look() == codes::success);
  BOOST_CHECK(hasty->look() == codes::stuck);
  BOOST_CHECK(std::chrono::steady_clock::now() - start < at_once);
  machine.library->resume();
  BOOST_CHECK(soon_true([&] { return machine.library->hanging() == 0; }));
}

// -- communicators --------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_communicator_goes_within_its_bound) {
  for (auto* function : {"abort", "destroy"}) {
    stand_in_machine machine{2};
    auto group = make_group(machine, 2, [](std::int32_t, nccl::settings& x) {
      x.limits = short_limits;
    });
    machine.library->hang(function);
    auto start = std::chrono::steady_clock::now();
    if (function == "abort"sv) {
      group[0]->abort();
      BOOST_CHECK(code_of(group[1]->barrier(ample())) == errc::lost);
    }
    group.clear();
    BOOST_CHECK(std::chrono::steady_clock::now() - start < 2 * at_once);
    BOOST_CHECK_EQUAL(machine.library->standing(), 2u);
    machine.library->resume();
    // Their memory may be freed late, too.
    BOOST_CHECK(soon_true([&] {
      return machine.library->standing() == 0
             && machine.runtime->leaks().empty();
    }));
    machine.check_clean();
  }
}

BOOST_AUTO_TEST_CASE(health_does_not_wait_for_a_call_inside) {
  stand_in_machine machine{2};
  auto group = make_group(machine, 2, [](std::int32_t rank, nccl::settings& x) {
    x.limits = {60s, rank == 0 ? 60s : 0s, 5s};
  });
  machine.library->hang("all_reduce");
  auto codes_of_two = std::vector<errc>{};
  std::thread inside{[&] {
    codes_of_two = in_threads(2, [&](std::size_t rank) {
      return code_of(group[rank]->barrier(ample()));
    });
  }};
  BOOST_CHECK(soon_true([&] { return machine.library->hanging() == 2; }));
  auto start = std::chrono::steady_clock::now();
  BOOST_CHECK(group[0]->health());
  auto hung = group[1]->health();
  BOOST_REQUIRE(!hung);
  BOOST_CHECK(hung.error().code() == errc::timed_out);
  BOOST_CHECK(hung.error().message().find("does not come back")
              != std::string::npos);
  // The peers know it at once.
  BOOST_CHECK(code_of(group[0]->health()) == errc::lost);
  BOOST_CHECK(std::chrono::steady_clock::now() - start < at_once);
  machine.library->resume();
  inside.join();
  BOOST_CHECK(codes_of_two[0] == errc::lost);
  BOOST_CHECK(codes_of_two[1] == errc::timed_out);
  group.clear();
  machine.check_clean();
}

// NCCL's words as its sources have them.
BOOST_AUTO_TEST_CASE(what_a_container_lacks_is_said_with_what_to_change) {
  stand_in_machine machine{1};
  struct row {
    const char* words;
    const char* change;
  };
  const row rows[] = {
    {"Error while creating shared memory segment /dev/shm/nccl-a1 (size 33)",
     "--shm-size=1g"},
    {"Error: failed to extend /dev/shm/nccl-03v824 to 4194660 bytes",
     "--shm-size=1g"},
    {"Failed to open libnvidia-ml.so.1: cannot open shared object file",
     "NVIDIA_DRIVER_CAPABILITIES=compute,utility"},
    {"Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1000",
     "a GPU of its own"},
    {"Multiple Ranks are using the same GPU/Partition.", "a GPU of its own"},
    {"Call to ibv_reg_mr failed with error Cannot allocate memory",
     "ulimit -l unlimited"},
    {"Bootstrap : no socket interface found", "NCCL_SOCKET_IFNAME"},
    {"NET/Socket : No usable listening interface found", "NCCL_SOCKET_IFNAME"},
    {"Mismatched NCCL version detected : rank 0 version 22809 rank 1", "same"},
  };
  for (const auto& x : rows) {
    auto why = nccl::error_of(*machine.library, codes::system_error, x.words,
                              "making a communicator");
    BOOST_TEST_INFO(why.message());
    auto said = why.message().find(x.words);
    BOOST_TEST(said != std::string::npos);
    BOOST_TEST(why.message().find(x.change, said) != std::string::npos);
  }
  auto other = nccl::error_of(*machine.library, codes::system_error,
                              "something else", "sending");
  BOOST_TEST(other.message().ends_with("; something else"));
}

BOOST_AUTO_TEST_SUITE_END()
