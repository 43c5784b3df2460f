// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/model/parameter_copy.hpp"

#include <array>
#include <span>
#include <stdexcept>
#include <string>

#include <boost/test/unit_test.hpp>

using namespace troupe;

namespace {

struct fixture {
  std::array<float, 2> a{1, 2};
  std::array<float, 1> b{3};
  batch saved;

  parameter_list both() {
    return {{"a", dtype::float32, {2}, std::as_writable_bytes(std::span{a})},
            {"b", dtype::float32, {1}, std::as_writable_bytes(std::span{b})}};
  }

  template <class F>
  static std::string thrown(F f) {
    try {
      f();
    } catch (const std::runtime_error& x) {
      return x.what();
    }
    return {};
  }

  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_parameter_copy, fixture)

BOOST_AUTO_TEST_CASE(values_come_back) {
  add_parameters(saved, both());
  a = {0, 0};
  b = {0};
  restore_parameters(saved, both());
  BOOST_TEST(a == (std::array<float, 2>{1, 2}),
             boost::test_tools::per_element());
  BOOST_TEST(b[0] == 3.0F);
}

BOOST_AUTO_TEST_CASE(nothing_is_copied_if_one_does_not_fit) {
  add_parameters(saved, both());
  a = {0, 0};
  auto other = both();
  other[1].type = dtype::int32;
  auto said = thrown([&] { restore_parameters(saved, other); });
  BOOST_TEST(has(said, "parameter b"), said);
  BOOST_TEST(a[0] == 0.0F);
  other = both();
  other[1].name = std::string{"c"};
  said = thrown([&] { restore_parameters(saved, other); });
  BOOST_TEST(has(said, "parameter c is missing"), said);
}

BOOST_AUTO_TEST_CASE(memory_of_a_device_is_not_touched_without_a_context) {
  auto there = both();
  there[1].device = {dlpack::device_type::cuda, 0};
  auto said = thrown([&] { add_parameters(saved, there); });
  BOOST_TEST(has(said, "parameter b lies on a device"), said);
  add_parameters(saved, both());
  a = {0, 0};
  said = thrown([&] { restore_parameters(saved, there); });
  BOOST_TEST(has(said, "parameter b lies on a device"), said);
  BOOST_TEST(a[0] == 0.0F);
}

BOOST_AUTO_TEST_CASE(memory_that_does_not_fit_its_shape_is_not_touched) {
  auto small = both();
  small[0].memory = small[0].memory.first(4);
  auto said = thrown([&] { add_parameters(saved, small); });
  BOOST_TEST(has(said, "parameter a is float32[2], 8 bytes, but its memory has "
                       "4"),
             said);
  saved = {};
  add_parameters(saved, both());
  said = thrown([&] { restore_parameters(saved, small); });
  BOOST_TEST(has(said, "parameter a"), said);
}

BOOST_AUTO_TEST_SUITE_END()
