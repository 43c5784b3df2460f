// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/cgroup.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <fstream>
#include <thread>

#include "support/scratch.hpp"

using namespace troupe;
using namespace troupe::process;

namespace {

struct fixture {
  test::scratch scratch;
  cgroup_places where{scratch.path() / "cgroup", scratch.path() / "fs"};

  static void write(const std::filesystem::path& file,
                    const std::string& text) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream{file} << text;
  }

  void own(const std::string& text) { write(where.own, text); }

  void limit(const std::string& file, const std::string& text) {
    write(where.root / file, text);
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(cgroup, fixture)

BOOST_AUTO_TEST_CASE(groups_are_read_of_both_kinds) {
  own("9:name=systemd:/x\n5:cpu,cpuacct:/y/z\nnonsense\n0::/job/7\n"
      "4:memory:/\n0::/../other\n");
  auto got = own_cgroups(where.own);
  BOOST_REQUIRE(got.size() == 5u);
  BOOST_TEST(got[1].controllers == "cpu,cpuacct");
  BOOST_TEST((got[1].folder == "y/z"));
  BOOST_TEST(got[2].controllers == "");
  BOOST_TEST((got[2].folder == "job/7"));
  BOOST_TEST(got[3].folder.empty());
  // Outside of what is seen.
  BOOST_TEST(got[4].folder.empty());
}

BOOST_AUTO_TEST_CASE(the_tightest_limit_around_counts) {
  own("0::/job/7\n");
  limit("job/7/cpu.max", "400000 100000\n");
  limit("job/cpu.max", "150000 100000\n");
  limit("cpu.max", "max 100000\n");
  limit("job/7/memory.max", "max\n");
  limit("job/memory.max", "4096\n");
  limit("memory.max", "8192\n");
  auto got = read_cgroup_limits(where);
  BOOST_REQUIRE(got.cores.has_value());
  BOOST_TEST(*got.cores == 1.5);
  BOOST_REQUIRE(got.memory_bytes.has_value());
  BOOST_TEST(*got.memory_bytes == 4096u);
  BOOST_TEST(usable_memory_bytes(where) == 4096u);
  auto cores = std::max(1u, std::thread::hardware_concurrency());
  BOOST_TEST(usable_cores(where)
             == std::min(2, static_cast<std::int32_t>(cores)));
}

BOOST_AUTO_TEST_CASE(the_older_hierarchies_have_limits_too) {
  own("5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/docker/1\n");
  // In the container its own group is the outermost.
  limit("cpu/cpu.cfs_quota_us", "50000\n");
  limit("cpu/cpu.cfs_period_us", "100000\n");
  limit("memory/memory.limit_in_bytes", "1024\n");
  auto got = read_cgroup_limits(where);
  BOOST_REQUIRE(got.cores.has_value());
  BOOST_TEST(*got.cores == 0.5);
  BOOST_REQUIRE(got.memory_bytes.has_value());
  BOOST_TEST(*got.memory_bytes == 1024u);
  BOOST_TEST(usable_cores(where) == 1);
  limit("cpu/cpu.cfs_quota_us", "-1\n");
  BOOST_TEST(!read_cgroup_limits(where).cores.has_value());
}

BOOST_AUTO_TEST_CASE(what_is_no_limit_is_none) {
  own("0::/job\n3:cpuset:/job\n");
  for (const auto* text : {"", "max 100000", "-1 100000", "x y", "100000",
                           "0 100000", "100000 0", "1 2 3"}) {
    limit("job/cpu.max", text);
    auto got = read_cgroup_limits(where);
    BOOST_TEST(!got.cores.has_value(), text);
  }
  std::filesystem::remove_all(where.root);
  auto got = read_cgroup_limits(where);
  BOOST_TEST(!got.cores.has_value());
  BOOST_TEST(!got.memory_bytes.has_value());
  BOOST_TEST(usable_cores(where) >= 1);
  BOOST_TEST(usable_memory_bytes(where) > 4096u);
  // This process's own, whatever they are.
  BOOST_TEST(usable_cores() >= 1);
  BOOST_TEST(usable_memory_bytes() > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
