// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/checkpoint/shared_folder.hpp"

#include <fstream>

#include <boost/test/unit_test.hpp>
#include <unistd.h>

#include "support/scratch.hpp"

using namespace troupe;
using checkpoint::look_for_mark;
using checkpoint::shared_folder_mark;
namespace fs = std::filesystem;

namespace {

struct fixture : test::scratch {
  fs::path folder = path() / "runs/first/checkpoints";

  [[nodiscard]] bool empty() const { return fs::is_empty(folder); }

  static bool says(const result<void>& x, errc code, std::string_view text) {
    return !x && x.error().code() == code
           && x.error().message().find(text) != std::string::npos;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(shared_folder, fixture)

BOOST_AUTO_TEST_CASE(who_shares_the_folder_sees_the_mark_and_leaves_nothing) {
  {
    auto mark = shared_folder_mark::leave(folder);
    BOOST_REQUIRE(mark);
    BOOST_TEST(look_for_mark(mark->file(), mark->token(), false).has_value());
    BOOST_TEST(look_for_mark(mark->file(), mark->token(), true).has_value());
    auto home = mark->file().parent_path();
    BOOST_TEST(std::distance(fs::directory_iterator{home}, {}) == 1);
  }
  BOOST_TEST(empty());
}

BOOST_AUTO_TEST_CASE(who_has_another_folder_there_does_not_see_it) {
  auto mark = shared_folder_mark::leave(folder);
  BOOST_REQUIRE(mark);
  auto elsewhere = path() / "other" / "first" / "token";
  BOOST_TEST(says(look_for_mark(elsewhere, mark->token(), false),
                  errc::unavailable, (path() / "other").string()));
  // The same name, by chance or from a copy.
  BOOST_TEST(says(look_for_mark(mark->file(), "another", true),
                  errc::unavailable, "does not see " + folder.string()));
  std::ofstream{mark->file()} << std::string(100'000, 'x');
  BOOST_TEST(says(look_for_mark(mark->file(), mark->token(), true),
                  errc::unavailable, "does not see"));
}

BOOST_AUTO_TEST_CASE(what_a_killed_driver_left_goes_with_the_next_mark) {
  auto first = shared_folder_mark::leave(folder);
  BOOST_REQUIRE(first);
  auto second = shared_folder_mark::leave(folder);
  BOOST_REQUIRE(second);
  BOOST_TEST(first->file() != second->file());
  BOOST_TEST(std::distance(fs::directory_iterator{folder}, {}) == 1);
  BOOST_TEST(look_for_mark(second->file(), second->token(), true).has_value());
}

BOOST_AUTO_TEST_CASE(who_may_not_write_is_told) {
  // Nothing is forbidden to root.
  if (::geteuid() == 0) {
    BOOST_TEST_MESSAGE("not run as root");
    return;
  }
  auto mark = shared_folder_mark::leave(folder);
  BOOST_REQUIRE(mark);
  auto home = mark->file().parent_path();
  fs::permissions(home, fs::perms::owner_read | fs::perms::owner_exec);
  BOOST_TEST(look_for_mark(mark->file(), mark->token(), false).has_value());
  BOOST_TEST(says(look_for_mark(mark->file(), mark->token(), true),
                  errc::refused, "may not write into " + folder.string()));
  fs::permissions(home, fs::perms::none);
  BOOST_TEST(says(look_for_mark(mark->file(), mark->token(), false),
                  errc::refused, "may not read " + folder.string()));
  fs::permissions(home, fs::perms::owner_all);
}

BOOST_AUTO_TEST_CASE(a_folder_that_cannot_be_made_is_said) {
  fs::create_directories(folder.parent_path());
  std::ofstream{folder} << "a file";
  BOOST_TEST(!shared_folder_mark::leave(folder));
}

BOOST_AUTO_TEST_SUITE_END()
