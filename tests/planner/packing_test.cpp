// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/packing.hpp"

#include <algorithm>

#include <boost/test/unit_test.hpp>

#include "planner/jobs.hpp"

using namespace troupe::planner;

namespace {

std::vector<pack_item> items(std::initializer_list<std::int64_t> sizes) {
  std::vector<pack_item> out;
  for (auto size : sizes)
    out.push_back({size, false});
  return out;
}

using packs = std::vector<pack>;

} // namespace

BOOST_AUTO_TEST_SUITE(packing)

BOOST_AUTO_TEST_CASE(halves_stand_beside_each_other) {
  BOOST_TEST((find_packs(items({8, 4, 4}), 8) == packs{{0}, {1, 2}}));
}

BOOST_AUTO_TEST_CASE(trainable_models_come_first) {
  std::vector<pack_item> list{{4, true}, {8, true}, {3, false}};
  BOOST_TEST((find_packs(list, 8) == packs{{1}, {0, 2}}));
}

BOOST_AUTO_TEST_CASE(a_number_whose_list_is_empty_offers_no_pack) {
  // ChatLearn pops from an empty list here.
  auto list = items({4, 1, 1, 1, 1, 1});
  BOOST_TEST(upstream_packer_crashes(list, 4));
  BOOST_TEST((find_packs(list, 4) == packs{{0}, {1, 2, 3, 4}, {5}}));
  std::vector<pack_item> other{{3, true}, {2, true}, {5, false}};
  BOOST_TEST(upstream_packer_crashes(other, 8));
  BOOST_TEST((find_packs(other, 8) == packs{{0, 1}, {2}}));
  BOOST_TEST(!upstream_packer_crashes(items({8, 4, 4}), 8));
}

BOOST_AUTO_TEST_CASE(packs_partition_the_models_and_fit) {
  const std::uint32_t seed = 20250521;
  BOOST_TEST_MESSAGE("seed " << seed);
  testing::dice roll{seed};
  for (int round = 0; round < 5000; ++round) {
    auto total = roll(1, 24);
    std::vector<pack_item> list;
    for (auto n = roll(1, 12); n > 0; --n)
      list.push_back({roll(1, total), roll.coin()});
    std::vector<int> seen(list.size(), 0);
    for (const auto& x : find_packs(list, total)) {
      BOOST_REQUIRE(!x.empty());
      std::int64_t sum = 0;
      for (auto i : x) {
        ++seen[static_cast<std::size_t>(i)];
        sum += list[static_cast<std::size_t>(i)].num_gpu;
      }
      BOOST_REQUIRE_LE(sum, total);
    }
    BOOST_REQUIRE(
      std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
  }
}

BOOST_AUTO_TEST_SUITE_END()
