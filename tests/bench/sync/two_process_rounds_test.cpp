// SPDX-License-Identifier: Apache-2.0
// The rounds between two processes, by two threads over stand-ins.
#include <boost/test/unit_test.hpp>

#include <array>
#include <optional>

#include "bench/sync/stand_in_gpu.hpp"
#include "support/cuda/stand_in_nccl.hpp"
#include "support/rank_threads.hpp"
#include "troupe/bench/sync/cuda_rounds.hpp"
#include "troupe/comm/shm/factory.hpp"

using namespace troupe;
using namespace troupe::bench;
using test::complete;
using test::few_rounds;
using test::small_load;
using test::take;

namespace {

/// What `measure(end, is it the source?)` gives at both ends. An end that is
/// through lets go of its line, so that the other notices.
template <class Measure>
auto at_both_ends(Measure measure) {
  auto ends = take(two_processes::in_threads());
  std::array<std::optional<two_processes>, 2> lines;
  lines[0].emplace(std::move(ends.first));
  lines[1].emplace(std::move(ends.second));
  return test::in_threads(2, [&](std::size_t i) {
    auto out = measure(*lines[i], i == 0);
    lines[i].reset();
    return out;
  });
}

} // namespace

BOOST_AUTO_TEST_SUITE(sync_two_process_rounds)

BOOST_AUTO_TEST_CASE(syncs_over_ipc_are_measured_beside_one_copy) {
  auto exporter = test::make_runtime();
  auto importer = test::make_runtime();
  {
    auto sockets = take(comm::shm::make_sockets());
    auto source = take(gpu::make(exporter, 0, nullptr));
    auto destination = take(gpu::make(importer, 0, nullptr));
    auto both = at_both_ends([&](const two_processes& with, bool sends) {
      return measure_ipc(with, sends ? *source : *destination, small_load(),
                         sockets, few_rounds);
    });
    take(std::move(both[0]));
    auto found = take(std::move(both[1]));
    BOOST_CHECK(complete(found.copy));
    BOOST_CHECK(complete(found.sync));
    BOOST_CHECK_GT(found.first, 0);
    BOOST_CHECK_EQUAL(importer->calls("import_memory"), 1u);
    BOOST_CHECK_EQUAL(importer->calls("close_imported"), 1u);
  }
  test::check_clean(*importer);
  test::check_clean(*exporter);
}

BOOST_AUTO_TEST_CASE(an_end_that_fails_ends_the_other) {
  auto exporter = test::make_runtime();
  auto importer = test::make_runtime();
  {
    auto sockets = take(comm::shm::make_sockets());
    auto source = take(gpu::make(exporter, 0, nullptr));
    auto destination = take(gpu::make(importer, 0, nullptr));
    exporter->fail_next("export_memory", comm::cuda::codes::invalid_value);
    auto both = at_both_ends([&](const two_processes& with, bool sends) {
      return measure_ipc(with, sends ? *source : *destination, small_load(),
                         sockets, few_rounds);
    });
    BOOST_REQUIRE(!both[0]);
    BOOST_CHECK(both[0].error().code() == errc::invalid);
    BOOST_REQUIRE(!both[1]);
    BOOST_CHECK(both[1].error().code() == errc::lost);
  }
}

BOOST_AUTO_TEST_CASE(syncs_over_nccl_are_measured_beside_its_bare_calls) {
  auto runtime = test::make_runtime({0, 1});
  auto library = std::make_shared<test::stand_in_nccl>(runtime);
  {
    auto source = take(gpu::make(runtime, 0, library));
    auto destination = take(gpu::make(runtime, 1, library));
    auto before = library->calls("recv");
    auto both = at_both_ends([&](const two_processes& with, bool sends) {
      return measure_nccl(with, sends ? *source : *destination, small_load(),
                          few_rounds);
    });
    take(std::move(both[0]));
    auto found = take(std::move(both[1]));
    BOOST_CHECK(complete(found.raw));
    BOOST_CHECK(complete(found.link));
    BOOST_CHECK_GT(library->calls("recv") - before, few_rounds);
  }
  for (const auto& x : library->misuse())
    BOOST_ERROR(x);
  BOOST_CHECK_EQUAL(library->standing(), 0u);
  test::check_clean(*runtime);
}

BOOST_AUTO_TEST_CASE(without_nccl_both_ends_say_so) {
  auto runtime = test::make_runtime({0, 1});
  auto source = take(gpu::make(runtime, 0, nullptr));
  auto destination = take(gpu::make(runtime, 1, nullptr));
  auto both = at_both_ends([&](const two_processes& with, bool sends) {
    return measure_nccl(with, sends ? *source : *destination, small_load(),
                        few_rounds);
  });
  for (const auto& x : both) {
    BOOST_REQUIRE(!x);
    BOOST_CHECK(x.error().code() == errc::unavailable);
  }
}

BOOST_AUTO_TEST_SUITE_END()
