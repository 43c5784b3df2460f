// SPDX-License-Identifier: Apache-2.0
#include "troupe/bench/calls/call_rounds.hpp"

#include <numeric>

#include <fmt/format.h>

#include "troupe/bench/calls/bare_peer.hpp"
#include "troupe/bench/calls/raw_echo.hpp"
#include "troupe/bench/calls/round_probe.hpp"
#include "troupe/bench/support/stub_model.hpp"

namespace troupe::bench {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds call_timeout{5'000};
constexpr milliseconds round_timeout{20'000};
/// Round trips that count for nothing: connections, caches, branch predictors.
constexpr std::size_t warm_up_calls = 50;

// -- round trips ---------------------------------------------------------------

/// One call through the call layer, to a worker or a whole model.
template <class Handle>
round_probe::round_trip troupe_call(Handle target, protocol::invoke call) {
  return [target, call](round_probe& self, round_probe::done_handler done) {
    self.calls().ask<protocol::invoked>(target, call_timeout, call,
                                        [done = std::move(done)](
                                          const result<protocol::invoked>& x) {
                                          done(
                                            x ? result<void>{}
                                              : result<void>{fail(x.error())});
                                        });
  };
}

/// One bare request to each peer; ends with the last answer.
round_probe::round_trip bare_request(std::vector<bare_actor> peers) {
  return [peers](round_probe& self, round_probe::done_handler done) {
    auto left = std::make_shared<std::size_t>(peers.size());
    auto shared = std::make_shared<round_probe::done_handler>(std::move(done));
    for (const auto& peer : peers)
      self.request(peer, call_timeout, std::uint64_t{1})
        .then(
          [left, shared](std::uint64_t) {
            if (*left > 0 && --*left == 0)
              (*shared)({});
          },
          [left, shared](caf::error& x) {
            if (std::exchange(*left, 0) > 0)
              (*shared)(fail(protocol::from_caf(x)));
          });
  };
}

/// A probe and what it measured last.
class measured_trip {
public:
  measured_trip(troupe_node& node, round_probe::round_trip trip)
    : node_(node),
      samples_(std::make_shared<std::vector<double>>()),
      probe_(node.spawn<round_probe>(std::move(trip), samples_)) {
    // nop
  }

  /// Microseconds of `count` round trips.
  [[nodiscard]] result<std::vector<double>> run(std::size_t count) {
    auto done = node_.ask<std::uint64_t>(probe_, round_timeout,
                                         std::uint64_t{count});
    if (!done)
      return fail(done.error());
    return *samples_;
  }

private:
  troupe_node& node_;
  round_probe::samples samples_;
  caf::actor probe_;
};

// -- figures -------------------------------------------------------------------

/// p50 and p99 of each round of one kind.
struct latencies {
  std::vector<double> p50;
  std::vector<double> p99;

  void add(const std::vector<double>& samples) {
    auto x = summarize(samples);
    p50.push_back(x.median);
    p99.push_back(x.p99);
  }
};

std::vector<double> ratios(const std::vector<double>& a,
                           const std::vector<double>& b) {
  std::vector<double> out;
  for (std::size_t i = 0; i < a.size(); ++i)
    out.push_back(a[i] / b[i]);
  return out;
}

double calls_per_second(const std::vector<double>& fan_outs_us,
                        std::int32_t workers) {
  auto total_us = std::accumulate(fan_outs_us.begin(), fan_outs_us.end(), 0.);
  return static_cast<double>(fan_outs_us.size()) * static_cast<double>(workers)
         * 1e6 / total_us;
}

/// Rounds until the plan is fulfilled or its time is over, after one that does
/// not count. `round` takes how many of each kind and whether they count.
template <class Round>
result<void> run_rounds(const call_plan& plan, Round round) {
  if (auto warm = round(warm_up_calls, false); !warm)
    return warm;
  auto until = deadline::after(plan.budget);
  for (std::size_t i = 0; i < plan.rounds && (i == 0 || !until.passed()); ++i)
    if (auto done = round(plan.calls, true); !done)
      return done;
  return {};
}

} // namespace

result<void> measure_round_trips(troupe_node& node, const call_plan& plan,
                                 bench_report& out) {
  auto worker = node.start_worker(0);
  if (!worker)
    return fail(worker.error().within("starting a worker"));
  auto peers = bare_peers::start(node.system(), 1, 1,
                                 deadline::after(round_timeout));
  if (!peers)
    return fail(peers.error());
  auto echo = child_process::start({raw_echo_verb});
  if (!echo)
    return fail(echo.error());
  auto call = stub_call(node.store(), 1, call_timeout);
  if (!call)
    return fail(call.error());
  measured_trip troupe{node, troupe_call(*worker, *call)};
  measured_trip bare{node, bare_request(peers->actors())};
  latencies raw_times;
  latencies bare_times;
  latencies troupe_times;
  auto round = [&](std::size_t count, bool counts) -> result<void> {
    auto a = raw_round(*echo, count, deadline::after(round_timeout));
    if (!a)
      return fail(a.error().within("raw socket"));
    auto b = bare.run(count);
    if (!b)
      return fail(b.error().within("bare CAF request"));
    auto c = troupe.run(count);
    if (!c)
      return fail(c.error().within("call to a worker"));
    if (counts) {
      raw_times.add(*a);
      bare_times.add(*b);
      troupe_times.add(*c);
    }
    return {};
  };
  if (auto done = run_rounds(plan, round); !done)
    return done;
  out.begin_section(
    fmt::format("Round trip to one other process, {} rounds of {}",
                raw_times.p50.size(), plan.calls));
  out.add_rounds("remote_call_p50_us", troupe_times.p50);
  out.add_rounds("remote_call_p99_us", troupe_times.p99);
  out.add_rounds("bare_caf_p50_us", bare_times.p50);
  out.add_rounds("bare_caf_p99_us", bare_times.p99);
  out.add_rounds("raw_socket_p50_us", raw_times.p50);
  out.add_rounds("raw_socket_p99_us", raw_times.p99);
  auto over = summarize(troupe_times.p50).median
              / summarize(bare_times.p50).median;
  out.add({"call_over_bare_caf", over,
           summarize(ratios(troupe_times.p50, bare_times.p50)), "<= 1.5"});
  out.note(fmt::format("A call carries a batch of {} bytes there and back, a "
                       "bare request 8, the",
                       call->input.inline_bytes()));
  out.note(fmt::format("socket {}.", raw_bytes));
  return {};
}

result<void> measure_fan_out(troupe_node& node, worker_shape shape,
                             const call_plan& plan, bench_report& out) {
  auto model = node.start_model(shape);
  if (!model)
    return fail(model.error().within("starting the model"));
  auto peers = bare_peers::start(node.system(),
                                 static_cast<std::size_t>(shape.processes),
                                 static_cast<std::size_t>(shape.workers_each),
                                 deadline::after(round_timeout));
  if (!peers)
    return fail(peers.error());
  auto call = stub_call(node.store(), shape.workers(), call_timeout);
  if (!call)
    return fail(call.error());
  measured_trip troupe{node, troupe_call(*model, *call)};
  measured_trip bare{node, bare_request(peers->actors())};
  std::vector<double> troupe_rates;
  std::vector<double> bare_rates;
  auto round = [&](std::size_t count, bool counts) -> result<void> {
    auto a = bare.run(count);
    if (!a)
      return fail(a.error().within("bare CAF fan-out"));
    auto b = troupe.run(count);
    if (!b)
      return fail(b.error().within("fan-out to workers"));
    if (counts) {
      bare_rates.push_back(calls_per_second(*a, shape.workers()));
      troupe_rates.push_back(calls_per_second(*b, shape.workers()));
    }
    return {};
  };
  if (auto done = run_rounds(plan, round); !done)
    return done;
  out.begin_section(
    fmt::format("Fan-out to {} workers in {} processes, {} rounds of {}",
                shape.workers(), shape.processes, bare_rates.size(),
                plan.calls));
  auto name = shape.workers_each == 1
                ? fmt::format("fanout{}", shape.processes)
                : fmt::format("fanout{}x{}", shape.processes,
                              shape.workers_each);
  out.add_rounds(name + "_calls_per_s", troupe_rates);
  out.add_rounds("bare_" + name + "_calls_per_s", bare_rates);
  auto over = summarize(troupe_rates).median / summarize(bare_rates).median;
  out.add({name + "_over_bare",
           over,
           summarize(ratios(troupe_rates, bare_rates)),
           {}});
  out.note("A fan-out splits a batch over the workers of a model and joins "
           "their answers;");
  out.note("it counts as one call a worker. One fan-out is under way at a "
           "time.");
  return node.stop_hosts(*model);
}

} // namespace troupe::bench
