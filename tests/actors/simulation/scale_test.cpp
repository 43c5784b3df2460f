// SPDX-License-Identifier: Apache-2.0
// A job on up to 1,000 machines of 8 devices, all of it in one thread: nodes,
// replicas, hosts and workers are the real ones, processes and time are not.
#include <chrono>
#include <map>
#include <random>
#include <set>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "support/actor_fixture.hpp"
#include "support/inproc_job.hpp"
#include "support/random_seed.hpp"
#include "troupe/actors/model/dist_model.hpp"
#include "troupe/actors/model/storage.hpp"
#include "troupe/actors/monitor/error_monitor.hpp"
#include "troupe/actors/monitor/error_signal.hpp"
#include "troupe/actors/node/host.hpp"
#include "troupe/actors/node/node.hpp"
#include "troupe/actors/node/process_info.hpp"

using namespace troupe;
using namespace troupe::protocol;

namespace {

constexpr std::int32_t devices_per_node = 8;
constexpr int num_step = 5;

/// Hosts as actors that can die like processes.
class simulated_launcher final : public node::host_launcher {
public:
  simulated_launcher(caf::actor_system& system, model::host_services services)
    : system_(system),
      services_(std::move(services)) {
    // nop
  }

  void report_to(node_actor node) { node_ = std::move(node); }

  result<std::int32_t> launch(const host_name& name, std::int32_t) override {
    auto services = services_;
    services.host = name;
    auto control = system_.spawn<node::host>(services,
                                             node::worker_threads::shared,
                                             std::function<void()>{});
    host_hello hello;
    hello.job = "job";
    hello.build = node::build_id();
    hello.host = name;
    hello.pid = name.slot + 1;
    hello.control = control;
    caf::anon_send(node_, std::move(hello));
    hosts_[name.slot] = {name, control};
    return name.slot + 1;
  }

  result<void> kill(const host_name& host) override {
    crash(host.slot);
    return {};
  }

  void close(deadline) override { hosts_.clear(); }

  /// As if the process had died.
  void crash(std::int32_t slot) {
    auto i = hosts_.find(slot);
    if (i == hosts_.end())
      return;
    caf::anon_send_exit(i->second.second, caf::exit_reason::kill);
    caf::anon_send(node_, host_exited{i->second.first, slot + 1,
                                      "killed by signal 9 (SIGKILL)"});
    hosts_.erase(i);
  }

private:
  caf::actor_system& system_;
  model::host_services services_;
  node_actor node_;
  std::map<std::int32_t, std::pair<host_name, host_actor>> hosts_;
};

/// Hears the verdict, and how often.
class verdict_listener : public verdict_listener_actor::base {
public:
  verdict_listener(caf::actor_config& config,
                   std::shared_ptr<std::vector<verdict>> heard)
    : verdict_listener_actor::base(config),
      heard_(std::move(heard)) {
    // nop
  }

  const char* name() const override { return "verdict_listener"; }

protected:
  behavior_type make_behavior() override {
    return {[this](const verdict& x) { heard_->push_back(x); }};
  }

private:
  std::shared_ptr<std::vector<verdict>> heard_;
};

/// Messages that were handled, and the time it took.
struct work {
  std::size_t all = 0;
  /// By actors that live in the driver.
  std::size_t driver = 0;
  std::chrono::nanoseconds driver_time{};
};

struct simulation : test::actor_fixture {
  std::int32_t num_node;
  std::shared_ptr<test::module_notes>
    notes = std::make_shared<test::module_notes>();
  module_registry models;
  process::batch_store store{{}};
  comm::inproc::hub hub;
  error_signal_actor errors = spawn<monitor::error_signal>();
  std::vector<std::shared_ptr<simulated_launcher>> launchers;
  std::vector<node_actor> nodes;
  storage_actor batches;
  error_monitor_actor monitor_;
  std::shared_ptr<std::vector<verdict>>
    verdicts = std::make_shared<std::vector<verdict>>();
  dist_model_actor policy;

  explicit simulation(std::int32_t count) : num_node(count) {
    test::declare(models, "policy", notes);
    for (std::int32_t i = 0; i < num_node; ++i) {
      auto launcher = std::make_shared<
        simulated_launcher>(system(),
                            model::host_services{{}, &models, &store, &hub});
      nodes.push_back(spawn<node::node>(node::node_settings{"job", node_id{i},
                                                            devices_per_node},
                                        launcher, errors));
      launcher->report_to(nodes.back());
      launchers.push_back(std::move(launcher));
    }
    batches = spawn<model::storage>(nodes, &store);
    watch();
    run_jobs();
  }

  ~simulation() override {
    for (const auto& x : launchers)
      x->report_to({});
    nodes.clear();
  }

  void watch() {
    monitor_ = spawn<monitor::error_monitor>(nodes);
    caf::anon_send(monitor_,
                   subscribe_verdict{spawn<verdict_listener>(verdicts)});
    caf::anon_send(errors, subscribe_errors{monitor_, true});
  }

  [[nodiscard]] std::int32_t num_device() const {
    return num_node * devices_per_node;
  }

  /// One replica a device.
  void make_policy() {
    auto job = test::job_of("policy", num_device(), 1);
    for (std::int32_t i = 0; i < num_device(); ++i)
      job.place.replicas[static_cast<std::size_t>(i)].ranks[0].node = node_id{
        i / devices_per_node};
    model::model_surroundings around{nodes, errors, {}, &store};
    around.devices_per_node.assign(nodes.size(), devices_per_node);
    around.far_nodes = true;
    policy = spawn<model::dist_model>(std::move(job), around);
  }

  /// Runs until nobody has anything to do, and counts.
  work run_counted() {
    work out;
    while (sched.has_job()) {
      auto* next = dynamic_cast<caf::local_actor*>(sched.jobs.front());
      std::string name = next ? next->name() : "";
      auto in_driver = name == "dist_model" || name == "error_signal"
                       || name == "error_monitor" || name == "storage";
      auto begin = std::chrono::steady_clock::now();
      run_one();
      ++out.all;
      if (in_driver) {
        ++out.driver;
        out.driver_time += std::chrono::steady_clock::now() - begin;
      }
    }
    return out;
  }

  work start() {
    make_policy();
    auto up = ask<manifests>(policy, set_up{60'000});
    auto out = run_counted();
    BOOST_REQUIRE_EQUAL(up.value().items.size(),
                        static_cast<std::size_t>(num_device()));
    return out;
  }

  work step(std::uint64_t scope) {
    invoke request;
    request.function = "echo";
    request.scope = scope;
    request.timeout_ms = 60'000;
    auto in = test::numbered(num_device());
    request.input.parts.push_back(store.put(in, scope).value());
    auto answer = ask<invoked>(policy, request);
    auto out = run_counted();
    auto got = store.get(answer.value().output,
                         deadline::after(std::chrono::seconds{10}));
    BOOST_REQUIRE(got.has_value());
    BOOST_TEST((test::numbers_of(*got) == test::numbers_of(in)));
    caf::anon_send(batches, release_batches{scope});
    auto freed = run_counted();
    out.all += freed.all;
    out.driver += freed.driver;
    out.driver_time += freed.driver_time;
    return out;
  }

  /// One host in a hundred dies at once; all others are told to abort.
  work fail_some(std::mt19937_64& random) {
    auto count = std::max(1, num_device() / 100);
    std::set<std::int32_t> victims;
    while (static_cast<std::int32_t>(victims.size()) < count)
      victims.insert(static_cast<std::int32_t>(
        random() % static_cast<std::uint64_t>(num_device())));
    for (auto x : victims)
      launchers[static_cast<std::size_t>(x / devices_per_node)]->crash(
        x % devices_per_node);
    auto out = run_counted();
    sched.advance_time(std::chrono::seconds{1});
    auto judged = run_counted();
    out.all += judged.all;
    out.driver += judged.driver;
    out.driver_time += judged.driver_time;
    BOOST_REQUIRE_EQUAL(verdicts->size(), 1u);
    BOOST_TEST(verdicts->front().root.operation == "process");
    auto history = ask_and_run<error_history>(errors, get_errors{}).value();
    BOOST_TEST(history.items.size() + history.dropped
               >= static_cast<std::size_t>(count));
    return out;
  }

  /// As a driver goes on: hosts end, everything else is made anew.
  work begin_anew() {
    kill(policy);
    std::vector<test::answer<ack>> ended;
    for (const auto& x : nodes)
      ended.push_back(ask<ack>(x, end_hosts{}));
    auto out = run_counted();
    for (const auto& x : ended)
      BOOST_REQUIRE(x.get().has_value());
    auto up = start();
    out.all += up.all;
    out.driver += up.driver;
    out.driver_time += up.driver_time;
    return out;
  }

  work close() {
    auto closed = ask<ack>(policy, close_model{60'000});
    std::vector<test::answer<ack>> ended;
    auto out = run_counted();
    BOOST_REQUIRE(closed.get().has_value());
    for (const auto& x : nodes)
      ended.push_back(ask<ack>(x, close_node{2000}));
    auto gone = run_counted();
    out.all += gone.all;
    out.driver += gone.driver;
    for (const auto& x : ended)
      BOOST_REQUIRE(x.get().has_value());
    return out;
  }
};

struct phases {
  std::map<std::string, work> parts;
};

phases simulate(std::int32_t num_node, std::uint64_t seed) {
  std::mt19937_64 random{seed};
  simulation x{num_node};
  phases out;
  out.parts["start"] = x.start();
  for (auto i = 0; i < num_step; ++i)
    out.parts["step"] = x.step(static_cast<std::uint64_t>(i) + 1);
  out.parts["1 % die"] = x.fail_some(random);
  out.parts["begin anew"] = x.begin_anew();
  out.parts["step after"] = x.step(num_step + 1);
  out.parts["close"] = x.close();
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(simulation_scale)

BOOST_AUTO_TEST_CASE(messages_grow_no_faster_than_machines) {
  auto seed = test::random_seed();
  fmt::print("scale: seed {}\n", seed);
  std::map<std::int32_t, phases> runs;
  for (auto n : {10, 100, 1000})
    runs[n] = simulate(n, seed);
  auto text = fmt::format("{:>6} {:>8}  {:<11} {:>10} {:>9} {:>10} {:>10}\n",
                          "nodes", "devices", "phase", "messages", "a device",
                          "in driver", "driver ms");
  for (const auto& [n, run] : runs)
    for (const auto* name :
         {"start", "step", "1 % die", "begin anew", "step after", "close"}) {
      const auto& x = run.parts.at(name);
      text += fmt::format("{:>6} {:>8}  {:<11} {:>10} {:>9.1f} {:>10} "
                          "{:>10.2f}\n",
                          n, n * devices_per_node, name, x.all,
                          static_cast<double>(x.all) / (n * devices_per_node),
                          x.driver,
                          std::chrono::duration<double, std::milli>{
                            x.driver_time}
                            .count());
    }
  fmt::print("{}", text);
  // A tenth more for what does not depend on the size.
  for (const auto& [name, few] : runs[100].parts) {
    const auto& many = runs[1000].parts.at(name);
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST(many.all <= 11 * few.all);
      BOOST_TEST(many.driver <= 11 * few.driver);
    }
  }
  // One message a machine goes out and one comes back, however many replicas
  // live there.
  for (const auto& [n, run] : runs)
    BOOST_TEST(run.parts.at("step").driver <= static_cast<std::size_t>(n) + 2);
  // Nothing builds up from step to step, and a failure leaves nothing behind.
  for (const auto& [n, run] : runs)
    BOOST_TEST(run.parts.at("step after").all == run.parts.at("step").all);
}

BOOST_AUTO_TEST_SUITE_END()
