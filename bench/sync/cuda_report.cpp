// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/cuda_report.hpp"

namespace troupe::bench {

void report_colocated(bench_report& to, const std::string& name,
                      const sync_load& load, const colocated_figures& x) {
  add_rate(to, name + "_copy", load.bytes(), x.copy);
  add_rate(to, name, load.bytes(), x.sync);
  add_ratio(to, name + "_over_copy", x.copy, x.sync, ">= 0.9");
  add_rate(to, name + "_undigested", load.bytes(), x.undigested);
  add_ratio(to, name + "_digest_overhead", x.sync, x.undigested, "< 0.03", 1);
}

void report_pack(bench_report& to, const std::string& name,
                 const pack_load& load, const pack_figures& x) {
  auto both = 2 * load.bytes;
  add_rate(to, name + "_copy", both, x.copy);
  add_rate(to, name, both, x.pack);
  add_ratio(to, name + "_over_copy", x.copy, x.pack, ">= 0.85");
  add_rate(to, name + "_undigested", both, x.undigested);
  add_ratio(to, name + "_digest_overhead", x.pack, x.undigested, "< 0.03", 1);
  add_rate(to, name + "_convert", load.bytes + load.bytes / 2, x.convert);
}

void report_offload(bench_report& to, const sync_load& load,
                    const offload_figures& x) {
  add_rate(to, "offload_copy", load.bytes(), x.copy_out);
  add_rate(to, "offload", load.bytes(), x.out);
  add_ratio(to, "offload_over_copy", x.copy_out, x.out, ">= 0.9");
  add_rate(to, "onload_copy", load.bytes(), x.copy_in);
  add_rate(to, "onload", load.bytes(), x.in);
  add_ratio(to, "onload_over_copy", x.copy_in, x.in, ">= 0.9");
}

void report_ipc(bench_report& to, const sync_load& load, const ipc_figures& x) {
  add_rate(to, "ipc_copy", load.bytes(), x.copy);
  add_rate(to, "ipc", load.bytes(), x.sync);
  add_ratio(to, "ipc_over_copy", x.copy, x.sync, ">= 0.9");
  to.add({"ipc_first_sync_seconds", x.first, {}, {}});
}

void report_nccl(bench_report& to, const sync_load& load,
                 const nccl_figures& x) {
  add_rate(to, "nccl_raw", load.bytes(), x.raw);
  add_rate(to, "nccl_link", load.bytes(), x.link);
  add_ratio(to, "nccl_over_raw", x.raw, x.link, ">= 0.95");
  to.add({"nccl_first_sync_seconds", x.first, {}, {}});
}

} // namespace troupe::bench
