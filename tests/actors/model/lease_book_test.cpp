// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/lease_book.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <map>
#include <random>

#include "support/random_seed.hpp"

using troupe::model::lease_book;
using numbers = std::vector<std::uint64_t>;

BOOST_AUTO_TEST_SUITE(model_lease_book)

BOOST_AUTO_TEST_CASE(devices_go_to_one_owner_at_a_time) {
  lease_book book;
  BOOST_TEST(book.ask(1, "policy", {"a", "b"}));
  BOOST_TEST(book.begin() == (numbers{1}), boost::test_tools::per_element());
  BOOST_TEST(book.ask(2, "reward", {"b", "c"}));
  BOOST_TEST(book.begin().empty());
  book.end(1);
  BOOST_TEST(book.begin() == (numbers{2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(other_devices_are_not_waited_for) {
  lease_book book;
  book.ask(1, "policy", {"a", "b"});
  book.ask(2, "reward", {"c", "d"});
  BOOST_TEST(book.begin() == (numbers{1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_owner_has_its_devices_as_often_as_it_asks) {
  lease_book book;
  book.ask(1, "policy", {"a", "b"});
  book.ask(2, "policy", {"a", "b"});
  BOOST_TEST(book.begin() == (numbers{1, 2}), boost::test_tools::per_element());
  book.ask(3, "reward", {"a", "b"});
  book.end(1);
  BOOST_TEST(book.begin().empty());
  book.end(2);
  BOOST_TEST(book.begin() == (numbers{3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(nobody_passes_who_waits) {
  lease_book book;
  book.ask(1, "policy", {"a", "b"});
  book.ask(2, "reward", {"a", "b"});
  // Of the owner that has them, and of one that wants what is free.
  book.ask(3, "policy", {"a", "b"});
  book.ask(4, "value", {"b", "c"});
  BOOST_TEST(book.begin() == (numbers{1}), boost::test_tools::per_element());
  book.end(1);
  BOOST_TEST(book.begin() == (numbers{2}), boost::test_tools::per_element());
  book.end(2);
  BOOST_TEST(book.begin() == (numbers{3}), boost::test_tools::per_element());
  book.end(3);
  BOOST_TEST(book.begin() == (numbers{4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_repair_passes_who_waits_and_not_who_has) {
  lease_book book;
  book.ask(1, "policy", {"a", "b"});
  book.ask(2, "t2p", {"a", "b", "c"});
  // Has what the repair wants, behind one that waits.
  book.ask(3, "value", {"d"});
  BOOST_TEST(book.begin() == (numbers{1, 3}), boost::test_tools::per_element());
  book.ask(4, "reward", {"b", "d"}, true);
  book.ask(5, "critic", {"b"}, true);
  BOOST_TEST(book.begin().empty());
  book.end(1);
  BOOST_TEST(book.begin().empty());
  book.end(3);
  BOOST_TEST(book.begin() == (numbers{4}), boost::test_tools::per_element());
  book.end(4);
  BOOST_TEST(book.begin() == (numbers{5}), boost::test_tools::per_element());
  book.end(5);
  BOOST_TEST(book.begin() == (numbers{2}), boost::test_tools::per_element());
}

// A call may be stuck until its model is repaired, and others' repairs wait for
// that call.
BOOST_AUTO_TEST_CASE(a_repair_of_who_has_all_waits_for_nobody) {
  lease_book book;
  book.ask(1, "policy", {"a", "b"});
  BOOST_TEST(book.begin() == (numbers{1}), boost::test_tools::per_element());
  book.ask(2, "reward", {"b", "c"}, true);
  book.ask(3, "policy", {"a", "b"}, true);
  BOOST_TEST(book.begin() == (numbers{3}), boost::test_tools::per_element());
  // One that wants more than its owner has waits like others.
  book.ask(4, "policy", {"a", "c"}, true);
  BOOST_TEST(book.begin().empty());
  book.end(1);
  book.end(3);
  BOOST_TEST(book.begin() == (numbers{2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(it_says_who_is_in_the_way) {
  using names = std::vector<std::string>;
  lease_book book;
  book.ask(1, "policy", {"a"});
  book.ask(2, "policy", {"a", "b"});
  book.ask(3, "reward", {"b"});
  book.ask(4, "value", {"c"});
  static_cast<void>(book.begin());
  book.ask(5, "t2p", {"a", "b"});
  BOOST_TEST(book.blockers(5) == (names{"policy", "reward"}),
             boost::test_tools::per_element());
  BOOST_TEST(book.blockers(1).empty());
  BOOST_TEST(book.blockers(7).empty());
}

BOOST_AUTO_TEST_CASE(who_gives_up_makes_room) {
  lease_book book;
  book.ask(1, "policy", {"a"});
  book.ask(2, "reward", {"a", "b"});
  book.ask(3, "value", {"b"});
  BOOST_TEST(book.begin() == (numbers{1}), boost::test_tools::per_element());
  book.end(2);
  BOOST_TEST(book.begin() == (numbers{3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(numbers_are_used_once_and_may_be_unknown) {
  lease_book book;
  BOOST_TEST(book.ask(1, "policy", {"a"}));
  BOOST_TEST(!book.ask(1, "reward", {"b"}));
  book.end(7);
  BOOST_TEST(book.size() == 1u);
}

BOOST_AUTO_TEST_CASE(everybody_gets_a_turn_and_nobody_shares) {
  auto seed = troupe::test::random_seed();
  BOOST_TEST_INFO_SCOPE("seed " << seed);
  std::mt19937_64 random{seed};
  lease_book book;
  std::map<std::uint64_t, std::pair<std::string, std::set<std::string>>> asked;
  std::vector<std::uint64_t> holds;
  std::size_t begun = 0;
  constexpr std::size_t total = 2000;
  std::uint64_t last = 0;
  while (begun < total) {
    if (last < total && random() % 2 == 0) {
      std::set<std::string> devices;
      for (auto i = 1 + random() % 3; i > 0; --i)
        devices.insert(std::string(1, static_cast<char>('a' + random() % 6)));
      auto owner = std::string(1, static_cast<char>('A' + random() % 4));
      asked[++last] = {owner, devices};
      BOOST_REQUIRE(book.ask(last, owner, devices, random() % 8 == 0));
    } else if (!holds.empty()) {
      auto i = random() % holds.size();
      book.end(holds[i]);
      holds.erase(holds.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (auto number : book.begin()) {
      ++begun;
      for (auto other : holds)
        if (asked[other].first != asked[number].first)
          for (const auto& device : asked[number].second)
            BOOST_REQUIRE(asked[other].second.count(device) == 0);
      holds.push_back(number);
    }
    // If nobody has anything, nobody waits.
    if (holds.empty())
      BOOST_REQUIRE(book.size() == 0u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
