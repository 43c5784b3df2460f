// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/checkpoint/checkpoint_folder.hpp"

#include <fstream>

#include <boost/test/unit_test.hpp>
#include <fmt/format.h>

#include "support/scratch.hpp"
#include "support/why.hpp"
#include "troupe/actors/checkpoint/batch_file.hpp"

using namespace troupe;
namespace fs = std::filesystem;

namespace {

struct fixture : test::scratch {
  checkpoint::checkpoint_folder uut{path() / "checkpoints"};

  static batch state(std::int64_t x) {
    batch out;
    out.set_meta("state", x);
    return out;
  }

  /// A checkpoint with one rank's file.
  void save(std::int64_t episode) {
    auto directory = uut.begin(episode);
    BOOST_REQUIRE_MESSAGE(directory, test::why(directory));
    batch weights;
    weights.set("w", tensor{dtype::float32, {1000}});
    BOOST_REQUIRE(
      checkpoint::write_batch(*directory / "policy/0/w.rank0", weights));
    auto done = uut.commit(episode, state(episode));
    BOOST_REQUIRE_MESSAGE(done, test::why(done));
  }

  std::int64_t latest_episode() {
    auto found = uut.latest();
    return found ? found->episode : -1;
  }

  fs::path file_of(std::int64_t episode) const {
    return uut.path() / fmt::format("episode-{:08}", episode)
           / "policy/0/w.rank0";
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(checkpoint_folder, fixture)

BOOST_AUTO_TEST_CASE(the_newest_is_found_with_its_state) {
  for (auto episode : {0, 9, 10, 100})
    save(episode);
  auto found = uut.latest();
  BOOST_REQUIRE(found);
  BOOST_TEST(found->episode == 100);
  BOOST_TEST(found->state.meta_number("state") == 100);
  BOOST_TEST(found->passed_over.empty());
  BOOST_TEST(fs::exists(found->directory / "policy/0/w.rank0"));
}

BOOST_AUTO_TEST_CASE(without_any_it_says_where_it_looked) {
  auto found = uut.latest();
  BOOST_REQUIRE(!found);
  BOOST_TEST((found.error().code() == errc::invalid));
  BOOST_TEST(found.error().message().find(uut.path().string())
             != std::string::npos);
}

// A link to itself, which nobody can look through.
BOOST_AUTO_TEST_CASE(what_cannot_be_looked_at_is_passed_over) {
  for (auto episode : {1, 2})
    save(episode);
  auto own = file_of(2).parent_path();
  BOOST_TEST(uut.holds_state(2, "policy"));
  fs::remove(file_of(2));
  BOOST_TEST(!uut.holds_state(2, "policy"));
  fs::create_symlink("troupe.loop", own / "troupe.loop");
  // Nobody can tell.
  BOOST_TEST(uut.holds_state(2, "policy"));
  auto found = uut.latest();
  BOOST_REQUIRE_MESSAGE(found, test::why(found));
  BOOST_TEST(found->episode == 1);
  BOOST_REQUIRE(found->passed_over.size() == 1u);
  BOOST_TEST(found->passed_over.front().find("troupe.loop")
             != std::string::npos);
}

// Whatever a kill leaves of the next one, the last one stands.
BOOST_AUTO_TEST_CASE(what_was_not_committed_does_not_count) {
  save(1);
  auto directory = uut.begin(2);
  BOOST_REQUIRE(directory);
  BOOST_TEST(latest_episode() == 1);
  BOOST_REQUIRE(checkpoint::write_batch(*directory / "policy/0/w.rank0", {}));
  BOOST_TEST(latest_episode() == 1);
  save(3);
  BOOST_TEST(!fs::exists(*directory));
  BOOST_TEST(latest_episode() == 3);
}

BOOST_AUTO_TEST_CASE(a_damaged_one_is_passed_over_and_named) {
  save(1);
  save(2);
  std::fstream file{file_of(2),
                    std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(2000);
  file.put('\x01');
  file.close();
  auto found = uut.latest();
  BOOST_REQUIRE(found);
  BOOST_TEST(found->episode == 1);
  BOOST_REQUIRE(found->passed_over.size() == 1u);
  BOOST_TEST(found->passed_over[0].find(file_of(2).string()) == 0u);
}

BOOST_AUTO_TEST_CASE(a_file_too_few_or_too_many_is_damage) {
  save(1);
  save(2);
  save(3);
  fs::remove(file_of(3));
  BOOST_TEST(latest_episode() == 2);
  std::ofstream{file_of(2).parent_path() / "x"} << "surprise";
  BOOST_TEST(latest_episode() == 1);
  auto manifest = uut.path() / "episode-00000001/MANIFEST";
  auto whole = fs::file_size(manifest);
  for (auto left : {whole - 1, std::uintmax_t{0}}) {
    fs::resize_file(manifest, left);
    auto none = uut.latest();
    BOOST_REQUIRE(!none);
    // What is wrong with each is told.
    for (const auto* text :
         {"policy/0/w.rank0 is missing", "policy/0/x does not belong there",
          "episode-00000001/MANIFEST is cut off"})
      BOOST_TEST(none.error().message().find(text) != std::string::npos,
                 none.error().message());
  }
}

BOOST_AUTO_TEST_CASE(the_oldest_go) {
  for (auto episode : {5, 6, 7, 8})
    save(episode);
  uut.prune(8, 2);
  std::vector<std::string> left;
  for (const auto& x : fs::directory_iterator{uut.path()})
    left.push_back(x.path().filename().string());
  std::ranges::sort(left);
  BOOST_TEST(left
               == (std::vector<std::string>{"episode-00000007",
                                            "episode-00000008"}),
             boost::test_tools::per_element());
}

// They are of a run that went on from an earlier one, or damaged: they must not
// push out what is good.
BOOST_AUTO_TEST_CASE(later_ones_go_first) {
  for (auto episode : {1, 2, 9})
    save(episode);
  uut.prune(2, 2);
  BOOST_TEST(latest_episode() == 2);
  uut.prune(2, 1);
  BOOST_TEST(latest_episode() == 2);
  BOOST_TEST(!fs::exists(file_of(1)));
}

BOOST_AUTO_TEST_CASE(a_run_that_went_on_from_an_older_one_replaces) {
  save(1);
  save(2);
  auto directory = uut.begin(2);
  BOOST_REQUIRE(directory);
  BOOST_REQUIRE(uut.commit(2, state(77)));
  auto found = uut.latest();
  BOOST_REQUIRE(found);
  BOOST_TEST(found->state.meta_number("state") == 77);
  BOOST_TEST(!fs::exists(file_of(2)));
}

BOOST_AUTO_TEST_CASE(names_that_are_no_checkpoints_are_left_alone) {
  save(4);
  for (const auto* name : {"episode-", "episode-x", "episode-9x", "notes"})
    fs::create_directory(uut.path() / name);
  uut.prune(4, 1);
  BOOST_TEST(latest_episode() == 4);
  BOOST_TEST(fs::exists(uut.path() / "notes"));
}

BOOST_AUTO_TEST_SUITE_END()
