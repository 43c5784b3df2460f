// SPDX-License-Identifier: Apache-2.0
#include "troupe/comm/transfer/convert.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace troupe;
using namespace troupe::comm::transfer;

namespace {

const auto floats = {dtype::float32, dtype::bfloat16, dtype::float16,
                     dtype::float64};

template <class T>
std::vector<std::byte> octets(const std::vector<T>& values) {
  std::vector<std::byte> out(values.size() * sizeof(T));
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

/// Halves in order of size, to find the nearest by looking at all of them.
double half_value(std::uint16_t bits) {
  auto exponent = (bits >> 10) & 0x1f;
  auto fraction = bits & 0x3ff;
  auto size = exponent == 0 ? std::ldexp(fraction, -24)
                            : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

} // namespace

BOOST_AUTO_TEST_SUITE(transfer_convert)

BOOST_AUTO_TEST_CASE(floating_types_convert_and_others_do_not) {
  for (auto a : floats)
    for (auto b : floats)
      BOOST_CHECK(convertible(a, b));
  BOOST_CHECK(convertible(dtype::int64, dtype::int64));
  BOOST_CHECK(!convertible(dtype::int64, dtype::int32));
  BOOST_CHECK(!convertible(dtype::float32, dtype::int32));
  BOOST_CHECK(!convertible(dtype{77}, dtype{77}));
}

BOOST_AUTO_TEST_CASE(every_half_is_exact_in_float32_and_back) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    auto half = static_cast<std::uint16_t>(bits);
    auto value = from_float16(half);
    if ((bits & 0x7c00) == 0x7c00) {
      auto nan = (bits & 0x3ff) != 0;
      BOOST_REQUIRE(nan ? std::isnan(value) : std::isinf(value));
      if (!nan)
        BOOST_REQUIRE_EQUAL(to_float16(value), half);
      continue;
    }
    BOOST_REQUIRE_EQUAL(value, half_value(half));
    BOOST_REQUIRE_EQUAL(std::signbit(value), (bits & 0x8000) != 0);
    BOOST_REQUIRE_EQUAL(to_float16(value), half);
  }
}

BOOST_AUTO_TEST_CASE(float16_rounds_to_nearest_even) {
  for (std::uint16_t half = 0; half < 0x7bff; ++half) {
    auto low = half_value(half);
    auto high = half_value(static_cast<std::uint16_t>(half + 1));
    auto middle = static_cast<float>((low + high) / 2);
    auto even = static_cast<std::uint16_t>(half + (half & 1));
    BOOST_REQUIRE_EQUAL(to_float16(middle), even);
    BOOST_REQUIRE_EQUAL(to_float16(std::nextafter(middle, 0.f)), half);
    BOOST_REQUIRE_EQUAL(to_float16(std::nextafter(middle, 1e9f)), half + 1);
  }
  BOOST_CHECK_EQUAL(to_float16(65519.99f), 0x7bff);
  BOOST_CHECK_EQUAL(to_float16(65520.f), 0x7c00);
  BOOST_CHECK_EQUAL(to_float16(-1e30f), 0xfc00);
}

// Vectors and what is left behind them must not differ: every element is also
// converted alone.
BOOST_AUTO_TEST_CASE(many_elements_convert_as_each_alone) {
  auto seed = std::random_device{}();
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937_64 random{seed};
  std::vector<std::byte> out(1100 * 8);
  std::vector<std::byte> one(8);
  for (auto from : floats)
    for (auto to : floats)
      for (auto count : {0u, 1u, 7u, 8u, 9u, 513u, 1037u}) {
        std::vector<std::byte> in(count * size_of(from));
        for (auto& x : in)
          x = static_cast<std::byte>(random());
        if (from == dtype::float32 && count > 4)
          std::memcpy(in.data(),
                      octets<float>({std::numeric_limits<float>::infinity(),
                                     std::numeric_limits<float>::quiet_NaN(),
                                     1e-42f, -0.f})
                        .data(),
                      16);
        convert(out.data(), to, in.data(), from, count);
        for (std::size_t i = 0; i < count; ++i) {
          convert(one.data(), to, in.data() + i * size_of(from), from, 1);
          BOOST_REQUIRE_MESSAGE(std::memcmp(one.data(),
                                            out.data() + i * size_of(to),
                                            size_of(to))
                                  == 0,
                                to_string(from) << " to " << to_string(to)
                                                << " element " << i);
        }
      }
}

BOOST_AUTO_TEST_CASE(bfloat16_is_that_of_core) {
  std::vector<float> values{0.f,
                            -0.f,
                            1.f,
                            1.00390625f,
                            3.14159f,
                            -2.7e38f,
                            std::numeric_limits<float>::quiet_NaN(),
                            std::bit_cast<float>(0x7f800001u),
                            1e-40f};
  std::vector<bfloat16> got(values.size());
  auto in = octets(values);
  convert(reinterpret_cast<std::byte*>(got.data()), dtype::bfloat16, in.data(),
          dtype::float32, values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    BOOST_CHECK_EQUAL(got[i].bits, bfloat16{values[i]}.bits);
}

BOOST_AUTO_TEST_CASE(elements_are_told_as_people_read_them) {
  BOOST_CHECK_EQUAL(element_text(dtype::float32, octets<float>({0.1f}).data()),
                    "0.1");
  BOOST_CHECK_EQUAL(element_text(dtype::float32, octets<float>({-0.f}).data()),
                    "-0");
  BOOST_CHECK_EQUAL(element_text(dtype::bfloat16,
                                 octets<bfloat16>({bfloat16{0.5f}}).data()),
                    "0.5");
  BOOST_CHECK_EQUAL(element_text(dtype::int64,
                                 octets<std::int64_t>({-7}).data()),
                    "-7");
  BOOST_CHECK_EQUAL(element_text(dtype::float16,
                                 octets<std::uint16_t>({0x7e01}).data()),
                    "nan (0x7e01)");
}

BOOST_AUTO_TEST_SUITE_END()
