// SPDX-License-Identifier: Apache-2.0
// Which nodes a run takes, and which it goes on with.
#include "apps/run/nodes_fixture.hpp"

using namespace run_test;
using namespace std::chrono_literals;

namespace {

/// What a run's folder says of the run, but for its lines.
std::vector<std::string> told_in(const std::filesystem::path& folder) {
  std::vector<std::string> out;
  for (const auto* name : {"config.yaml", "summary.json", "nodes.json"})
    out.push_back(read_file(folder / name));
  return out;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(nodes_joining, nodes_fixture)

BOOST_AUTO_TEST_CASE(a_killed_driver_is_resumed_on_the_same_nodes) {
  start_nodes(2);
  auto driver = start(words(parked(saving(20, "killed"))));
  wait_parked("killed");
  driver->signal(SIGKILL);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == -SIGKILL);
  no_hosts_left(within(clean_up_bound));
  driver = start({"run", "--resume", "killed"});
  ends_with(*driver, 0);
  check_same("killed", one_machine("whole", 20));
}

BOOST_AUTO_TEST_CASE(a_checkpoint_of_other_ranks_is_refused_with_nodes_too) {
  start_nodes(2);
  auto driver = start(words(saving(2, "cut")));
  ends_with(*driver, 0);
  auto folder = runs() / "cut";
  auto before = told_in(folder);
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
  BOOST_TEST(told_in(folder) == before, boost::test_tools::per_element());
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
  auto before = told_in(folder);
  kill_machine(machines[1]);
  driver = start(
    {"run", "--resume", "alone", "--set", "runtime.num_episode=4"});
  auto said = ends_with(*driver, 1);
  BOOST_TEST(contains(said, machines[1].address()), said);
  BOOST_TEST(told_in(folder) == before, boost::test_tools::per_element());
  BOOST_TEST(timeless_metrics(folder).size() == 2u);
  machines.pop_back();
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
  troupe::test::held_port nobody;
  auto closed = fmt::format("127.0.0.1:{}", nobody.number());
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
