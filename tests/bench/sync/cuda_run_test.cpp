// SPDX-License-Identifier: Apache-2.0
// All that is measured on a GPU, in its processes, on stand-ins. Those cannot
// show memory to another process and know no NCCL there: what is left is
// measured nevertheless.
#include <boost/test/unit_test.hpp>

#include <string>

#include "bench/sync/stand_in_gpu.hpp"
#include "troupe/bench/sync/cuda_run.hpp"

using namespace troupe;
using namespace troupe::bench;

namespace {

cuda_plan small_plan() {
  cuda_plan out;
  out.bytes = 256 * kib;
  out.nccl_bytes = 256 * kib;
  out.rounds = 1;
  out.bucket_bytes = 64 * kib;
  out.large_bucket_bytes = 256 * kib;
  out.open = [](std::int32_t number) {
    return gpu::make(test::make_runtime(), number, nullptr, "not tried");
  };
  return out;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t out = 0;
  for (auto at = text.find(part); at != std::string::npos;
       at = text.find(part, at + 1))
    ++out;
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(sync_cuda_run)

BOOST_AUTO_TEST_CASE(what_fails_leaves_the_rest_alone) {
  bench_report report;
  auto done = run_cuda(small_plan(), report);
  BOOST_REQUIRE(!done);
  auto text = report.to_table();
  auto why = done.error().message();
  for (const auto* name :
       {"colocated_over_copy", "colocated_large_over_copy", "pack_over_copy",
        "pack_large_digest_overhead", "offload_over_copy", "onload_over_copy"})
    BOOST_CHECK_MESSAGE(report.find(name) != nullptr, name << " in " << text);
  BOOST_CHECK_EQUAL(count(text, "  not measured\n"), 2u);
  BOOST_CHECK_EQUAL(count(why, "not measured: "), 2u);
  BOOST_CHECK_MESSAGE(why.starts_with("ipc not measured: "), why);
  BOOST_CHECK_MESSAGE(why.find("nccl not measured: unavailable")
                        != std::string::npos,
                      why);
  // Whole lines of a terminal.
  for (std::size_t at = 0; at < text.size();) {
    auto end = text.find('\n', at);
    BOOST_CHECK_MESSAGE(end - at <= 80, text.substr(at, end - at));
    at = end + 1;
  }
}

BOOST_AUTO_TEST_CASE(without_a_device_nothing_is_measured) {
  auto plan = small_plan();
  plan.open = [](std::int32_t) -> result<std::unique_ptr<gpu>> {
    return fail(errc::unavailable, "no driver");
  };
  bench_report report;
  auto done = run_cuda(plan, report);
  BOOST_REQUIRE(!done);
  BOOST_CHECK_EQUAL(to_string(done.error()), "unavailable: no driver");
  BOOST_CHECK(report.to_table().empty());
}

BOOST_AUTO_TEST_SUITE_END()
