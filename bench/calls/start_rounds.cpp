// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/calls/start_rounds.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "troupe/bench/calls/child_process.hpp"
#include "troupe/bench/support/stub_model.hpp"

namespace troupe::bench {

namespace {

using clock = std::chrono::steady_clock;
using seconds = std::chrono::duration<double>;

constexpr std::chrono::milliseconds reply_timeout{10'000};

/// One start of hosts, in seconds.
result<double> start_hosts(troupe_node& node, std::int32_t processes) {
  auto call = stub_call(node.store(), processes, reply_timeout);
  if (!call)
    return fail(call.error());
  auto start = clock::now();
  auto model = node.start_model({processes, 1});
  if (!model)
    return fail(model.error());
  auto reply = node.ask<protocol::invoked>(*model, reply_timeout, *call);
  auto taken = seconds{clock::now() - start}.count();
  if (!reply)
    return fail(reply.error());
  if (auto stopped = node.stop_hosts(*model); !stopped)
    return fail(stopped.error());
  return taken;
}

/// One start of bare copies, in seconds.
result<double> start_copies(std::int32_t processes) {
  auto until = deadline::after(reply_timeout);
  std::vector<child_process> copies;
  auto start = clock::now();
  for (std::int32_t i = 0; i < processes; ++i) {
    auto copy = child_process::start({bare_copy_verb});
    if (!copy)
      return fail(copy.error());
    copies.push_back(std::move(*copy));
  }
  for (const auto& copy : copies)
    if (auto byte = copy.read(1, until); !byte)
      return fail(byte.error());
  return seconds{clock::now() - start}.count();
}

} // namespace

int bare_copy_main() {
  return ::write(STDOUT_FILENO, "!", 1) == 1 ? 0 : 1;
}

result<void> measure_start(troupe_node& node, const start_plan& plan,
                           bench_report& out) {
  auto until = deadline::after(plan.budget);
  std::vector<double> hosts;
  std::vector<double> copies;
  std::vector<double> ratios;
  while (hosts.empty() || (hosts.size() < plan.rounds && !until.passed())) {
    auto copy = start_copies(plan.processes);
    if (!copy)
      return fail(copy.error().within("starting bare copies"));
    auto host = start_hosts(node, plan.processes);
    if (!host)
      return fail(host.error().within("starting hosts"));
    copies.push_back(*copy);
    hosts.push_back(*host);
    ratios.push_back(*host / *copy);
  }
  out.begin_section(fmt::format("Start of {} processes, {} rounds in turn",
                                plan.processes, hosts.size()));
  auto over = summarize(hosts).median / summarize(copies).median;
  auto name = fmt::format("start{}", plan.processes);
  out.add_rounds(name + "_seconds", hosts);
  out.add_rounds("bare_" + name + "_seconds", copies);
  out.add({name + "_over_bare", over, summarize(ratios), "<= 1.3"});
  return {};
}

} // namespace troupe::bench
