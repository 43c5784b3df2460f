// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "troupe/bench/sync/cuda_rounds.hpp"

// What the rounds of `bench_sync --devices cuda` become in its report. Rates of
// syncs and offloads are of the bytes that they move, those of packs of what is
// read and written.

namespace troupe::bench {

/// The figures of one size of buckets; names begin with `name`.
void report_colocated(bench_report& to, const std::string& name,
                      const sync_load& load, const colocated_figures& x);

void report_pack(bench_report& to, const std::string& name,
                 const pack_load& load, const pack_figures& x);

void report_offload(bench_report& to, const sync_load& load,
                    const offload_figures& x);

void report_ipc(bench_report& to, const sync_load& load, const ipc_figures& x);

void report_nccl(bench_report& to, const sync_load& load,
                 const nccl_figures& x);

} // namespace troupe::bench
