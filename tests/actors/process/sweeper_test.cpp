// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/sweeper.hpp"

#include <iostream>
#include <set>
#include <string>

#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/process/support.hpp"
#include "support/scratch.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;
namespace fs = std::filesystem;

namespace {

/// It ends by itself; how soon depends on who else has work here.
constexpr auto clean_up_max = std::chrono::seconds{10};

using names = std::set<std::string>;

/// A process that does nothing until it is killed.
struct idle_process {
  pid_t pid = ::fork();

  idle_process() {
    while (pid == 0)
      ::poll(nullptr, 0, -1);
  }

  ~idle_process() { end(); }

  void end() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
};

struct fixture : test::scratch {
  fs::path run = path() / "run";
  unique_fd folder;
  sweeper_settings settings;

  fixture() {
    fs::create_directories(run);
    folder.reset(::open(run.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    BOOST_REQUIRE(folder);
    settings.folder = folder.get();
    settings.leftovers = {"orders", "summary.part", "saved/*.partial",
                          "no such folder/x"};
    fill(run);
  }

  static void make_file(const fs::path& file) {
    fs::create_directories(file.parent_path());
    unique_fd made{::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
    BOOST_REQUIRE(made);
  }

  static void fill(const fs::path& run) {
    for (const auto* name :
         {"orders", "summary.part", "summary", "my.part", "saved/7/rank0/w",
          "saved/8.partial/rank0/w", "saved/8.partial/rank1/w", "kept/x"})
      make_file(run / name);
    fs::create_directory_symlink(run / "kept", run / "saved/link.partial");
  }

  static names in(const fs::path& folder) {
    names out;
    for (const auto& x : fs::directory_iterator{folder})
      out.insert(x.path().filename().string());
    return out;
  }

  static bool is_swept(const fs::path& run) {
    return in(run) == names{"summary", "my.part", "saved", "kept"}
           && in(run / "saved") == names{"7"}
           && fs::exists(run / "saved/7/rank0/w") && fs::exists(run / "kept/x");
  }
};

/// A process with a sweeper, which is no child of ours: it may be killed.
struct foreign_starter {
  pid_t pid = 0;
  unique_fd sweeper_process;
  pid_t sweeper_pid = 0;

  explicit foreign_starter(const sweeper_settings& settings,
                           bool close_at_exit = false) {
    int ends[2];
    BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    pid = ::fork();
    if (pid == 0) {
      auto started = process::sweeper::start(settings);
      auto told = started ? (*started)->pid() : 0;
      if (started && close_at_exit)
        (*started)->close_at_exit();
      [[maybe_unused]] auto sent = ::write(ends[1], &told, sizeof(told));
      for (;;)
        ::poll(nullptr, 0, -1);
    }
    ::close(ends[1]);
    BOOST_REQUIRE(readable(ends[0], soon()));
    std::int32_t told = 0;
    BOOST_REQUIRE(::read(ends[0], &told, sizeof(told)) == sizeof(told));
    ::close(ends[0]);
    sweeper_pid = told;
    BOOST_REQUIRE(sweeper_pid > 0);
    sweeper_process = open_pidfd(sweeper_pid);
  }

  ~foreign_starter() {
    end();
    ::kill(sweeper_pid, SIGKILL);
  }

  void end() {
    if (pid > 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
      pid = 0;
    }
  }
};

bool is_free(const fs::path& folder) {
  unique_fd other{::open(folder.c_str(), O_RDONLY | O_CLOEXEC)};
  return ::flock(other.get(), LOCK_EX | LOCK_NB) == 0;
}

/// Waits for the end of a sweeper, and says how long it took.
bool ends(const unique_fd& process) {
  auto began = steady_clock().now();
  auto in_time = ended(process, deadline::after(clean_up_max));
  auto took = steady_clock().now() - began;
  std::cout << (in_time ? "ended after " : "not ended after ")
            << std::chrono::round<std::chrono::milliseconds>(took).count()
            << " ms\n";
  return in_time;
}

/// Waits for a file to disappear. There is no event for this.
bool gone(const fs::path& file, deadline until) {
  while (fs::exists(file) && !until.passed())
    ::poll(nullptr, 0, 5);
  return !fs::exists(file);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(sweeper, fixture)

BOOST_AUTO_TEST_CASE(what_is_left_goes_with_a_killed_process_and_nothing_else) {
  BOOST_REQUIRE(::flock(folder.get(), LOCK_EX | LOCK_NB) == 0);
  foreign_starter starter{settings};
  folder.reset();
  // The terminal's requests are not for it.
  ::kill(starter.sweeper_pid, SIGINT);
  ::kill(starter.sweeper_pid, SIGHUP);
  BOOST_TEST(!ended(starter.sweeper_process,
                    deadline::after(std::chrono::milliseconds{100})));
  BOOST_TEST(fs::exists(run / "orders"));
  BOOST_TEST(!is_free(run));
  starter.end();
  BOOST_TEST(ends(starter.sweeper_process));
  BOOST_TEST(is_swept(run));
  BOOST_TEST(is_free(run));
}

BOOST_AUTO_TEST_CASE(nobody_goes_on_before_the_guard_has_ended) {
  idle_process guard;
  settings.guard_pid = guard.pid;
  // Made elsewhere: the sweeper may look at any moment.
  make_file(path() / "9.partial/rank0/w");
  BOOST_REQUIRE(::flock(folder.get(), LOCK_EX | LOCK_NB) == 0);
  foreign_starter starter{settings};
  folder.reset();
  starter.end();
  // At once; but hosts may still write.
  BOOST_TEST(gone(run / "orders", soon()));
  BOOST_TEST(gone(run / "saved/8.partial", soon()));
  fs::rename(path() / "9.partial", run / "saved/9.partial");
  BOOST_TEST(!is_free(run));
  guard.end();
  BOOST_TEST(ends(starter.sweeper_process));
  BOOST_TEST(is_swept(run));
  BOOST_TEST(is_free(run));
}

BOOST_AUTO_TEST_CASE(what_others_write_after_the_end_goes_too) {
  settings.linger = std::chrono::seconds{3};
  make_file(path() / "9.partial/rank0/w");
  foreign_starter starter{settings};
  starter.end();
  BOOST_TEST(gone(run / "saved/8.partial", soon()));
  fs::rename(path() / "9.partial", run / "saved/9.partial");
  BOOST_TEST(ended(starter.sweeper_process, soon()));
  BOOST_TEST(is_swept(run));
}

BOOST_AUTO_TEST_CASE(another_folder_of_the_same_name_is_left_alone) {
  foreign_starter starter{settings};
  fs::rename(run, path() / "moved");
  fill(run);
  starter.end();
  BOOST_TEST(ends(starter.sweeper_process));
  BOOST_TEST(is_swept(path() / "moved"));
  BOOST_TEST(fs::exists(run / "orders"));
  BOOST_TEST(fs::exists(run / "saved/8.partial/rank1/w"));
}

BOOST_AUTO_TEST_CASE(one_that_is_told_that_all_is_done_ends_at_once) {
  auto started = process::sweeper::start(settings);
  BOOST_REQUIRE(started);
  auto process = open_pidfd((*started)->pid());
  auto began = steady_clock().now();
  (*started)->close();
  // It is waited for, unless the machine holds it up for two seconds.
  auto held_up = steady_clock().now() - began >= std::chrono::seconds{2};
  BOOST_TEST(
    ended(process, held_up ? soon() : deadline::after(duration::zero())));
  BOOST_TEST(is_swept(run));
}

BOOST_AUTO_TEST_CASE(at_exit_means_after_the_end_and_then_at_once) {
  // Neither is waited for.
  idle_process guard;
  settings.guard_pid = guard.pid;
  settings.linger = std::chrono::minutes{1};
  foreign_starter starter{settings, true};
  BOOST_TEST(!ended(starter.sweeper_process,
                    deadline::after(std::chrono::milliseconds{100})));
  BOOST_TEST(fs::exists(run / "orders"));
  starter.end();
  BOOST_TEST(ends(starter.sweeper_process));
  BOOST_TEST(is_swept(run));
}

BOOST_AUTO_TEST_CASE(who_started_it_does_its_work_if_it_was_killed) {
  auto started = process::sweeper::start(settings);
  BOOST_REQUIRE(started);
  auto process = open_pidfd((*started)->pid());
  ::kill((*started)->pid(), SIGKILL);
  BOOST_TEST(ended(process, soon()));
  BOOST_TEST(!is_swept(run));
  started->reset();
  BOOST_TEST(is_swept(run));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_removed_keeps_nothing_else) {
  if (::geteuid() == 0) {
    BOOST_TEST_MESSAGE("skipped: root may remove everything");
    return;
  }
  fs::permissions(run / "saved/8.partial/rank0",
                  fs::perms::owner_read | fs::perms::owner_exec);
  sweep(folder.get(), settings.leftovers, soon());
  BOOST_TEST(fs::exists(run / "saved/8.partial/rank0/w"));
  BOOST_TEST(!fs::exists(run / "saved/8.partial/rank1"));
  BOOST_TEST(!fs::exists(run / "orders"));
  fs::permissions(run / "saved/8.partial/rank0", fs::perms::owner_all);
}

BOOST_AUTO_TEST_CASE(a_sweep_ends_at_its_deadline) {
  sweep(folder.get(), settings.leftovers, deadline::after(duration::zero()));
  BOOST_TEST(fs::exists(run / "orders"));
}

BOOST_AUTO_TEST_SUITE_END()
