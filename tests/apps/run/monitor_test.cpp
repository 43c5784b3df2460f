// SPDX-License-Identifier: Apache-2.0
// Looking at a run that goes on, and what that does to it: nothing.
#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include <arpa/inet.h>
#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <pty.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/run/job.hpp"

using namespace run_test;

namespace {

struct fixture : job_fixture {
  /// A run that stands in policy/1/0's generation.
  std::unique_ptr<program> held_run() {
    auto words = fault_options({"policy", 1, 0, "generation", "hold"});
    words.insert(words.end(),
                 {"--name", "shown", "--set", "runtime.call_timeout_ms=20000"});
    auto driver = start_run(words);
    static_cast<void>(wait_held());
    return driver;
  }

  std::string address() const {
    return flat(read_file(runs() / "shown" / "monitor.address"));
  }

  /// A run that goes on until it is told to stop.
  std::unique_ptr<program> endless_run() {
    auto driver = start_run(
      {"--name", "shown", "--set", "runtime.num_episode=100000"});
    // The first episode is the proof that it runs.
    auto until = soon();
    while (episodes() == 0) {
      BOOST_REQUIRE_MESSAGE(!until.passed(), driver->output());
      static_cast<void>(driver->wait(within(std::chrono::milliseconds{20})));
    }
    return driver;
  }

  std::size_t episodes() const {
    auto text = read_file(runs() / "shown" / "metrics.jsonl");
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
  }

  void interrupt(program& driver) {
    driver.signal(SIGINT);
    BOOST_TEST(driver.wait(soon()).value_or(-999) == 130, driver.output());
  }

  /// What `monitor WORDS` prints, and its exit code.
  std::pair<int, std::string> look(std::vector<std::string> words) const {
    words.insert(words.begin(), "monitor");
    auto x = start(words);
    auto code = x->wait(soon()).value_or(-999);
    return {code, x->output()};
  }

  /// As `look`, until `shows` holds of the words: on a busy machine somebody
  /// may be too late to be in a picture.
  std::pair<int, std::string>
  look_until(const std::function<bool(const std::string&)>& shows,
             const std::vector<std::string>& words) const {
    auto until = soon();
    auto out = look(words);
    while (!shows(out.second) && !until.passed())
      out = look(words);
    return out;
  }

  /// Waits until a monitor has shown something: it has found the run.
  static void wait_for_words(program& watcher) {
    auto until = soon();
    while (watcher.output().empty()) {
      BOOST_REQUIRE(!until.passed());
      static_cast<void>(watcher.wait(within(std::chrono::milliseconds{20})));
    }
  }

  int connect() const {
    auto text = address();
    auto port = std::stoi(text.substr(text.find(':') + 1));
    auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    BOOST_REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to))
                  == 0);
    return fd;
  }
};

const nlohmann::json* worker(const nlohmann::json& status,
                             const std::string& name) {
  for (const auto& x : status["workers"])
    if (x["worker"] == name)
      return &x;
  return nullptr;
}

/// Whether all five workers are in the picture with an answer.
bool all_answer(const std::string& text) {
  auto status = nlohmann::json::parse(text, nullptr, false);
  return status.is_object() && status["silent"].empty()
         && status["workers"].size() == 5u
         && std::ranges::all_of(status["workers"], [](const auto& x) {
              return x["answers"] == true;
            });
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(monitor, fixture)

BOOST_AUTO_TEST_CASE(it_shows_what_a_stuck_worker_does_and_for_how_long) {
  auto driver = held_run();
  auto [code, text] = look_until(all_answer, {"shown", "--json", "--once"});
  BOOST_TEST(code == 0);
  BOOST_TEST_CONTEXT(text) {
    auto status = nlohmann::json::parse(text);
    BOOST_TEST(status["app"] == "faulty");
    BOOST_TEST(status["run"] == "shown");
    BOOST_TEST(status["episode"] == 0);
    BOOST_TEST(status["num_episode"] == 3);
    BOOST_TEST(status["phase"] == "generation");
    BOOST_TEST(status["silent"].empty());
    BOOST_TEST(status["nodes"].size() == 1u);
    BOOST_TEST(status["nodes"][0]["hosts"].size() == 3u);
    BOOST_TEST(status["workers"].size() == 5u);
    auto* stuck = worker(status, "policy/1/0");
    BOOST_REQUIRE(stuck);
    BOOST_TEST((*stuck)["operation"] == "generate");
    BOOST_TEST((*stuck)["answers"] == true);
    auto* other = worker(status, "trainer/0/1");
    BOOST_REQUIRE(other);
    BOOST_TEST((*other)["operation"] == "idle");
    // After the first sync.
    for (const auto& x : status["models"])
      if (x["model"] == "policy")
        BOOST_TEST(x["version"] == 1);
  }
  // The same for people, found by its address.
  auto shows_it = [](const std::string& x) {
    return contains(x, "policy/1/0") && contains(x, "generate");
  };
  auto [again, screen] = look_until(shows_it, {address(), "--once"});
  BOOST_TEST(again == 0);
  BOOST_TEST_CONTEXT(screen) {
    BOOST_TEST(screen.starts_with("faulty shown"));
    BOOST_TEST(contains(screen, "policy/1/0"));
    BOOST_TEST(contains(screen, "generate"));
    for (const auto& line : lines_of(screen))
      BOOST_TEST(std::ranges::count_if(line,
                                       [](char x) {
                                         // Bytes that continue a character are none.
                                         return (static_cast<unsigned char>(x)
                                                 & 0xc0)
                                                != 0x80;
                                       })
                 < 80);
  }
  interrupt(*driver);
}

BOOST_AUTO_TEST_CASE(it_follows_a_run_to_its_end_and_says_how_that_was) {
  auto driver = endless_run();
  auto watcher = start({"monitor", "shown", "--json"});
  auto until = soon();
  while (std::ranges::count(watcher->output(), '\n') < 2) {
    BOOST_REQUIRE(!until.passed());
    static_cast<void>(watcher->wait(within(std::chrono::milliseconds{20})));
  }
  interrupt(*driver);
  BOOST_TEST(watcher->wait(soon()).value_or(-999) == 0, watcher->output());
  auto lines = lines_of(watcher->output());
  auto first = nlohmann::json::parse(lines.front());
  auto last = nlohmann::json::parse(lines.back());
  BOOST_TEST(first["end"].is_null());
  BOOST_TEST(last["end"] == "interrupted");
  BOOST_TEST(last["episode"] >= first["episode"]);
  BOOST_TEST(!std::filesystem::exists(runs() / "shown" / "monitor.address"));
}

BOOST_AUTO_TEST_CASE(it_names_the_cause_of_a_run_that_fails) {
  auto driver = held_run();
  auto watcher = start({"monitor", "shown", "--plain"});
  wait_for_words(*watcher);
  ::kill(find(*driver, job_process::role::cpu_host).pid, SIGKILL);
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 1);
  BOOST_TEST(watcher->wait(soon()).value_or(-999) == 0);
  auto text = flat(watcher->output());
  BOOST_TEST(contains(text, "failed: "), text);
  BOOST_TEST(contains(text, "the host process of cpu host"), text);
}

BOOST_AUTO_TEST_CASE(a_driver_that_is_killed_is_told_as_lost) {
  auto driver = endless_run();
  auto watcher = start({"monitor", "shown", "--json"});
  wait_for_words(*watcher);
  driver->signal(SIGKILL);
  static_cast<void>(driver->wait(soon()));
  BOOST_TEST(watcher->wait(soon()).value_or(-999) == 1);
  BOOST_TEST(contains(watcher->output(), "the run is gone"));
  BOOST_TEST(left_after(within(std::chrono::seconds{5})) == "");
  // Nothing that is left names a port at which nobody is.
  auto [code, text] = look({"shown"});
  BOOST_TEST(code == 2);
  BOOST_TEST(contains(text, "it has ended"), text);
}

BOOST_AUTO_TEST_CASE(it_ends_when_nobody_reads_what_it_prints) {
  auto driver = endless_run();
  int ends[2];
  // Nobody who is started holds the other end.
  BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  program_options options;
  options.output = ends[1];
  auto watcher = start({"monitor", "shown", "--json"}, options);
  ::close(ends[1]);
  BOOST_TEST(troupe::test::wait_readable(ends[0], soon()));
  ::close(ends[0]);
  BOOST_TEST(watcher->wait(soon()).value_or(-999) == 0);
  interrupt(*driver);
}

// Some die, some never read, one sends what nobody wants.
BOOST_AUTO_TEST_CASE(monitors_that_stall_or_die_do_not_disturb_the_run) {
  auto driver = endless_run();
  std::vector<int> stalled;
  for (auto i = 0; i < 12; ++i)
    stalled.push_back(connect());
  std::vector<std::unique_ptr<program>> watchers;
  for (auto i = 0; i < 3; ++i)
    watchers.push_back(start({"monitor", "shown", "--json"}));
  watchers[0]->signal(SIGKILL);
  watchers[1]->signal(SIGSTOP);
  std::string noise(100'000, 'x');
  static_cast<void>(::send(stalled[0], noise.data(), noise.size(),
                           MSG_NOSIGNAL | MSG_DONTWAIT));
  // The last one is in good order, and has found the run before that ends.
  wait_for_words(*watchers[2]);
  auto before = episodes();
  auto until = soon();
  while (episodes() < before + 20) {
    BOOST_REQUIRE_MESSAGE(!until.passed(), driver->output());
    static_cast<void>(driver->wait(within(std::chrono::milliseconds{20})));
  }
  interrupt(*driver);
  BOOST_TEST(watchers[2]->wait(soon()).value_or(-999) == 0);
  watchers[1]->signal(SIGKILL);
  for (auto fd : stalled)
    ::close(fd);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_looked_at_is_a_sentence) {
  for (auto [target, words] :
       {std::pair{"nothing", "there is no run 'nothing'"},
        std::pair{"127.0.0.1:1", "nobody tells of a run at 127.0.0.1:1"},
        std::pair{"127.0.0.1:x", "has no port from 1 to 65535"},
        std::pair{"example.org:80", "names no IPv4 address"}}) {
    auto [code, text] = look({target});
    BOOST_TEST(code == 2);
    BOOST_TEST(contains(flat(text), words), text);
  }
  auto driver = start_run({"--name", "shown"});
  BOOST_TEST(driver->wait(soon()).value_or(-999) == 0);
  auto [code, text] = look({"shown"});
  BOOST_TEST(code == 2);
  BOOST_TEST(contains(flat(text), "run 'shown' cannot be looked at: it has "
                                  "ended"),
             text);
}

BOOST_AUTO_TEST_CASE(a_run_can_be_started_without_and_on_a_port_of_ones_own) {
  auto words = fault_options({"policy", 1, 0, "generation", "hold"});
  words.insert(words.end(),
               {"--name", "shown", "--set", "runtime.monitor=false"});
  auto driver = start_run(words);
  static_cast<void>(wait_held());
  BOOST_TEST(!std::filesystem::exists(runs() / "shown" / "monitor.address"));
  interrupt(*driver);
  // A port that is taken is a note, not a failure.
  auto taken = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(at);
  BOOST_REQUIRE(::bind(taken, reinterpret_cast<sockaddr*>(&at), size) == 0);
  BOOST_REQUIRE(::listen(taken, 1) == 0);
  BOOST_REQUIRE(::getsockname(taken, reinterpret_cast<sockaddr*>(&at), &size)
                == 0);
  auto second = start_run(
    {"--set", fmt::format("runtime.monitor_port={}", ntohs(at.sin_port))});
  BOOST_TEST(second->wait(soon()).value_or(-999) == 0, second->output());
  BOOST_TEST(contains(flat(second->output()), "This run cannot be looked at"));
  ::close(taken);
}

// On a terminal: a screen that q ends, and that is left as it was.
BOOST_AUTO_TEST_CASE(q_ends_it_on_a_terminal) {
  auto driver = endless_run();
  winsize size{20, 80, 0, 0};
  int terminal = -1;
  auto pid = ::forkpty(&terminal, nullptr, nullptr, &size);
  BOOST_REQUIRE(pid >= 0);
  if (pid == 0) {
    ::setenv("TERM", "xterm", 1);
    auto program = faulty_app();
    auto run = (runs() / "shown").string();
    ::execl(program.c_str(), program.c_str(), "monitor", run.c_str(), nullptr);
    ::_exit(127);
  }
  std::string screen;
  auto until = soon();
  std::array<char, 4096> chunk;
  auto read_more = [&] {
    BOOST_REQUIRE(troupe::test::wait_readable(terminal, until));
    auto count = ::read(terminal, chunk.data(), chunk.size());
    if (count > 0)
      screen.append(chunk.data(), static_cast<std::size_t>(count));
    return count > 0;
  };
  while (screen.find("policy/1/0") == std::string::npos)
    BOOST_REQUIRE(read_more());
  BOOST_REQUIRE(::write(terminal, "q", 1) == 1);
  while (read_more())
    continue;
  int status = 0;
  BOOST_REQUIRE(::waitpid(pid, &status, 0) == pid);
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 0);
  // No line is wider than the window, and none was scrolled away.
  BOOST_TEST(contains(screen, "\x1b[J"));
  ::close(terminal);
  interrupt(*driver);
}

BOOST_AUTO_TEST_SUITE_END()
