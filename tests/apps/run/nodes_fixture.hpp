// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "apps/run/job.hpp"
#include "support/held_port.hpp"

namespace run_test {

/// What the design allows between the end of a driver and the end of all.
inline constexpr auto clean_up_bound = std::chrono::seconds{2};

struct nodes_fixture : job_fixture {
  struct machine {
    troupe::test::held_port port;
    std::unique_ptr<program> node;

    [[nodiscard]] std::string address() const {
      return fmt::format("127.0.0.1:{}", port.number());
    }
  };

  std::vector<machine> machines;
  /// Of each node.
  std::string devices = "cpu:1";

  /// The program `node` for a machine that has its port.
  void start_node(machine& x, const std::vector<std::string>& more = {},
                  const program_options& options = {}) {
    std::vector<std::string> words{"node", "--listen", x.address(), "--devices",
                                   devices};
    words.insert(words.end(), more.begin(), more.end());
    x.node = start(words, options);
  }

  /// Nodes that can be joined; `more` are options of theirs.
  void start_nodes(int count, const std::vector<std::string>& more = {}) {
    for (auto i = 0; i < count; ++i) {
      machine x;
      start_node(x, more);
      machines.push_back(std::move(x));
    }
    for (const auto& x : machines)
      BOOST_REQUIRE(says(x, "waiting for a job at"));
  }

  /// Ends everything on a machine.
  void kill_machine(machine& x) {
    x.node->signal(SIGKILL);
    BOOST_TEST(x.node->wait(soon()).value_or(-999) == -SIGKILL);
  }

  ~nodes_fixture() {
    for (const auto& x : machines)
      x.node->signal(SIGTERM);
    for (const auto& x : machines)
      BOOST_TEST(x.node->wait(soon()).value_or(-999) == 0);
  }

  /// Waits for something to become true that nobody tells.
  bool eventually(const std::function<bool()>& holds,
                  troupe::deadline until = soon()) {
    while (!holds()) {
      if (until.passed())
        return false;
      // No node ends by itself: this only takes its time.
      static_cast<void>(
        machines.front().node->wait(within(std::chrono::milliseconds{20})));
    }
    return true;
  }

  bool says(const machine& x, std::string_view text, int times = 1) {
    return eventually([&] {
      auto output = x.node->output();
      auto count = 0;
      for (auto at = output.find(text); at != std::string::npos;
           at = output.find(text, at + 1))
        ++count;
      return count >= times;
    });
  }

  [[nodiscard]] std::string addresses() const {
    std::vector<std::string> out;
    for (const auto& x : machines)
      out.push_back(x.address());
    return fmt::format("{}", fmt::join(out, ","));
  }

  [[nodiscard]] std::vector<std::string>
  words(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> out{"run", config().string(), "--nodes",
                                 addresses()};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  [[nodiscard]] static pid_t first_child(pid_t parent) {
    std::string text = read_file(
      fmt::format("/proc/{0}/task/{0}/children", parent));
    // The signals that tests send go to a whole group for 0.
    auto out = std::atoi(text.c_str());
    BOOST_REQUIRE(out > 0);
    return out;
  }

  /// The process in which a node serves its job: the program's child.
  [[nodiscard]] static pid_t job_process_of(const machine& x) {
    return first_child(x.node->pid());
  }

  /// Hosts that are there, by their command lines' node ids.
  [[nodiscard]] std::vector<pid_t> hosts(int node = -1) {
    constexpr std::size_t node_argument = 4;
    std::vector<pid_t> out;
    for (const auto& x : everybody())
      if (x.argv.size() > node_argument && x.argv[1] == "__host"
          && (node < 0 || std::atoi(x.argv[node_argument].c_str()) == node))
        out.push_back(x.pid);
    return out;
  }

  /// Waits for the host of a machine that has one.
  pid_t only_host(int node) {
    std::vector<pid_t> out;
    BOOST_REQUIRE(eventually([&] {
      out = hosts(node);
      return out.size() == 1;
    }));
    return out.front();
  }

  /// Has a rank of the trainer stand still in its fifth training, once however
  /// often it begins anew: there are checkpoints, and the run does not end
  /// before it is hit.
  [[nodiscard]] std::vector<std::string>
  parked(std::vector<std::string> options, int rank = 1) const {
    auto more = fault_options({"trainer", 0, rank, "training", "hold"});
    for (const auto& x :
         {std::string{"fault_nth=5"},
          fmt::format("fault_once={}", (folder() / "once").string())})
      more.insert(more.end(), {"--set", fmt::format("models.trainer.{}", x)});
    options.insert(options.end(), more.begin(), more.end());
    return options;
  }

  /// Waits for that, on the second machine; gives back that host.
  pid_t wait_parked(const std::string& name) {
    auto held = wait_held().pid;
    BOOST_REQUIRE(std::ranges::count(hosts(1), held) == 1);
    BOOST_REQUIRE(eventually([&] { return has_complete_checkpoint(name); }));
    return held;
  }

  void no_hosts_left(troupe::deadline until) {
    BOOST_TEST(eventually([&] { return hosts().empty(); }, until));
  }

  /// Waits for a driver to end with `code`, and shows what it said if it does
  /// not. Gives back what it said.
  static std::string ends_with(program& driver, int code,
                               troupe::deadline until = soon()) {
    auto status = driver.wait(until);
    BOOST_TEST_CONTEXT("output:\n" << driver.output())
    BOOST_TEST(status.value_or(-999) == code);
    return flat(driver.output());
  }

  [[nodiscard]] std::string one_machine(const std::string& name,
                                        int num_episode) {
    auto driver = start_run(
      {"--name", name, "--set",
       fmt::format("runtime.num_episode={}", num_episode)});
    BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
    return name;
  }

  void check_same(const std::string& name, const std::string& expected) {
    BOOST_TEST(
      (timeless_metrics(runs() / name) == timeless_metrics(runs() / expected)));
    BOOST_TEST(read_file(runs() / name / "ledger.jsonl")
               == read_file(runs() / expected / "ledger.jsonl"));
  }
};

inline std::vector<std::string> saving(int num_episode,
                                       const std::string& name) {
  return {"--name", name,
          "--set",  "runtime.save_episode_interval=1",
          "--set",  fmt::format("runtime.num_episode={}", num_episode)};
}

/// Goes on after failures.
inline std::vector<std::string> persistent(int num_episode,
                                           const std::string& name) {
  auto out = saving(num_episode, name);
  for (const auto* x : {"on_failure=restart", "restart_backoff_ms=10"})
    out.insert(out.end(), {"--set", fmt::format("runtime.{}", x)});
  return out;
}

/// Of a run in which a node or its driver is frozen. Guards notice that they
/// were held up themselves after half of the first.
inline std::vector<std::string>
impatient(std::vector<std::string> options,
          std::chrono::milliseconds driver_grace) {
  for (const auto& x :
       {std::string{"pulse_timeout_ms=2000"},
        fmt::format("driver_grace_ms={}", driver_grace.count())})
    options.insert(options.end(), {"--set", fmt::format("runtime.{}", x)});
  return options;
}

inline constexpr const char* forever = "runtime.num_episode=1000000";

} // namespace run_test
