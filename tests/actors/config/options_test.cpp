// SPDX-License-Identifier: Apache-2.0
#include "troupe/actors/config/options.hpp"

#include <cmath>
#include <limits>
#include <random>

#include <boost/test/unit_test.hpp>

#include "support/random_seed.hpp"

using namespace troupe;

namespace {

troupe::options make_options() {
  options out;
  out.set("flag", true);
  out.set("count", std::int64_t{-3});
  out.set("rate", 0.5);
  out.set("name", std::string{"text"});
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(options)

BOOST_AUTO_TEST_CASE(values_come_back_by_name_and_type) {
  auto uut = make_options();
  BOOST_TEST(uut.boolean("flag"));
  BOOST_TEST(uut.integer("count") == -3);
  BOOST_TEST(uut.number("rate") == 0.5);
  BOOST_TEST(uut.string("name") == "text");
  BOOST_TEST(uut.contains("flag"));
  BOOST_TEST(!uut.contains("flags"));
}

BOOST_AUTO_TEST_CASE(a_number_may_be_an_integer_and_nothing_else_converts) {
  auto uut = make_options();
  BOOST_TEST(uut.number("count") == -3.0);
  BOOST_CHECK_THROW((void) uut.integer("rate"), std::bad_variant_access);
  BOOST_CHECK_THROW((void) uut.boolean("count"), std::bad_variant_access);
  BOOST_CHECK_THROW((void) uut.number("name"), std::bad_variant_access);
}

BOOST_AUTO_TEST_CASE(wrong_questions_are_answered_with_the_name) {
  auto uut = make_options();
  BOOST_CHECK_EXCEPTION((void) uut.integer("cuont"), std::out_of_range,
                        [](const auto& x) {
                          return std::string{x.what()}
                                 == "no option 'cuont' was declared";
                        });
  BOOST_CHECK_EXCEPTION((void) uut.string("rate"), std::bad_variant_access,
                        [](const auto& x) {
                          return std::string{x.what()}
                                 == "option 'rate' holds a value of type "
                                    "number, asked for type string";
                        });
}

BOOST_AUTO_TEST_CASE(setting_again_replaces) {
  auto uut = make_options();
  uut.set("flag", false);
  BOOST_TEST(!uut.boolean("flag"));
  BOOST_TEST(uut.values().size() == 4u);
}

BOOST_AUTO_TEST_CASE(texts_show_the_type) {
  BOOST_TEST(to_string(option_value{true}) == "true");
  BOOST_TEST(to_string(option_value{std::int64_t{3}}) == "3");
  BOOST_TEST(to_string(option_value{3.0}) == "3.0");
  BOOST_TEST(to_string(option_value{1e300}) == "1e+300");
  BOOST_TEST(to_string(option_value{std::string{"x"}}) == "x");
  BOOST_TEST(type_name(option_value{3.0}) == "number");
}

BOOST_AUTO_TEST_CASE(the_wire_keeps_every_value) {
  auto uut = make_options();
  uut.set("minus_zero", -0.0);
  uut.set("tiny", std::numeric_limits<double>::denorm_min());
  uut.set("infinite", -std::numeric_limits<double>::infinity());
  bytes wire;
  uut.encode(wire);
  auto copy = troupe::options::decode(wire);
  BOOST_REQUIRE(copy.has_value());
  BOOST_TEST((*copy == uut));
  BOOST_TEST(std::signbit(copy->number("minus_zero")));
  troupe::options with_nan;
  with_nan.set("nan", std::numeric_limits<double>::quiet_NaN());
  wire.clear();
  with_nan.encode(wire);
  copy = troupe::options::decode(wire);
  BOOST_REQUIRE(copy.has_value());
  BOOST_TEST(std::isnan(copy->number("nan")));
}

BOOST_AUTO_TEST_CASE(no_options_survive_the_wire) {
  bytes wire;
  troupe::options{}.encode(wire);
  auto copy = troupe::options::decode(wire);
  BOOST_REQUIRE(copy.has_value());
  BOOST_TEST(copy->values().empty());
}

BOOST_AUTO_TEST_CASE(every_cut_of_the_wire_form_is_refused) {
  bytes wire;
  make_options().encode(wire);
  for (std::size_t size = 0; size < wire.size(); ++size) {
    auto copy = troupe::options::decode(std::span{wire}.first(size));
    BOOST_REQUIRE(!copy.has_value());
    BOOST_TEST((copy.error().code() == errc::corrupt));
  }
  wire.push_back(std::byte{0});
  BOOST_TEST(!troupe::options::decode(wire).has_value());
}

BOOST_AUTO_TEST_CASE(damaged_wire_forms_never_crash) {
  auto seed = troupe::test::random_seed();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 random{seed};
  bytes wire;
  make_options().encode(wire);
  for (auto round = 0; round < 2000; ++round) {
    auto damaged = wire;
    for (auto i = 0; i < 3; ++i)
      damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    auto copy = troupe::options::decode(damaged);
    if (copy) {
      bytes again;
      copy->encode(again);
      BOOST_TEST(troupe::options::decode(again).has_value());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_range_knows_its_ends_and_says_them) {
  constexpr auto infinity = std::numeric_limits<double>::infinity();
  constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
  BOOST_TEST(above_zero.contains(1e-300));
  BOOST_TEST(!above_zero.contains(0));
  BOOST_TEST(not_negative.contains(0));
  BOOST_TEST(!not_negative.contains(-1e-300));
  BOOST_TEST(from_zero_below_one.contains(0));
  BOOST_TEST(!from_zero_below_one.contains(1));
  for (auto x : {nan, infinity, -infinity, 0.0})
    BOOST_TEST(number_range{}.contains(x));
  BOOST_TEST(!above_zero.contains(nan));
  BOOST_TEST(above_zero.contains(infinity));
  BOOST_TEST(!from_zero_below_one.contains(nan));
  BOOST_TEST(!from_zero_below_one.contains(infinity));
  BOOST_TEST(number_range{}.describe() == "any number");
  BOOST_TEST(above_zero.describe() == "above 0");
  BOOST_TEST(at_least_one.describe() == "at least 1");
  BOOST_TEST(from_zero_below_one.describe() == "at least 0 and below 1");
  number_range capped;
  capped.limit = 3;
  BOOST_TEST(capped.describe() == "below 3");
}

BOOST_AUTO_TEST_CASE(a_value_is_checked_by_its_declaration) {
  option_spec spec{"heads", std::int64_t{4}, "", at_least_one};
  BOOST_TEST(spec.check(std::int64_t{1}).has_value());
  auto bad = spec.check(std::int64_t{0});
  BOOST_REQUIRE(!bad);
  BOOST_TEST(bad.error().message() == "must be at least 1, is 0");
  // A range says nothing of what is no number.
  BOOST_TEST(spec.check(std::string{"x"}).has_value());
  BOOST_TEST(spec.check(false).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
