// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/sync/cuda_run.hpp"

#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "troupe/bench/sync/cuda_report.hpp"
#include "troupe/bench/sync/stopwatch.hpp"
#include "troupe/comm/shm/factory.hpp"

namespace troupe::bench {

namespace {

/// More than all that comes before a process's turn.
constexpr std::chrono::minutes turn_limit{30};

/// Two ranks on one device are two machines to NCCL: it would refuse them else.
/// It joins them over sockets then, here the loopback interface's.
void pretend_machine(const char* name) {
  ::setenv("NCCL_HOSTID", name, 1);
  ::setenv("NCCL_SOCKET_IFNAME", "lo", 0);
  ::setenv("NCCL_IB_DISABLE", "1", 0);
  // Fabrics of NVLink between machines go by the device, not by the host's name.
  ::setenv("NCCL_MNNVL_ENABLE", "0", 0);
}

/// A source process that calls nothing of CUDA before its turn: what was begun
/// before a fork cannot be used after it.
template <class F>
result<two_processes> fork_source(const cuda_plan& plan, F measure) {
  return two_processes::fork([&](two_processes& self) -> result<void> {
    auto turn = self.exchange({}, deadline::after(turn_limit));
    if (!turn)
      return fail(turn.error());
    pretend_machine("bench-sync-source");
    auto on = plan.open(plan.number);
    if (!on)
      return fail(on.error());
    auto done = measure(self, **on);
    return done ? result<void>{} : result<void>{fail(done.error())};
  });
}

/// Lets a source begin, and does our part.
template <class F>
auto with_source(two_processes source, F measure) -> decltype(measure(source)) {
  if (auto begun = source.exchange({}, ample()); !begun)
    return fail(begun.error());
  return measure(source);
}

/// The sections of a report, each with figures or without.
class sections {
public:
  explicit sections(bench_report& to) : to_(to) {
    // nop
  }

  /// `report` gets what `measure` has measured.
  template <class Measure, class Report>
  void add(const std::string& name, std::string heading, Measure measure,
           Report report) {
    to_.begin_section(std::move(heading));
    auto figures = measure();
    if (figures) {
      report(*figures);
      return;
    }
    to_.note("not measured");
    failed_ += fmt::format("{}{} not measured: {}", failed_.empty() ? "" : "; ",
                           name, to_string(figures.error()));
  }

  [[nodiscard]] result<void> outcome() const {
    if (failed_.empty())
      return {};
    return fail(errc::failed, failed_);
  }

private:
  bench_report& to_;
  std::string failed_;
};

void measure_inside(sections& all, gpu& on, const cuda_plan& plan,
                    bench_report& to) {
  struct choice {
    std::size_t bucket;
    std::string suffix;
  };
  for (const auto& x : {choice{plan.bucket_bytes, ""},
                        choice{plan.large_bucket_bytes, "_large"}}) {
    sync_load load{plan.bytes, x.bucket};
    auto text = format_bytes(x.bucket);
    all.add(
      "colocated" + x.suffix,
      fmt::format("colocated: {} tensors, {}, buckets of {}, between threads",
                  load.sizes().size(), format_bytes(load.bytes()), text),
      [&] { return measure_colocated(on, load, plan.rounds); },
      [&](const auto& found) {
        report_colocated(to, "colocated" + x.suffix, load, found);
      });
    pack_load columns{plan.bytes, x.bucket};
    all.add(
      "pack" + x.suffix,
      fmt::format("pack: columns of {} to buckets of {}, read + written",
                  format_bytes(columns.bytes), text),
      [&] { return measure_pack(on, columns, plan.rounds); },
      [&](const auto& found) {
        report_pack(to, "pack" + x.suffix, columns, found);
        to.note("_convert: from float32 to bfloat16");
      });
  }
  sync_load load{plan.bytes, plan.bucket_bytes};
  all.add(
    "offload", "offload: device to pinned memory and back, one copy a tensor",
    [&] { return measure_offload(on, load, plan.rounds); },
    [&](const auto& found) {
      report_offload(to, load, found);
      to.note("of what comm offers; models of libtorch copy with libtorch");
    });
}

} // namespace

result<void> run_cuda(const cuda_plan& plan, bench_report& to) {
  sync_load load{plan.bytes, plan.bucket_bytes};
  sync_load slow{plan.nccl_bytes, plan.bucket_bytes};
  auto sockets = comm::shm::make_sockets();
  if (!sockets)
    return fail(sockets.error());
  // Only with our copy of the other's end closed does a dead end hang up.
  auto ipc = fork_source(plan, [&](const two_processes& self, gpu& on) {
    ::close(sockets->second);
    return measure_ipc(self, on, load, *sockets, plan.rounds);
  });
  if (!ipc)
    return fail(ipc.error());
  ::close(sockets->first);
  auto nccl = fork_source(plan, [&](const two_processes& self, gpu& on) {
    ::close(sockets->second);
    return measure_nccl(self, on, slow, plan.rounds);
  });
  if (!nccl)
    return fail(nccl.error());
  pretend_machine("bench-sync-destination");
  auto on = plan.open(plan.number);
  if (!on)
    return fail(on.error());
  auto lines = (*on)->describe();
  if (!lines)
    return fail(lines.error());
  to.begin_section("GPU");
  for (const auto& line : *lines)
    to.note(line);
  sections all{to};
  measure_inside(all, **on, plan, to);
  all.add(
    "ipc", "ipc: the same tensors between two processes on the device",
    [&] {
      return with_source(std::move(*ipc), [&](const two_processes& with) {
        return measure_ipc(with, **on, load, *sockets, plan.rounds);
      });
    },
    [&](const auto& found) { report_ipc(to, load, found); });
  all.add(
    "nccl",
    fmt::format("nccl: {} tensors, {}, between two processes on the device",
                slow.sizes().size(), format_bytes(slow.bytes())),
    [&] {
      return with_source(std::move(*nccl), [&](const two_processes& with) {
        return measure_nccl(with, **on, slow, plan.rounds);
      });
    },
    [&](const auto& found) {
      report_nccl(to, slow, found);
      to.note("NCCL joins two ranks on one device over sockets: the rates are");
      to.note("those of the loopback interface, the ratio is what counts");
    });
  return all.outcome();
}

} // namespace troupe::bench
