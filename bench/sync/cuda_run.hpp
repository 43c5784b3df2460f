// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "troupe/bench/support/bench_report.hpp"
#include "troupe/bench/sync/gpu.hpp"
#include "troupe/core/error.hpp"
#include "troupe/core/units.hpp"

namespace troupe::bench {

/// What is measured, and on what.
struct cuda_plan {
  std::int32_t number = 0;
  /// Of the tensors; whole large buckets. A fast device copies a gigabyte in
  /// half a millisecond, of which what a sync costs once would be a good part.
  std::size_t bytes = 4 * gib;
  /// The same over NCCL, whose two ranks on one device speak through sockets.
  std::size_t nccl_bytes = gib;
  /// Odd, so that the median of rates is the rate of the median.
  std::size_t rounds = 31;
  /// As planned if nobody says otherwise, and where launches cost little beside
  /// the bytes.
  std::size_t bucket_bytes = 8 * mib;
  std::size_t large_bucket_bytes = 64 * mib;
  /// Called once by each process.
  std::function<result<std::unique_ptr<gpu>>(std::int32_t)> open = gpu::open;
};

/// All measurements of `bench_sync --devices cuda`. Forks, so call it before
/// the first thread and before anything has called CUDA.
///
/// Fails with `errc::unavailable` and the reason if there is no such GPU. A
/// measurement that fails leaves the others alone; its section says "not
/// measured", and the call fails when all is done.
[[nodiscard]] result<void> run_cuda(const cuda_plan& plan, bench_report& to);

} // namespace troupe::bench
