// SPDX-License-Identifier: Apache-2.0
// Runs over several nodes, each a program of its own on this machine.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "apps/run/job.hpp"
#include "support/random_seed.hpp"
#include "support/slow_relay.hpp"

using namespace run_test;
using namespace std::chrono_literals;

namespace {

/// What the design allows between the end of a driver and the end of all.
constexpr auto clean_up_bound = 2s;

/// A port that nobody else has right now.
std::uint16_t free_port() {
  auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  BOOST_REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), size)
                == 0);
  BOOST_REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size)
                == 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

struct fixture : job_fixture {
  struct machine {
    std::uint16_t port = 0;
    std::unique_ptr<program> node;

    [[nodiscard]] std::string address() const {
      return fmt::format("127.0.0.1:{}", port);
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
      x.port = free_port();
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

  ~fixture() {
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
      static_cast<void>(machines.front().node->wait(within(20ms)));
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
    return std::atoi(text.c_str());
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

std::vector<std::string> saving(int num_episode, const std::string& name) {
  return {"--name", name,
          "--set",  "runtime.save_episode_interval=1",
          "--set",  fmt::format("runtime.num_episode={}", num_episode)};
}

/// Goes on after failures.
std::vector<std::string> persistent(int num_episode, const std::string& name) {
  auto out = saving(num_episode, name);
  for (const auto* x : {"on_failure=restart", "restart_backoff_ms=10"})
    out.insert(out.end(), {"--set", fmt::format("runtime.{}", x)});
  return out;
}

constexpr const char* forever = "runtime.num_episode=1000000";

} // namespace

BOOST_FIXTURE_TEST_SUITE(nodes, fixture)

BOOST_AUTO_TEST_CASE(two_machines_compute_what_one_computes) {
  start_nodes(2);
  auto driver = start(
    words({"--name", "two", "--set", "runtime.num_episode=10"}));
  ends_with(*driver, 0);
  BOOST_TEST(contains(flat(driver->output()),
                      "every replica equals its source bit for bit"));
  no_hosts_left(within(clean_up_bound));
  check_same("two", one_machine("one", 10));
}

BOOST_AUTO_TEST_CASE(machines_of_several_devices_compute_and_recover_alike) {
  // Replicas that share a machine are asked through its node, and so are two
  // ranks of the trainer.
  devices = "cpu:2";
  start_nodes(2);
  std::vector<std::string> four{"--set", "models.trainer.num_gpu=all",
                                "--set", "models.policy.num_gpu=all",
                                "--set", "models.reward.num_cpu=2"};
  auto options = persistent(60, "shared");
  options.insert(options.end(), four.begin(), four.end());
  auto driver = start(words(options));
  BOOST_REQUIRE(eventually([&] { return has_complete_checkpoint("shared"); }));
  BOOST_TEST(hosts(1).size() >= 2u);
  ::kill(hosts(1).back(), SIGKILL);
  auto output = ends_with(*driver, 0);
  BOOST_TEST(contains(output, "Goes on after episode"));
  // What the machines had is what the run has, also if it goes on elsewhere.
  std::ifstream config_of_run{runs() / "shared" / "config.yaml"};
  std::string settled{std::istreambuf_iterator<char>{config_of_run}, {}};
  BOOST_TEST(contains(settled, "num_gpu: 4"), settled);
  BOOST_TEST(!contains(settled, "num_gpu: all"));
  auto whole = start({"run", config().string(), "--devices", "cpu:4", "--name",
                      "whole", "--set", "runtime.num_episode=60", four[0],
                      four[1], four[2], four[3], four[4], four[5]});
  ends_with(*whole, 0);
  check_same("shared", "whole");
}

BOOST_AUTO_TEST_CASE(latency_and_loss_change_nothing_but_the_time) {
  start_nodes(2);
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE(fmt::format("nodes: seed {}", seed));
  std::vector<std::unique_ptr<troupe::test::slow_relay>> relays;
  std::vector<std::string> gates;
  for (const auto& x : machines) {
    troupe::test::slow_relay_settings bad;
    bad.seed = seed++;
    relays.push_back(std::make_unique<troupe::test::slow_relay>(x.port, bad));
    gates.push_back(fmt::format("127.0.0.1:{}", relays.back()->port()));
  }
  auto driver = start({"run", config().string(), "--nodes",
                       fmt::format("{}", fmt::join(gates, ",")), "--name",
                       "bad", "--set", "runtime.num_episode=10"});
  ends_with(*driver, 0, within(120s));
  auto lost = relays[0]->lost() + relays[1]->lost();
  BOOST_TEST_MESSAGE(fmt::format("nodes: {} pieces were late, {} very late",
                                 relays[0]->passed() + relays[1]->passed(),
                                 lost));
  BOOST_TEST(lost > 0u);
  check_same("bad", one_machine("good", 10));
}

BOOST_AUTO_TEST_CASE(nodes_serve_one_run_after_the_other_which_waits) {
  start_nodes(2);
  auto first = start(
    words({"--name", "first", "--set", "runtime.num_episode=100"}));
  BOOST_REQUIRE(says(machines[0], "works for job"));
  auto second = start(words({"--name", "second"}));
  ends_with(*first, 0);
  ends_with(*second, 0);
  for (const auto& machine : machines)
    BOOST_TEST(!contains(machine.node->output(), "the driver is gone"));
}

BOOST_AUTO_TEST_CASE(a_killed_host_of_another_machine_is_the_cause) {
  start_nodes(2);
  auto driver = start(words({"--name", "far", "--set", forever}));
  BOOST_REQUIRE(eventually([&] { return hosts(1).size() == 1; }));
  auto victim = hosts(1).front();
  BOOST_REQUIRE(says(machines[1], "works for job"));
  ::kill(victim, SIGKILL);
  BOOST_TEST(driver->wait(within(5s)).value_or(-999) == 1);
  auto output = flat(driver->output());
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(contains(output, "node 1, device cpu:0"));
    BOOST_TEST(
      contains(output,
               fmt::format("(pid {}) ended: killed by signal 9", victim)));
    // Where to look: on that machine.
    BOOST_TEST(
      contains(output, "logs: " + (folder() / "node-logs").string() + "/"));
  }
  auto written = read_file(runs() / "far" / "nodes.json");
  BOOST_TEST_CONTEXT("nodes.json:\n" << written)
  for (const auto& x : machines)
    BOOST_TEST(contains(written, x.address()));
  no_hosts_left(within(clean_up_bound));
}

BOOST_AUTO_TEST_CASE(a_killed_node_is_the_cause_and_comes_back) {
  start_nodes(2);
  auto driver = start(words({"--set", forever}));
  BOOST_REQUIRE(eventually([&] { return hosts().size() == 3; }));
  ::kill(job_process_of(machines[1]), SIGKILL);
  BOOST_TEST(driver->wait(within(5s)).value_or(-999) == 1);
  auto output = flat(driver->output());
  BOOST_TEST_CONTEXT("output:\n" << output)
  BOOST_TEST(
    contains(output, fmt::format("node 1 ({}", machines[1].address())));
  no_hosts_left(within(clean_up_bound));
  BOOST_TEST(says(machines[1], "waiting for a job at", 2));
  ends_with(*start(words({"--name", "next"})), 0);
}

BOOST_AUTO_TEST_CASE(a_frozen_node_is_the_cause_and_cleans_up_when_it_wakes) {
  start_nodes(2);
  auto driver = start(words({"--set", forever}));
  BOOST_REQUIRE(eventually([&] { return hosts().size() == 3; }));
  auto frozen = job_process_of(machines[1]);
  auto begin = std::chrono::steady_clock::now();
  ::kill(frozen, SIGSTOP);
  BOOST_TEST(driver->wait(within(10s)).value_or(-999) == 1);
  auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(
    std::chrono::steady_clock::now() - begin);
  BOOST_TEST_MESSAGE(fmt::format("nodes: a frozen node ends the run after {} "
                                 "ms",
                                 spent.count()));
  auto output = flat(driver->output());
  BOOST_TEST_CONTEXT("output:\n" << output)
  BOOST_TEST(contains(output, "has given no sign of life for"));
  ::kill(frozen, SIGCONT);
  no_hosts_left(soon());
  BOOST_TEST(says(machines[1], "waiting for a job at", 2));
}

BOOST_AUTO_TEST_CASE(a_killed_driver_is_resumed_on_the_same_nodes) {
  start_nodes(2);
  auto driver = start(words(saving(20, "killed")));
  BOOST_REQUIRE(eventually([&] { return has_complete_checkpoint("killed"); }));
  driver->signal(SIGKILL);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == -SIGKILL);
  no_hosts_left(within(clean_up_bound));
  driver = start({"run", "--resume", "killed"});
  ends_with(*driver, 0);
  check_same("killed", one_machine("whole", 20));
}

// Only they know how many devices "all" are.
BOOST_AUTO_TEST_CASE(a_checkpoint_of_other_ranks_is_refused_with_nodes_too) {
  start_nodes(2);
  auto driver = start(words(saving(2, "cut")));
  ends_with(*driver, 0);
  auto folder = runs() / "cut";
  auto config_before = read_file(folder / "config.yaml");
  auto summary_before = read_file(folder / "summary.json");
  std::vector<std::string> longer{"run", "--resume", "cut", "--set",
                                  "runtime.num_episode=4"};
  auto cut = longer;
  for (const auto* x : {"num_gpu=all", "tensor_model_parallel_size=2"})
    cut.insert(cut.end(), {"--set", fmt::format("models.trainer.{}", x)});
  driver = start(cut);
  auto said = ends_with(*driver, 2);
  BOOST_TEST(contains(said, "run 'cut' cannot go on: the checkpoint has "
                            "replicas of trainer with 2 ranks (data 2), the "
                            "configuration asks for 2 ranks (tensor 2)"),
             said);
  // Nothing has begun, and nothing that was there is lost.
  no_hosts_left(within(clean_up_bound));
  BOOST_TEST(read_file(folder / "config.yaml") == config_before);
  BOOST_TEST(read_file(folder / "summary.json") == summary_before);
  BOOST_TEST(timeless_metrics(folder).size() == 2u);
  driver = start(longer);
  ends_with(*driver, 0);
  BOOST_TEST(timeless_metrics(folder).size() == 4u);
}

BOOST_AUTO_TEST_CASE(a_run_that_finds_no_node_to_go_on_with_stays_as_it_was) {
  start_nodes(2);
  auto driver = start(words(saving(2, "alone")));
  ends_with(*driver, 0);
  auto folder = runs() / "alone";
  auto config_before = read_file(folder / "config.yaml");
  auto summary_before = read_file(folder / "summary.json");
  kill_machine(machines[1]);
  driver = start(
    {"run", "--resume", "alone", "--set", "runtime.num_episode=4"});
  auto said = ends_with(*driver, 1);
  BOOST_TEST(contains(said, machines[1].address()), said);
  BOOST_TEST(read_file(folder / "config.yaml") == config_before);
  BOOST_TEST(read_file(folder / "summary.json") == summary_before);
  BOOST_TEST(timeless_metrics(folder).size() == 2u);
  machines.pop_back();
}

BOOST_AUTO_TEST_CASE(a_driver_that_wakes_after_its_grace_is_too_late) {
  start_nodes(2);
  auto driver = start(
    words({"--set", forever, "--set", "runtime.driver_grace_ms=1000"}));
  BOOST_REQUIRE(eventually([&] { return hosts().size() == 3; }));
  driver->signal(SIGSTOP);
  no_hosts_left(soon());
  BOOST_TEST(says(machines[0], "the driver has been silent for too long"));
  driver->signal(SIGCONT);
  BOOST_TEST(driver->wait(within(10s)).value_or(-999) == 1);
  BOOST_TEST(contains(flat(driver->output()), "is gone"));
}

BOOST_AUTO_TEST_CASE(a_run_that_loses_a_node_goes_on_with_the_same_result) {
  start_nodes(2);
  auto driver = start(words(persistent(60, "lossy")));
  BOOST_REQUIRE(eventually([&] { return has_complete_checkpoint("lossy"); }));
  ::kill(job_process_of(machines[1]), SIGKILL);
  auto status = driver->wait(soon());
  BOOST_TEST_CONTEXT("output:\n" << driver->output()) {
    BOOST_TEST(status.value_or(-999) == 0);
    BOOST_TEST(contains(flat(driver->output()), "Goes on after episode"));
  }
  check_same("lossy", one_machine("whole", 60));
}

BOOST_AUTO_TEST_CASE(a_run_waits_for_a_node_that_somebody_starts_again) {
  start_nodes(2);
  auto driver = start(words(persistent(60, "patient")));
  BOOST_REQUIRE(eventually([&] { return has_complete_checkpoint("patient"); }));
  kill_machine(machines[1]);
  BOOST_TEST(!driver->wait(within(5s)));
  start_node(machines[1]);
  auto output = ends_with(*driver, 0);
  BOOST_TEST(contains(output, fmt::format("Waiting for node 1 ({}",
                                          machines[1].address())));
  BOOST_TEST(contains(output, "Goes on after episode"));
  check_same("patient", one_machine("whole", 60));
}

BOOST_AUTO_TEST_CASE(
  a_node_that_stays_away_ends_the_run_when_its_time_is_over) {
  start_nodes(2);
  auto options = persistent(1'000'000, "away");
  options.insert(options.end(), {"--set", "runtime.node_return_ms=1500"});
  auto driver = start(words(options));
  BOOST_REQUIRE(eventually([&] { return has_complete_checkpoint("away"); }));
  kill_machine(machines[1]);
  auto output = ends_with(*driver, 1);
  BOOST_TEST(contains(output, "it has not come back in time"));
  machines.pop_back();
}

BOOST_AUTO_TEST_CASE(an_interruption_ends_the_wait_for_a_node) {
  start_nodes(2);
  auto driver = start(words(persistent(1'000'000, "stopped")));
  BOOST_REQUIRE(eventually([&] { return has_complete_checkpoint("stopped"); }));
  kill_machine(machines[1]);
  machines.pop_back();
  BOOST_REQUIRE(
    eventually([&] { return contains(driver->output(), "Waiting for node"); }));
  driver->signal(SIGINT);
  ends_with(*driver, 130, within(5s));
}

BOOST_AUTO_TEST_CASE(a_node_without_its_guard_is_taken_anew) {
  start_nodes(2);
  auto driver = start(words(persistent(60, "unguarded")));
  BOOST_REQUIRE(
    eventually([&] { return has_complete_checkpoint("unguarded"); }));
  auto guard = first_child(job_process_of(machines[1]));
  BOOST_REQUIRE(guard > 0);
  ::kill(guard, SIGKILL);
  auto output = ends_with(*driver, 0);
  BOOST_TEST(contains(output, "the guard process is gone"));
  BOOST_TEST(says(machines[1], "the guard process is gone"));
  check_same("unguarded", one_machine("whole", 60));
}

BOOST_AUTO_TEST_CASE(hosts_of_a_frozen_node_end_after_the_grace_of_the_run) {
  start_nodes(2);
  auto driver = start(
    words({"--set", forever, "--set", "runtime.driver_grace_ms=1000"}));
  BOOST_REQUIRE(eventually([&] { return hosts().size() == 3; }));
  auto frozen = job_process_of(machines[1]);
  ::kill(frozen, SIGSTOP);
  ends_with(*driver, 1, within(10s));
  no_hosts_left(within(1s + clean_up_bound + 2s));
  ::kill(frozen, SIGCONT);
  BOOST_TEST(says(machines[1], "waiting for a job at", 2));
}

BOOST_AUTO_TEST_CASE(a_debugger_may_stop_a_host_elsewhere_if_the_run_says_so) {
  start_nodes(2);
  auto driver = start(words({"--set", forever, "--set", "runtime.debug=true"}));
  BOOST_REQUIRE(eventually([&] { return hosts(1).size() == 1; }));
  BOOST_TEST(!driver->wait(within(500ms)));
  auto stopped = hosts(1).front();
  ::kill(stopped, SIGSTOP);
  BOOST_TEST(!driver->wait(within(1500ms)));
  ::kill(stopped, SIGCONT);
  BOOST_TEST(!driver->wait(within(300ms)));
  driver->signal(SIGINT);
  ends_with(*driver, 130);
}

BOOST_AUTO_TEST_CASE(a_node_that_lags_is_a_warning_and_no_failure) {
  start_nodes(2);
  auto driver = start(words({"--name", "slow", "--set", forever, "--set",
                             "runtime.pulse_timeout_ms=20000"}));
  BOOST_REQUIRE(eventually([&] { return hosts().size() == 3; }));
  BOOST_TEST(!driver->wait(within(500ms)));
  auto held_up = job_process_of(machines[1]);
  ::kill(held_up, SIGSTOP);
  BOOST_TEST(!driver->wait(within(1s)));
  ::kill(held_up, SIGCONT);
  auto file = runs() / "slow" / "errors.jsonl";
  BOOST_TEST(eventually([&] { return contains(read_file(file), " ms late"); }));
  auto rows = read_rows(file);
  for (const auto& x : rows)
    if (contains(x.dump(), " ms late"))
      BOOST_TEST_CONTEXT(x.dump()) {
        BOOST_TEST(contains(x.dump(), "warning"));
        BOOST_TEST(contains(x.dump(), machines[1].address()));
      }
  driver->signal(SIGINT);
  ends_with(*driver, 130);
}

BOOST_AUTO_TEST_CASE(a_machine_without_the_checkpoints_is_named_beforehand) {
  if (!troupe::test::can_mount()) {
    BOOST_TEST_MESSAGE("no right to mount: not tested");
    return;
  }
  start_nodes(1);
  // It has a file system of its own where the driver keeps its runs.
  std::filesystem::create_directories(runs());
  program_options alone;
  alone.folder = runs();
  alone.small_disk = 1'000'000;
  machine x;
  x.port = free_port();
  start_node(x, {}, alone);
  machines.push_back(std::move(x));
  BOOST_REQUIRE(says(machines[1], "waiting for a job at"));
  auto output = ends_with(*start(words(saving(3, "hidden"))), 1);
  BOOST_TEST(contains(output, machines[1].address()
                                + ": this machine does not "
                                  "see"));
  BOOST_TEST(contains(output, "save_episode_interval: 0"));
  // Nothing is left, and nobody is lost.
  BOOST_TEST(!std::filesystem::exists(runs() / "hidden"));
  ends_with(*start(words({"--name", "hidden"})), 0);
}

BOOST_AUTO_TEST_CASE(certificates_let_in_who_has_them) {
  auto certs = [&](const char* name) {
    BOOST_TEST(start({"certs", name})->wait(soon()).value_or(-999) == 0);
    return (folder() / name).string();
  };
  auto ours = certs("ours");
  auto theirs = certs("theirs");
  start_nodes(2, {"--certs", ours});
  ends_with(*start(words({"--certs", ours})), 0);
  BOOST_TEST(
    contains(ends_with(*start(words()), 1), "takes orders over TLS alone"));
  BOOST_TEST(contains(ends_with(*start(words({"--certs", theirs})), 1),
                      "certificate is not accepted"));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_joined_is_said_in_a_sentence) {
  start_nodes(1);
  auto closed = fmt::format("127.0.0.1:{}", free_port());
  struct row {
    std::vector<std::string> words;
    int status;
    std::string says;
  };
  std::vector<row> rows{
    {{"--nodes", closed}, 1, "nobody listens at " + closed},
    {{"--nodes", addresses() + "," + closed}, 1, "nobody listens at " + closed},
    {{"--nodes", "10.1.1.1:4100"}, 2, "is another machine, which needs TLS"},
    {{"--nodes", "here"}, 2, "--nodes: "},
    {{"--nodes", addresses(), "--certs", "/nowhere"}, 2, "--certs: "},
    {{"--nodes", addresses(), "--set", "models.trainer.num_gpu=4"},
     1,
     "device"},
  };
  for (const auto& row : rows) {
    // Of a run that has not begun nothing is kept: the name stays free.
    std::vector<std::string> all{"run", config().string(), "--name", "same"};
    all.insert(all.end(), row.words.begin(), row.words.end());
    auto driver = start(all);
    auto status = driver->wait(soon());
    BOOST_TEST_CONTEXT("words: " << fmt::format("{}", fmt::join(row.words, " "))
                                 << "\noutput:\n"
                                 << driver->output()) {
      BOOST_TEST(status.value_or(-999) == row.status);
      BOOST_TEST(contains(flat(driver->output()), row.says));
      BOOST_TEST(!std::filesystem::exists(runs() / "same"));
    }
  }
  auto unknown = start({"node", "--bogus", "--help"});
  BOOST_TEST(unknown->wait(soon()).value_or(-999) == 2);
  BOOST_TEST(contains(unknown->output(), "--bogus"));
  auto public_node = start({"node", "--listen", "0.0.0.0:0"});
  BOOST_TEST(public_node->wait(soon()).value_or(-999) == 2);
  BOOST_TEST(contains(flat(public_node->output()), "without TLS"));
}

BOOST_AUTO_TEST_SUITE_END()
