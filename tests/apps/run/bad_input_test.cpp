// SPDX-License-Identifier: Apache-2.0
// Wrong input: exit code 2, one screen, nothing started and nothing lost.
#include <algorithm>
#include <filesystem>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "apps/run/job.hpp"

using namespace run_test;

namespace fs = std::filesystem;

namespace {

/// The lines of a screen, without the prompt.
constexpr std::size_t screen_lines = 23;

/// Runs the program and checks what is true of every refusal. Gives back what
/// was printed.
std::string refused(const job_fixture& job,
                    const std::vector<std::string>& words,
                    const std::vector<std::string>& parts) {
  auto before = fs::exists(job.runs());
  auto driver = job.start(words);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 2);
  auto output = driver->output();
  auto text = flat(output);
  BOOST_TEST_CONTEXT("output:\n" << output) {
    BOOST_TEST(!text.empty());
    BOOST_TEST(lines_of(output).size() <= screen_lines);
    for (const auto& part : parts)
      BOOST_TEST(contains(text, part), "does not say: " << part);
    // Nothing that would upset a terminal.
    BOOST_TEST(std::ranges::none_of(output, [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f;
    }));
    BOOST_TEST(fs::exists(job.runs()) == before);
  }
  return output;
}

struct setting {
  const char* name;
  std::vector<std::string> words;
  std::vector<std::string> parts;
};

std::ostream& operator<<(std::ostream& out, const setting& x) {
  return out << x.name;
}

/// Words after the configuration file.
const setting settings[] = {
  {"an unknown key, with the nearest valid one",
   {"--set", "runtime.num_episodes=5"},
   {"num_episodes", "num_episode"}},
  {"an unknown model",
   {"--set", "models.polcy.num_gpu=1"},
   {"polcy", "policy"}},
  {"a key of a model that it has not",
   {"--set", "models.policy.falt_phase=x"},
   {"falt_phase", "fault_phase"}},
  {"a word for a number", {"--set", "runtime.num_episode=many"}, {"many"}},
  {"a fraction for a number",
   {"--set", "models.policy.num_gpu=1.5"},
   {"num_gpu", "1.5"}},
  {"a number that is too small",
   {"--set", "runtime.sample_per_episode=0"},
   {"sample_per_episode", "0"}},
  {"a number that no integer holds",
   {"--set", "runtime.seed=99999999999999999999999"},
   {"seed"}},
  {"a seed that no integer holds",
   {"--seed", "99999999999999999999999"},
   {"--set", "runtime.seed"}},
  {"a way to sync that there is not",
   {"--set", "runtime.sync_mode=fast"},
   {"sync_mode", "fast", "in_place"}},
  {"a buffer that no bucket fits",
   {"--set", "runtime.sync_buffer_bytes_max=7"},
   {"sync_buffer_bytes_max", "8 bytes", "is 7"}},
  {"an impossible tensor-parallel size",
   {"--set", "models.policy.tensor_model_parallel_size=3"},
   {"policy", "3"}},
  {"more devices than there are",
   {"--set", "models.policy.num_gpu=4"},
   {"4", "2"}},
  {"an override without a value", {"--set", "runtime.seed"}, {"runtime.seed"}},
  {"an override without a key", {"--set", "=5"}, {"=5"}},
  {"an empty override", {"--set", ""}, {}},
  {"a negative seed", {"--seed", "-1"}, {"seed"}},
  {"a seed that is no number", {"--seed", "one"}, {"seed", "one"}},
  {"a run name with a slash", {"--name", "a/b"}, {"a/b", "slash"}},
  {"a run name that climbs", {"--name", ".."}, {".."}},
  {"a run name of many letters", {"--name", std::string(300, 'n')}, {"128"}},
  {"a dataset for an application that reads none",
   {"--data", "problems.jsonl"},
   {"problems.jsonl", "reads no file"}},
  {"an unknown option", {"--sed", "1"}, {"--sed"}},
  {"an unknown option beside --help", {"--sed", "--help"}, {"--sed"}},
  {"an option without its value", {"--seed"}, {"--seed"}},
  {"one word too many", {"surplus"}, {"surplus"}},
  {"an output folder below a file",
   {"--output-dir", "faulty.yaml/runs"},
   {"faulty.yaml"}},
  {"an output folder that the system refuses",
   {"--output-dir", "/proc/nobody/runs"},
   {"/proc/nobody"}},
};

struct devices {
  const char* text;
  const char* part;
};

std::ostream& operator<<(std::ostream& out, const devices& x) {
  return out << "--devices '" << x.text << "'";
}

const devices bad_devices[] = {
  {"nonsense", "nonsense"},
  {"", "devices"},
  {"cpu:0", "cpu:0"},
  {"cpu:-1", "cpu:-1"},
  {"cpu:two", "cpu:two"},
  {"cpu:2x", "cpu:2x"},
  {"cpu:99999999999999", "cpu"},
  {"inproc:0", "inproc:0"},
  {"cuda:1023", "cuda:1023"},
};

struct content {
  const char* name;
  std::string text;
  std::vector<std::string> parts;
};

std::ostream& operator<<(std::ostream& out, const content& x) {
  return out << x.name;
}

const content contents[] = {
  {"nothing", "", {"bad.yaml"}},
  {"white space", "\n  \n", {"bad.yaml"}},
  {"a scalar", "hello\n", {"bad.yaml"}},
  {"a list", "- 1\n- 2\n", {"bad.yaml"}},
  {"binary junk",
   std::string("\x7f\x45\x4c\x46\x02\x01\x00\x00\xff\xfe\x80", 11),
   {"bad.yaml"}},
  {"a zero byte", std::string("app: faulty\0\nmodels: {}\n", 24), {"bad.yaml"}},
  {"a tab for spaces", "app: faulty\nmodels:\n\tpolicy: {}\n", {"bad.yaml"}},
  {"an open bracket", "app: faulty\nmodels: [\n", {"bad.yaml"}},
  {"escape sequences", "app: \"\\e[2J\\e[31m\"\n", {"bad.yaml"}},
  {"another application", "app: grpo\n", {"bad.yaml", "grpo", "faulty"}},
  {"no models", "app: faulty\n", {"bad.yaml"}},
  {"deep nesting", std::string(100'000, '['), {"bad.yaml"}},
  {"a long line", "app: " + std::string(1'000'000, 'x') + "\n", {"bad.yaml"}},
  {"an anchor bomb",
   "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
   "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
   "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
   "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n",
   {"bad.yaml"}},
  {"an alias of itself",
   "app: faulty\nmodels: &a\n  policy: *a\n",
   {"bad.yaml"}},
};

} // namespace

BOOST_AUTO_TEST_SUITE(bad_input)

BOOST_DATA_TEST_CASE_F(job_fixture, a_wrong_setting_is_refused,
                       boost::unit_test::data::make(settings), x) {
  refused(*this, run_command(x.words), x.parts);
}

BOOST_DATA_TEST_CASE_F(job_fixture, wrong_devices_are_refused,
                       boost::unit_test::data::make(bad_devices), x) {
  refused(*this, {"run", config().string(), "--devices", x.text}, {x.part});
}

BOOST_DATA_TEST_CASE_F(job_fixture, a_file_that_is_no_configuration_is_refused,
                       boost::unit_test::data::make(contents), x) {
  write("bad.yaml", x.text);
  refused(*this, {"run", "bad.yaml"}, x.parts);
}

BOOST_FIXTURE_TEST_CASE(required_and_available_devices_are_named, job_fixture) {
  refused(*this, {"run", config().string(), "--devices", "cpu:1"},
          {"2", "1", "device"});
}

BOOST_FIXTURE_TEST_CASE(the_place_of_a_mistake_in_a_file_is_named,
                        job_fixture) {
  write("bad.yaml", "app: faulty\n"
                    "models:\n"
                    "  trainer: {num_gpu: 2}\n"
                    "  policy: {num_gpu: [2]}\n"
                    "  reward: {num_cpu: 1}\n"
                    "runtime:\n"
                    "  sample_per_episod: 4\n");
  refused(*this, {"run", "bad.yaml"},
          {"bad.yaml:4", "bad.yaml:7", "sample_per_episode"});
}

BOOST_FIXTURE_TEST_CASE(a_file_that_cannot_be_read_is_refused, job_fixture) {
  refused(*this, {"run", "missing.yaml"}, {"missing.yaml"});
  refused(*this, {"run", "."}, {"."});
  refused(*this, {"run", "/proc/self/mem"}, {"/proc/self/mem"});
  // Nobody will ever write to it.
  refused(*this, {"run", fifo().string()}, {"held", "is a pipe"});
  refused(*this, {"run", ""}, {});
}

BOOST_FIXTURE_TEST_CASE(data_that_throws_is_refused, job_fixture) {
  program_options options;
  options.env = {"FAULTY_DRIVER=data throw"};
  auto driver = start(run_command(), options);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 2);
  BOOST_TEST(contains(driver->output(),
                      "making the data: the data broke on purpose"),
             driver->output());
  BOOST_TEST(!fs::exists(runs()));
}

BOOST_FIXTURE_TEST_CASE(help_fits_a_terminal, job_fixture) {
  for (const auto* verb :
       {"run", "plan", "node", "certs", "monitor", "scale"}) {
    auto driver = start({verb, "--help"});
    BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
    for (const auto& line : lines_of(driver->output()))
      BOOST_TEST(line.size() <= 80u, line);
  }
}

BOOST_FIXTURE_TEST_CASE(an_unknown_verb_is_refused, job_fixture) {
  refused(*this, {"ran"}, {"ran"});
  refused(*this, {}, {"--help"});
  refused(*this, {"run"}, {"config"});
  refused(*this, {"--nonsense"}, {"--help"});
}

BOOST_FIXTURE_TEST_CASE(the_verb_of_hosts_is_not_for_people, job_fixture) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"__host"},
        {"__host", "faulty"},
        {"__host", "faulty", "job", "0", "0", "1", "1", "1", "1", "log",
         "info"}}) {
    auto driver = start(words);
    BOOST_TEST(driver->wait(soon()).value_or(0) > 0);
    BOOST_TEST(contains(driver->output(), "guard"), driver->output());
  }
}

// Asked by the program itself before it forks.
BOOST_FIXTURE_TEST_CASE(what_gpus_there_are_is_told_in_a_line, job_fixture) {
  auto teller = start({"__gpus"});
  BOOST_TEST(teller->wait(soon()).value_or(-999) == 0);
  auto output = teller->output();
  BOOST_TEST(lines_of(output).size() == 1u);
  BOOST_TEST(contains(output, "\"devices\":["), output);
  BOOST_TEST(!fs::exists(runs()));
}

BOOST_FIXTURE_TEST_CASE(help_and_nothing_else_ends_well, job_fixture) {
  for (const auto& words :
       {std::vector<std::string>{"--help"}, {"run", "--help"}}) {
    auto driver = start(words);
    BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
    BOOST_TEST(contains(driver->output(), "run"));
  }
  BOOST_TEST(!fs::exists(runs()));
}

BOOST_FIXTURE_TEST_CASE(a_run_that_exists_is_not_touched, job_fixture) {
  fs::create_directories(runs() / "mine");
  write("runs/mine/metrics.jsonl", "precious\n");
  refused(*this, run_command({"--name", "mine"}), {"mine", "exists"});
  BOOST_TEST(read_file(runs() / "mine" / "metrics.jsonl") == "precious\n");
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& x : fs::directory_iterator{runs() / "mine"})
    ++count;
  BOOST_TEST(count == 1u);
}

BOOST_FIXTURE_TEST_CASE(an_output_folder_without_rights_is_refused,
                        job_fixture) {
  fs::create_directories(runs());
  program_options options;
  options.folder = runs();
  // Rights do not stop root; a file system that cannot be written to does.
  auto root = ::geteuid() == 0;
  if (root && !troupe::test::can_mount()) {
    BOOST_TEST_MESSAGE("root, and no right to mount a disk: not tested");
    return;
  }
  options.small_disk = root ? 65'536 : 0;
  options.read_only_disk = root;
  fs::permissions(runs(), fs::perms::owner_read | fs::perms::owner_exec);
  auto driver = start(run_command({"--output-dir", "."}), options);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 2);
  BOOST_TEST_CONTEXT("output:\n" << driver->output())
  BOOST_TEST(contains(driver->output(),
                      root ? "Read-only file system" : "Permission denied"));
  fs::permissions(runs(), fs::perms::owner_all);
  BOOST_TEST(fs::is_empty(runs()));
}

BOOST_FIXTURE_TEST_CASE(a_full_disk_is_said_and_does_not_end_the_run_badly,
                        job_fixture) {
  if (!troupe::test::can_mount()) {
    BOOST_TEST_MESSAGE("no right to mount a small disk: not tested");
    return;
  }
  // Room for the folders and less than one page for each of few files.
  for (std::size_t size : {4'096u, 16'384u, 65'536u}) {
    fs::create_directories(runs());
    program_options options;
    options.folder = runs();
    options.small_disk = size;
    auto driver = start(run_command({"--output-dir", "."}), options);
    auto status = driver->wait(soon()).value_or(-999);
    auto output = driver->output();
    BOOST_TEST_CONTEXT("disk of " << size << " bytes, output:\n" << output) {
      BOOST_TEST((status == 0 || status == 1 || status == 2));
      if (status != 0)
        BOOST_TEST(contains(output, "No space left on device"));
    }
    BOOST_TEST(left_after(within(std::chrono::milliseconds{0})) == "");
  }
}

BOOST_AUTO_TEST_SUITE_END()
