// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "troupe/bench/sync/gpu.hpp"
#include "troupe/bench/sync/rates.hpp"
#include "troupe/bench/sync/sync_load.hpp"
#include "troupe/bench/sync/two_processes.hpp"

// The measurements of `bench_sync --devices cuda`. What is compared is measured
// in turns, round by round, and by the same clock, the host's, from before the
// first call to after the wait. The target is cleared before each sync and
// digested after it.

namespace troupe::bench {

// -- in this process -----------------------------------------------------------

struct colocated_figures {
  /// One bare copy of all bytes from device to device.
  seconds_list copy;
  /// The executors of two models that share the process.
  seconds_list sync;
  seconds_list undigested;
};

/// In the buckets of `load`.
[[nodiscard]] result<colocated_figures>
measure_colocated(gpu& on, const sync_load& load, std::size_t rounds);

/// Matrices of bfloat16, rows of 8 KiB each, of which each becomes a bucket:
/// four shards of columns, one behind the other. Or of float32, which becomes
/// bfloat16.
struct pack_load {
  std::uint64_t bytes = 0;
  std::uint64_t bucket_bytes = 0;
};

struct pack_figures {
  /// One bare copy of all bytes.
  seconds_list copy;
  /// One launch a bucket, and one wait.
  seconds_list pack;
  seconds_list undigested;
  /// From float32 to bfloat16: reads as much, writes half of it.
  seconds_list convert;
};

/// The load is of whole buckets, and those of whole rows.
[[nodiscard]] result<pack_figures> measure_pack(gpu& on, const pack_load& load,
                                                std::size_t rounds);

struct offload_figures {
  /// One bare copy of all bytes to pinned memory, and back.
  seconds_list copy_out;
  seconds_list copy_in;
  /// One copy a tensor.
  seconds_list out;
  seconds_list in;
};

[[nodiscard]] result<offload_figures>
measure_offload(gpu& on, const sync_load& load, std::size_t rounds);

// -- between two processes -----------------------------------------------------

// Called by both; the destination measures, the source only takes part.

struct ipc_figures {
  /// One bare copy of all bytes, inside the destination.
  seconds_list copy;
  /// Read in place from the source's memory.
  seconds_list sync;
  /// From making the executor to the end of its first run: the memory is
  /// opened.
  double first = 0;
};

/// `sockets` are those of `comm::shm::make_sockets`; each process hands over its
/// own.
[[nodiscard]] result<ipc_figures> measure_ipc(const two_processes& with,
                                              gpu& on, const sync_load& load,
                                              std::pair<int, int> sockets,
                                              std::size_t rounds);

struct nccl_figures {
  /// One ncclSend and one ncclRecv of all bytes.
  seconds_list raw;
  /// Bucket by bucket.
  seconds_list link;
  double first = 0;
};

[[nodiscard]] result<nccl_figures> measure_nccl(const two_processes& with,
                                                gpu& on, const sync_load& load,
                                                std::size_t rounds);

} // namespace troupe::bench
