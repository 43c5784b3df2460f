// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/oom_counter.hpp"

#include <boost/test/unit_test.hpp>

#include <fstream>

#include "support/scratch.hpp"

using namespace troupe;
using counter = process::oom_counter;

namespace {

struct fixture {
  test::scratch scratch;
  counter::places where{scratch.path() / "cgroup", scratch.path() / "fs",
                        scratch.path() / "vmstat"};

  void write(const std::filesystem::path& file, const std::string& text) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream{file} << text;
  }

  void events(int killed) {
    write(where.cgroups / "job/7/memory.events",
          "low 0\nhigh 9\nmax 12\noom 3\noom_kill " + std::to_string(killed)
            + "\noom_group_kill 8\n");
  }

  static bool says(const std::string& text, const std::string& part) {
    BOOST_TEST_INFO(text);
    return text.find(part) != std::string::npos;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(oom_counter, fixture)

BOOST_AUTO_TEST_CASE(a_count_that_rises_is_told_once) {
  write(where.own_cgroup, "1:name=systemd:/x\n0::/job/7\n");
  events(2);
  counter x{where};
  BOOST_TEST(x.what_is_new().empty());
  events(3);
  auto got = x.what_is_new();
  BOOST_TEST(says(got, "job/7/memory.events rose from 2 to 3"));
  BOOST_TEST(x.what_is_new().empty());
  events(5);
  BOOST_TEST(says(x.what_is_new(), "rose from 3 to 5"));
}

BOOST_AUTO_TEST_CASE(the_older_hierarchy_counts_elsewhere) {
  write(where.own_cgroup, "9:name=systemd:/x\n5:cpu,cpuacct:/y\n"
                          "4:memory:/job/7\n0::/\n");
  auto file = where.cgroups / "memory/job/7/memory.oom_control";
  write(file, "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
  counter x{where};
  write(file, "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n");
  BOOST_TEST(says(x.what_is_new(), "memory.oom_control rose from 4 to 5"));
}

BOOST_AUTO_TEST_CASE(without_a_memory_cgroup_the_machine_is_asked) {
  write(where.own_cgroup, "0::/\n");
  write(where.machine, "nr_free_pages 5\noom_kill 1\n");
  counter x{where};
  write(where.machine, "nr_free_pages 5\noom_kill 2\n");
  BOOST_TEST(says(x.what_is_new(), "vmstat rose from 1 to 2"));
}

BOOST_AUTO_TEST_CASE(where_nobody_tells_nothing_is_said) {
  counter x{where};
  write(where.machine, "oom_kill 2\n");
  BOOST_TEST(x.what_is_new().empty());
}

BOOST_AUTO_TEST_CASE(what_is_no_count_is_none) {
  write(where.own_cgroup, "0::/job/7\n");
  for (const auto* text : {"", "oom_kill", "oom_kill x\n", "oom_kill -",
                           "oom_kill_more 3\n", "\n\n\n"}) {
    write(where.cgroups / "job/7/memory.events", text);
    counter x{where};
    events(9);
    BOOST_TEST(x.what_is_new().empty(), text);
  }
  events(2);
  counter x{where};
  std::filesystem::remove_all(where.cgroups);
  BOOST_TEST(x.what_is_new().empty());
}

BOOST_AUTO_TEST_SUITE_END()
