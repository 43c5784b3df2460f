// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/memory_file.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "actors/process/support.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;

namespace {

result<unique_fd> file_of(std::uint64_t size, std::byte value) {
  return make_sealed_file(size, [value](std::span<std::byte> out) {
    std::fill(out.begin(), out.end(), value);
  });
}

} // namespace

BOOST_AUTO_TEST_SUITE(memory_file)

BOOST_AUTO_TEST_CASE(nobody_can_change_or_shrink_a_sealed_file) {
  auto file = file_of(10'000, std::byte{7});
  BOOST_REQUIRE(file);
  BOOST_TEST(::ftruncate(file->get(), 100) != 0);
  BOOST_TEST(::ftruncate(file->get(), 100'000) != 0);
  char x = 1;
  BOOST_TEST(::pwrite(file->get(), &x, 1, 0) < 0);
  BOOST_TEST(
    (::mmap(nullptr, 10'000, PROT_READ | PROT_WRITE, MAP_SHARED, file->get(), 0)
     == MAP_FAILED));
}

BOOST_AUTO_TEST_CASE(who_writes_into_a_mapping_writes_for_himself) {
  auto file = file_of(10'000, std::byte{7});
  BOOST_REQUIRE(file);
  auto one = map_sealed_file(*file, 10'000);
  auto other = map_sealed_file(*file, 10'000);
  BOOST_REQUIRE(one);
  BOOST_REQUIRE(other);
  one->data()[5'000] = std::byte{1};
  BOOST_TEST((one->data()[5'000] == std::byte{1}));
  BOOST_TEST((other->data()[5'000] == std::byte{7}));
  auto later = map_sealed_file(*file, 10'000);
  BOOST_REQUIRE(later);
  BOOST_TEST((later->data()[5'000] == std::byte{7}));
}

BOOST_AUTO_TEST_CASE(a_mapping_outlives_the_descriptor) {
  auto file = file_of(5'000, std::byte{3});
  BOOST_REQUIRE(file);
  auto mapped = map_sealed_file(*file, 5'000);
  BOOST_REQUIRE(mapped);
  file->reset();
  BOOST_TEST((mapped->data()[4'999] == std::byte{3}));
}

BOOST_AUTO_TEST_CASE(files_that_could_still_change_are_refused) {
  unique_fd open{::memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  BOOST_REQUIRE(::ftruncate(open.get(), 4096) == 0);
  auto mapped = map_sealed_file(open, 4096);
  BOOST_REQUIRE(!mapped);
  BOOST_TEST((mapped.error().code() == errc::corrupt));
  // Sealed against shrinking, but not against writing.
  ::fcntl(open.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
  BOOST_TEST(!map_sealed_file(open, 4096).has_value());

  auto file = file_of(4096, std::byte{});
  BOOST_REQUIRE(file);
  BOOST_TEST(!map_sealed_file(*file, 4095).has_value());
  BOOST_TEST(!map_sealed_file(*file, 4097).has_value());
  BOOST_TEST(!map_sealed_file(*file, 0).has_value());

  unique_fd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  BOOST_TEST(!map_sealed_file(null, 4096).has_value());
  auto event = make_wake_fd();
  BOOST_REQUIRE(event);
  BOOST_TEST(!map_sealed_file(*event, 4096).has_value());
}

BOOST_AUTO_TEST_CASE(more_than_there_is_is_an_error) {
  auto file = make_sealed_file(std::uint64_t{1} << 60,
                               [](std::span<std::byte>) {});
  BOOST_REQUIRE(!file);
  BOOST_TEST((file.error().code() == errc::exhausted));
}

BOOST_AUTO_TEST_SUITE_END()
