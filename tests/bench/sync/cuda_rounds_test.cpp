// SPDX-License-Identifier: Apache-2.0
// The rounds within a process, on a stand-in: not how fast, but whether all is
// measured, and nothing that is wrong.
#include <boost/test/unit_test.hpp>

#include <cmath>

#include "bench/sync/stand_in_gpu.hpp"
#include "troupe/bench/sync/cuda_report.hpp"
#include "troupe/bench/sync/cuda_rounds.hpp"

using namespace troupe;
using namespace troupe::bench;
using comm::cuda::copy_launch;
using test::complete;
using test::few_rounds;
using test::small_load;
using test::take;

namespace {

constexpr pack_load columns{256 * kib, 64 * kib};

struct fixture {
  ~fixture() {
    on.reset();
    test::check_clean(*runtime);
  }

  /// The code of what fails.
  template <class T>
  static errc code_of(const result<T>& x) {
    return x ? errc{} : x.error().code();
  }

  std::shared_ptr<test::stand_in_runtime> runtime = test::make_runtime();
  std::unique_ptr<gpu> on = take(gpu::make(runtime, 0, nullptr, "not tried"));
};

/// A kernel that digests well and copies nothing.
void lazy_kernel(const copy_launch& what) {
  auto only_looks = what;
  only_looks.writes = false;
  test::host_kernel(only_looks);
}

/// A kernel that takes another shard's columns for the first part's, and is at
/// one with itself.
void confused_kernel(const copy_launch& what) {
  std::vector<comm::cuda::device_part> parts{what.parts,
                                             what.parts + what.part_count};
  if (what.writes && parts.size() > 1)
    parts[0].from.first = parts[1].from.first;
  auto confused = what;
  confused.parts = parts.data();
  test::host_kernel(confused);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(sync_cuda_rounds, fixture)

BOOST_AUTO_TEST_CASE(colocated_syncs_are_measured_beside_one_copy) {
  auto found = take(measure_colocated(*on, small_load(), few_rounds));
  BOOST_CHECK(complete(found.copy));
  BOOST_CHECK(complete(found.sync));
  BOOST_CHECK(complete(found.undigested));
}

BOOST_AUTO_TEST_CASE(figures_are_reported_with_their_goals) {
  const auto& load = small_load();
  bench_report report;
  report_colocated(report, "colocated", load,
                   {{1, 2, 4}, {2, 2.5, 5}, {2, 2, 4}});
  report_pack(report, "pack", columns, {{1}, {2}, {2}, {3}});
  report_offload(report, load, {{1}, {2}, {4}, {5}});
  report_ipc(report, load, {{1}, {4}, 7});
  report_nccl(report, load, {{3}, {4}, 8});
  auto value = [&](const char* name) {
    const auto* found = report.find(name);
    BOOST_REQUIRE_MESSAGE(found != nullptr, name);
    return found->value;
  };
  auto is = [&](const char* name, double expected, const char* goal) {
    BOOST_CHECK_MESSAGE(std::abs(value(name) - expected) < 1e-9, name);
    BOOST_CHECK_MESSAGE(report.find(name)->budget == goal, name);
  };
  auto giga = static_cast<double>(load.bytes()) / 1e9;
  auto packed = static_cast<double>(columns.bytes) / 1e9;
  is("colocated_copy_gb_per_s", giga / 2, "");
  is("colocated_over_copy", 0.8, ">= 0.9");
  is("colocated_digest_overhead", 0.25, "< 0.03");
  // Read and written.
  is("pack_gb_per_s", 2 * packed / 2, "");
  is("pack_convert_gb_per_s", 1.5 * packed / 3, "");
  is("pack_over_copy", 0.5, ">= 0.85");
  is("pack_digest_overhead", 0, "< 0.03");
  is("offload_over_copy", 0.25, ">= 0.9");
  is("onload_over_copy", 0.4, ">= 0.9");
  is("ipc_over_copy", 0.25, ">= 0.9");
  is("ipc_first_sync_seconds", 7, "");
  is("nccl_over_raw", 0.75, ">= 0.95");
}

BOOST_AUTO_TEST_CASE(the_bare_copy_is_one_copy_of_all_bytes) {
  auto from = take(on->make_tensors(small_load()));
  auto to = take(on->make_tensors(small_load()));
  BOOST_CHECK_EQUAL(from.bytes().size(), small_load().bytes());
  auto expected = take(on->fill(from, 3));
  auto before = runtime->calls("copy");
  BOOST_CHECK(
    on->timed_copy(to.bytes().data(), from.bytes().data(), to.bytes().size()));
  BOOST_CHECK_EQUAL(runtime->calls("copy"), before + 1);
  BOOST_CHECK(on->check(to, expected));
  BOOST_CHECK(on->clear(to.bytes().first(1)));
  BOOST_CHECK(code_of(on->check(to, expected)) == errc::corrupt);
}

BOOST_AUTO_TEST_CASE(a_sync_that_copies_nothing_is_no_figure) {
  runtime->execute_with(lazy_kernel);
  auto found = measure_colocated(*on, small_load(), few_rounds);
  BOOST_CHECK(code_of(found) == errc::corrupt);
}

BOOST_AUTO_TEST_CASE(packs_are_measured_beside_one_copy) {
  auto found = take(measure_pack(*on, columns, few_rounds));
  for (const auto* x :
       {&found.copy, &found.pack, &found.undigested, &found.convert})
    BOOST_CHECK(complete(*x));
}

BOOST_AUTO_TEST_CASE(a_pack_that_writes_nothing_is_no_figure) {
  runtime->execute_with(lazy_kernel);
  BOOST_CHECK(code_of(measure_pack(*on, columns, few_rounds)) == errc::corrupt);
}

BOOST_AUTO_TEST_CASE(a_pack_of_the_wrong_columns_is_no_figure) {
  runtime->execute_with(confused_kernel);
  BOOST_CHECK(code_of(measure_pack(*on, columns, few_rounds)) == errc::corrupt);
}

BOOST_AUTO_TEST_CASE(offloads_are_measured_both_ways) {
  auto before = runtime->calls("copy");
  auto found = take(measure_offload(*on, small_load(), few_rounds));
  for (const auto* x : {&found.copy_out, &found.copy_in, &found.out, &found.in})
    BOOST_CHECK(complete(*x));
  // A copy a tensor, there and back, in every round.
  BOOST_CHECK_GE(runtime->calls("copy") - before,
                 2 * (few_rounds + 1) * small_load().sizes().size());
}

BOOST_AUTO_TEST_CASE(a_lack_of_memory_is_said) {
  runtime->out_of_memory_above(3 * mib);
  BOOST_CHECK(code_of(measure_colocated(*on, small_load(), few_rounds))
              == errc::exhausted);
  BOOST_CHECK(code_of(measure_pack(*on, {4 * mib, 64 * kib}, few_rounds))
              == errc::exhausted);
}

BOOST_AUTO_TEST_CASE(the_device_and_the_versions_are_told) {
  auto lines = take(on->describe());
  BOOST_REQUIRE_EQUAL(lines.size(), 2u);
  BOOST_CHECK(lines[1].find(runtime->version()) != std::string::npos);
  BOOST_CHECK(lines[1].find("no NCCL: not tried") != std::string::npos);
  BOOST_CHECK(code_of(gpu::make(runtime, 5, nullptr)) == errc::unavailable);
}

BOOST_AUTO_TEST_SUITE_END()
