// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <memory>

#include <boost/test/unit_test.hpp>

#include "comm/cuda/engine_bed.hpp"
#include "support/cuda/host_kernel.hpp"
#include "support/cuda/stand_in_runtime.hpp"
#include "troupe/comm/cuda/check.hpp"
#include "troupe/comm/cuda/copy_engine.hpp"

using namespace troupe;
using namespace troupe::comm::cuda;
using namespace troupe::test;

namespace {

deadline shortly() {
  return deadline::after(std::chrono::milliseconds{10});
}

/// A stream of a framework writes to some memory: behind that no event of ours
/// stands.
struct fixture : engine_bed {
  fixture() : fixture(std::make_shared<stand_in_runtime>()) {
    // nop
  }

  explicit fixture(const std::shared_ptr<stand_in_runtime>& runtime)
    : engine_bed(
      take(device_engine_maker{runtime, 0, {std::chrono::milliseconds{100}, 0}}
             .make())),
      api(runtime),
      memory(take(device_memory::allocate(runtime, 0, 8))),
      others(take(stream::create(runtime, 0))) {
    api->execute_with(host_kernel);
  }

  void write() { ok(others.view().fill(memory.data(), 1, memory.size())); }

  /// True if a wait ended at its deadline.
  bool is_late() {
    auto done = engine->settle(shortly());
    return !done && done.error().code() == errc::timed_out;
  }

  /// The host may free the memory: it knows of no work on it.
  void check_known() {
    memory = {};
    BOOST_CHECK(api->hazards().empty());
  }

  std::shared_ptr<stand_in_runtime> api;
  device_memory memory;
  stream others;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(cuda_settle, fixture)

BOOST_AUTO_TEST_CASE(it_waits_for_all_work_of_the_device) {
  write();
  auto before = api->calls("synchronize_device");
  ok(engine->settle(soon()));
  BOOST_CHECK_EQUAL(api->calls("synchronize_device"), before + 1);
  check_known();
}

BOOST_AUTO_TEST_CASE(no_time_is_too_late) {
  auto late = engine->settle(deadline::after(duration{0}));
  BOOST_REQUIRE(!late);
  BOOST_CHECK(late.error().code() == errc::timed_out);
}

BOOST_AUTO_TEST_CASE(what_hangs_meets_the_deadline) {
  api->hang(others.handle());
  write();
  auto start = std::chrono::steady_clock::now();
  auto before = api->calls("synchronize_device");
  for (int i = 0; i < 3; ++i)
    BOOST_CHECK(is_late());
  BOOST_CHECK(std::chrono::steady_clock::now() - start
              < std::chrono::seconds{9});
  api->resume(others.handle());
  // The three were one wait, and this is another: what came meanwhile counts.
  write();
  ok(engine->settle(soon()));
  BOOST_CHECK_EQUAL(api->calls("synchronize_device"), before + 2);
  check_known();
}

BOOST_AUTO_TEST_CASE(an_engine_may_go_while_the_device_hangs) {
  api->hang(others.handle());
  write();
  BOOST_CHECK(is_late());
  engine.reset();
  BOOST_CHECK(api->hazards().empty());
  api->resume(others.handle());
  ok(others.synchronize(soon()));
  check_known();
}

BOOST_AUTO_TEST_CASE(the_reason_is_the_callers) {
  scoped_rank rank{3};
  api->fail_next("synchronize_device", codes::launch_failure);
  auto failed = engine->settle(soon());
  BOOST_REQUIRE(!failed);
  BOOST_CHECK(failed.error().code() == errc::lost);
  auto text = failed.error().message();
  BOOST_CHECK(text.find("cudaDeviceSynchronize: ") != std::string::npos);
  BOOST_CHECK(text.find("on rank 3") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
