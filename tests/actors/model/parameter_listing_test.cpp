// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/parameter_listing.hpp"

#include <boost/test/unit_test.hpp>

#include "support/stub_device.hpp"

using namespace troupe;
using namespace troupe::model;

namespace {

struct fixture {
  std::vector<std::byte> memory = std::vector<std::byte>(64);

  parameter make(std::string name, shape extents) {
    parameter x;
    x.name = std::move(name);
    auto count = element_count(extents).value();
    x.extents = std::move(extents);
    x.memory = std::span{memory}.first(static_cast<std::size_t>(count) * 4);
    return x;
  }

  parameter_list two() { return {make("a", {2, 3}), make("b", {4})}; }
};

bool says(const result<void>& x, const std::vector<std::string>& words) {
  BOOST_REQUIRE(!x);
  BOOST_TEST((x.error().code() == errc::invalid));
  BOOST_TEST_INFO(x.error().message());
  for (const auto& word : words)
    if (x.error().message().find(word) == std::string::npos)
      return false;
  return true;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_parameter_listing, fixture)

BOOST_AUTO_TEST_CASE(what_stays_the_same_passes_wherever_it_lies) {
  auto told = describe_parameters(two());
  BOOST_TEST(check_unchanged(told, two()).has_value());
  auto moved = two();
  moved[1].memory = std::span{memory}.last(16);
  BOOST_TEST(check_unchanged(told, moved).has_value());
}

BOOST_AUTO_TEST_CASE(whatever_changes_is_named) {
  auto told = describe_parameters(two());
  auto x = two();
  x[1].name = "c";
  BOOST_TEST(says(check_unchanged(told, x), {"'b'", "'c'"}));
  x = two();
  x[0].extents = {3, 2};
  BOOST_TEST(says(check_unchanged(told, x), {"'a'", "[2, 3]", "[3, 2]"}));
  x = two();
  x[0].type = dtype::int32;
  BOOST_TEST(says(check_unchanged(told, x), {"'a'", "float32", "int32"}));
  x = two();
  x[0].segments = {whole_segment("w", {2, 3}).value()};
  BOOST_TEST(says(check_unchanged(told, x), {"'a'", "segments"}));
  x = two();
  x.pop_back();
  BOOST_TEST(says(check_unchanged(told, x), {"'b'", "gone"}));
  x = two();
  x.push_back(make("c", {1}));
  BOOST_TEST(says(check_unchanged(told, x), {"'c'", "new"}));
}

BOOST_AUTO_TEST_CASE(memory_that_does_not_fit_its_shape_is_named) {
  auto x = two();
  x[1].memory = x[1].memory.first(12);
  BOOST_TEST(says(check_parameters(x), {"'b'", "16", "12"}));
  x = two();
  x[1].name = "a";
  BOOST_TEST(says(check_parameters(x), {"'a'", "two"}));
}

// A sync that believed a wrong word would end the process.
BOOST_AUTO_TEST_CASE(parameters_lie_where_they_say) {
  test::stub_device gpu{3};
  auto placed = [&](comm::memory_reach truth, bool says_device) {
    gpu.reachable = truth;
    auto x = two();
    if (says_device)
      for (auto& p : x)
        p.device = gpu.where();
    return check_places(x, gpu);
  };
  constexpr comm::memory_reach both{true, true};
  constexpr comm::memory_reach process{true, false};
  constexpr comm::memory_reach device{false, true};
  constexpr comm::memory_reach neither{false, false};
  BOOST_TEST(placed(both, true).has_value());
  BOOST_TEST(placed(both, false).has_value());
  BOOST_TEST(placed(process, false).has_value());
  BOOST_TEST(placed(device, true).has_value());
  BOOST_TEST(says(placed(device, false), {"'a'", "says the CPU", "cuda, 3}"}));
  BOOST_TEST(says(placed(process, true), {"'a'", "does not lie on the GPU"}));
  BOOST_TEST(says(placed(neither, true), {"'a'", "does not lie on the GPU"}));
  BOOST_TEST(says(placed(neither, false), {"'a'", "another GPU"}));
}

BOOST_AUTO_TEST_CASE(a_long_listing_comes_in_pieces_that_add_up) {
  std::vector<protocol::parameter_info> all;
  for (auto i = 0; i < 20'000; ++i)
    all.push_back({"model.layers.0.self_attn.weight." + std::to_string(i),
                   dtype::float32,
                   {i},
                   true,
                   {}});
  std::vector<protocol::parameter_info> got;
  auto pieces = 0;
  while (got.size() < all.size()) {
    auto piece = listing_chunk(all, got.size());
    BOOST_REQUIRE(!piece.empty());
    got.insert(got.end(), piece.begin(), piece.end());
    ++pieces;
  }
  BOOST_TEST((got == all));
  BOOST_TEST(pieces > 2);
  BOOST_TEST(listing_chunk(all, all.size()).empty());
}

BOOST_AUTO_TEST_SUITE_END()
