// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/checkpoint/batch_file.hpp"

#include <fstream>

#include <boost/test/unit_test.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "support/scratch.hpp"

using namespace troupe;
using namespace troupe::checkpoint;

namespace {

batch sample() {
  batch out;
  const float values[] = {1, -0.0f, 3};
  out.set("x", tensor::copy_of(std::span<const float>{values}, {3}));
  out.set_meta("step", std::int64_t{7});
  out.set_meta("name", std::string{"adam"});
  return out;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(batch_file, test::scratch)

BOOST_AUTO_TEST_CASE(what_is_written_is_read) {
  auto file = path() / "a/b/c";
  BOOST_REQUIRE(write_batch(file, sample()));
  auto got = read_batch(file);
  BOOST_REQUIRE(got);
  BOOST_TEST(got->meta_number("step") == 7);
  auto want = encode(sample());
  auto have = encode(*got);
  BOOST_TEST(
    (std::string_view{reinterpret_cast<const char*>(want.data()), want.size()}
     == std::string_view{reinterpret_cast<const char*>(have.data()),
                         have.size()}));
}

// Nobody is lost, which is what `lost` would say of whoever answers so.
BOOST_AUTO_TEST_CASE(what_is_not_there_is_named) {
  auto got = read_batch(path() / "gone");
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::failed));
  BOOST_TEST(got.error().message().find("gone") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_file_cut_anywhere_is_corrupt) {
  auto file = path() / "x";
  BOOST_REQUIRE(write_batch(file, sample()));
  for (auto size = std::filesystem::file_size(file); size-- > 0;) {
    std::filesystem::resize_file(file, size);
    auto got = read_batch(file);
    BOOST_REQUIRE_MESSAGE(!got, "a file of " << size << " bytes was read");
    BOOST_TEST((got.error().code() == errc::corrupt));
    BOOST_TEST(got.error().message().find(file.string()) == 0u);
  }
}

BOOST_AUTO_TEST_CASE(a_folder_in_the_way_is_an_error_that_names_it) {
  std::ofstream{path() / "file"} << "x";
  auto got = write_batch(path() / "file/below", sample());
  BOOST_REQUIRE(!got);
  BOOST_TEST(got.error().message().find("file") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_full_disk_says_what_to_do) {
  struct stat info {};
  BOOST_REQUIRE(::stat("/dev/full", &info) == 0);
  auto got = write_batch("/dev/full", sample());
  BOOST_REQUIRE(!got);
  BOOST_TEST((got.error().code() == errc::exhausted));
  BOOST_TEST(got.error().message().find("checkpoints_max")
             != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
