// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/digest.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <set>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/random_seed.hpp"

using namespace troupe;

namespace {

using octets = std::vector<std::byte>;

struct seeded {
  seeded() : seed(troupe::test::random_seed()), generator(seed) {
    BOOST_TEST_MESSAGE("seed " << seed);
  }

  octets data(std::size_t size) {
    octets out(size);
    for (auto& x : out)
      x = static_cast<std::byte>(generator());
    return out;
  }

  std::size_t below(std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>{0, bound - 1}(generator);
  }

  unsigned seed;
  std::mt19937_64 generator;
};

/// The definition in the header, word by word.
digest by_definition(const octets& data, std::uint64_t tensor) {
  const std::uint64_t weyl = 0x9E3779B97F4A7C15u;
  auto z = tensor + weyl;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  digest out;
  for (std::size_t i = 0; 8 * i < data.size(); ++i) {
    std::uint64_t w = 0;
    for (std::size_t b = 0; b < 8 && 8 * i + b < data.size(); ++b)
      w |= std::to_integer<std::uint64_t>(data[8 * i + b]) << (8 * b);
    auto x = z + i * weyl;
    auto k = x + (x & 0xffffffffu) * (x >> 32);
    auto low = static_cast<std::uint32_t>(w) + static_cast<std::uint32_t>(k);
    auto high = static_cast<std::uint32_t>(w >> 32)
                + static_cast<std::uint32_t>(k >> 32);
    out.products += std::uint64_t{low} * high;
    out.words += w;
  }
  return out;
}

digest whole(const octets& data, std::uint64_t tensor = 7) {
  return digest_of(data, tensor, 0);
}

} // namespace

BOOST_AUTO_TEST_SUITE(digest)

BOOST_AUTO_TEST_CASE(it_is_what_its_definition_says) {
  seeded random;
  for (std::size_t size = 0; size < 600; ++size) {
    auto data = random.data(size);
    auto tensor = random.generator();
    BOOST_REQUIRE(whole(data, tensor) == by_definition(data, tensor));
  }
}

// A kernel elsewhere is checked against these.
BOOST_AUTO_TEST_CASE(known_answers) {
  octets data(1000);
  for (std::size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<std::byte>(i * 37 + 11);
  BOOST_CHECK_EQUAL(to_string(whole(data, 0)),
                    "ab46bc1616de4f0b02f3e4d1c1ad9d4f");
  BOOST_CHECK_EQUAL(to_string(whole(data, 1)),
                    "d425f83e1e0b1c6502f3e4d1c1ad9d4f");
  BOOST_CHECK_EQUAL(to_string(whole({}, 1)), std::string(32, '0'));
}

BOOST_AUTO_TEST_CASE(any_split_at_whole_words_adds_up) {
  seeded random;
  for (std::size_t round = 0; round < 200; ++round) {
    auto data = random.data(1 + random.below(5000));
    std::set<std::size_t> cuts{0, data.size()};
    for (auto n = random.below(6); n > 0; --n)
      cuts.insert(random.below(data.size()) / 8 * 8);
    troupe::digest sum;
    auto begin = cuts.rbegin();
    // From the back: the order must not matter.
    for (auto end = begin++; begin != cuts.rend(); end = begin++)
      sum += digest_of(std::span{data}.subspan(*begin, *end - *begin), 7,
                       *begin);
    BOOST_REQUIRE(sum == whole(data));
  }
}

BOOST_AUTO_TEST_CASE(copying_gives_the_same_digest_and_the_same_bytes) {
  seeded random;
  for (std::size_t size : {0u, 1u, 7u, 8u, 127u, 128u, 129u, 5000u, 3000001u})
    for (std::size_t shift : {0u, 1u, 4u, 8u, 24u}) {
      auto data = random.data(size + 3);
      auto source = std::span{data}.subspan(3);
      octets target(size + shift + 64, std::byte{0x5a});
      auto got = copy_and_digest(target.data() + shift, source, 7, 64);
      BOOST_REQUIRE(got == digest_of(source, 7, 64));
      BOOST_REQUIRE(
        std::equal(source.begin(), source.end(),
                   target.begin() + static_cast<std::ptrdiff_t>(shift)));
      auto untouched = [](std::byte x) { return x == std::byte{0x5a}; };
      BOOST_REQUIRE(
        std::all_of(target.begin(),
                    target.begin() + static_cast<std::ptrdiff_t>(shift),
                    untouched));
      BOOST_REQUIRE(
        std::all_of(target.begin() + static_cast<std::ptrdiff_t>(shift + size),
                    target.end(), untouched));
    }
}

BOOST_AUTO_TEST_CASE(every_flipped_bit_shows) {
  seeded random;
  auto data = random.data(1031);
  auto before = whole(data);
  for (std::size_t bit = 0; bit < data.size() * 8; ++bit) {
    auto mask = static_cast<std::byte>(1u << (bit % 8));
    data[bit / 8] ^= mask;
    BOOST_REQUIRE(whole(data) != before);
    data[bit / 8] ^= mask;
  }
}

BOOST_AUTO_TEST_CASE(swapped_blocks_show) {
  seeded random;
  for (auto block : {8u, 16u, 64u, 4096u})
    for (std::size_t round = 0; round < 100; ++round) {
      auto data = random.data(16 * block);
      auto before = whole(data);
      auto a = random.below(16);
      auto b = (a + 1 + random.below(15)) % 16;
      auto at = [&](std::size_t i) {
        return data.begin() + static_cast<std::ptrdiff_t>(i * block);
      };
      std::swap_ranges(at(a), at(a + 1), at(b));
      BOOST_REQUIRE(whole(data) != before);
    }
}

// Sums alone, or keys that grow evenly, do not see these.
BOOST_AUTO_TEST_CASE(places_that_change_among_small_numbers_show) {
  auto words = [](std::vector<std::uint64_t> xs) {
    octets out(xs.size() * 8);
    std::memcpy(out.data(), xs.data(), out.size());
    return whole(out);
  };
  auto base = words({0, 5, 0, 0, 0, 0, 5, 0});
  BOOST_CHECK(words({0, 0, 5, 0, 0, 0, 5, 0}) != base);
  BOOST_CHECK(words({0, 0, 5, 0, 0, 5, 0, 0}) != base);
  BOOST_CHECK(words({5, 0, 0, 0, 0, 0, 0, 5}) != base);
  BOOST_CHECK(words({1, 2, 3, 4, 4, 3, 2, 1})
              != words({4, 3, 2, 1, 1, 2, 3, 4}));
}

BOOST_AUTO_TEST_CASE(moved_by_a_word_shows) {
  seeded random;
  auto data = random.data(4096);
  auto before = whole(data);
  std::rotate(data.begin(), data.begin() + 8, data.end());
  BOOST_CHECK(whole(data) != before);
  BOOST_CHECK(digest_of(data, 7, 0) != digest_of(data, 7, 8));
}

BOOST_AUTO_TEST_CASE(a_dropped_block_of_zeros_shows) {
  octets data(4096);
  BOOST_CHECK(whole(data) != digest_of(std::span{data}.first(4088), 7, 0));
  BOOST_CHECK(whole(data) != troupe::digest{});
}

BOOST_AUTO_TEST_CASE(swapped_tensors_show) {
  seeded random;
  auto a = random.data(1000);
  auto b = random.data(1000);
  BOOST_CHECK(whole(a, 1) + whole(b, 2) != whole(b, 1) + whole(a, 2));
  BOOST_CHECK(whole(a, 1) != whole(a, 2));
}

BOOST_AUTO_TEST_SUITE_END()
