// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/process/batch_ref.hpp"

#include <boost/test/unit_test.hpp>

#include <random>

#include "actors/process/support.hpp"
#include "troupe/actors/process/host_types.hpp"

using namespace troupe;
using namespace troupe::process;
using namespace process_test;

namespace {

batch_part part_of(std::uint64_t buffer, std::int64_t begin, std::int64_t end,
                   std::int64_t total) {
  batch_part x;
  x.buffer = buffer_id{buffer};
  x.row_begin = begin;
  x.row_end = end;
  x.rows_total = total;
  return x;
}

/// Which row of which buffer each row of `x` is.
std::vector<std::pair<std::uint64_t, std::int64_t>>
rows_of(const batch_ref& x) {
  std::vector<std::pair<std::uint64_t, std::int64_t>> out;
  for (const auto& part : x.parts)
    for (auto row = part.row_begin; row < part.row_end; ++row)
      out.emplace_back(part.buffer.value(), row);
  return out;
}

/// Counts what it is shown, as CAF's inspectors do.
struct field_counter {
  using result_type = int;

  template <class... Ts>
  int operator()(Ts&...) {
    static_assert((!std::is_floating_point_v<Ts> && ...));
    return static_cast<int>(sizeof...(Ts));
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(batch_ref)

BOOST_AUTO_TEST_CASE(split_gives_rows_that_differ_by_one_the_larger_first) {
  troupe::process::batch_ref x{{part_of(1, 0, 7, 7), part_of(2, 3, 6, 9)}};
  BOOST_TEST(x.rows() == 10);
  auto parts = x.split(4);
  BOOST_REQUIRE(parts);
  BOOST_REQUIRE(parts->size() == 4u);
  std::vector<std::int64_t> sizes;
  for (const auto& part : *parts)
    sizes.push_back(part.rows());
  BOOST_TEST(sizes == (std::vector<std::int64_t>{3, 3, 2, 2}),
             boost::test_tools::per_element());
  BOOST_TEST(
    (rows_of(troupe::process::batch_ref::concat(*parts)) == rows_of(x)));
  BOOST_TEST(!x.split(0).has_value());
}

BOOST_AUTO_TEST_CASE(every_slice_names_the_rows_a_list_would) {
  auto random = seeded_generator();
  for (int i = 0; i < 500; ++i) {
    troupe::process::batch_ref x;
    for (std::uint64_t n = random() % 5; n > 0; --n) {
      auto begin = static_cast<std::int64_t>(random() % 5);
      auto end = begin + static_cast<std::int64_t>(random() % 6);
      x.parts.push_back(part_of(n, begin, end, 12));
    }
    auto all = rows_of(x);
    auto end = static_cast<std::int64_t>(random() % (all.size() + 1));
    auto begin = static_cast<std::int64_t>(
      random() % (static_cast<std::uint64_t>(end) + 1));
    auto slice = x.slice(begin, end);
    BOOST_REQUIRE(slice);
    BOOST_TEST(
      (rows_of(*slice) == std::vector(all.begin() + begin, all.begin() + end)));
    BOOST_TEST(slice->parts.empty() == x.parts.empty());
    auto n = 1 + random() % 6;
    auto parts = x.split(n);
    BOOST_REQUIRE(parts);
    BOOST_TEST(parts->size() == n);
    BOOST_TEST((rows_of(troupe::process::batch_ref::concat(*parts)) == all));
  }
}

BOOST_AUTO_TEST_CASE(a_slice_outside_of_the_rows_is_invalid) {
  troupe::process::batch_ref x{{part_of(1, 0, 3, 3)}};
  for (auto [begin, end] :
       {std::pair{-1, 2}, std::pair{0, 4}, std::pair{2, 1}}) {
    auto slice = x.slice(begin, end);
    BOOST_REQUIRE(!slice);
    BOOST_TEST((slice.error().code() == errc::invalid));
  }
}

BOOST_AUTO_TEST_CASE(a_part_that_makes_no_sense_is_named) {
  BOOST_TEST(part_of(1, 0, 3, 3).check().has_value());
  BOOST_TEST(!part_of(1, -1, 3, 3).check().has_value());
  BOOST_TEST(!part_of(1, 2, 1, 3).check().has_value());
  BOOST_TEST(!part_of(1, 0, 4, 3).check().has_value());
  auto inline_part = part_of(0, 0, 1, 1);
  inline_part.bytes = 2;
  inline_part.payload = {1};
  BOOST_TEST(!inline_part.check().has_value());
  inline_part.payload = {1, 2};
  BOOST_TEST(inline_part.check().has_value());
  auto far = part_of(1, 0, 1, 1);
  far.slot = slots_max;
  BOOST_TEST(!far.check().has_value());
}

BOOST_AUTO_TEST_CASE(inspection_shows_every_member_and_no_floating_point) {
  field_counter f;
  batch_part part;
  BOOST_TEST(inspect(f, part) == 10);
  troupe::process::batch_ref ref;
  BOOST_TEST(inspect(f, ref) == 1);
}

BOOST_AUTO_TEST_CASE(rows_are_sliced_without_being_copied) {
  auto x = numbered_batch(10);
  auto some = slice_rows(x, 2, 5);
  BOOST_REQUIRE(some);
  BOOST_TEST(is_numbered(*some, 3, 2));
  BOOST_TEST(
    (some->find("x")->bytes().data() == x.find("x")->bytes().data() + 32));
  BOOST_TEST(slice_rows(x, 10, 10).has_value());
  BOOST_TEST(!slice_rows(x, 5, 11).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
