// SPDX-License-Identifier: Apache-2.0
#include "troupe/core/tensor.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace troupe;

namespace {

tensor counting(shape extents) {
  tensor x{dtype::float32, std::move(extents)};
  float next = 0;
  for (auto& value : x.values<float>())
    value = next++;
  return x;
}

} // namespace

BOOST_AUTO_TEST_SUITE(tensor)

BOOST_AUTO_TEST_CASE(dtypes_have_sizes_and_names_that_lead_back) {
  for (int i = 1; i <= 8; ++i) {
    auto type = static_cast<dtype>(i);
    BOOST_TEST(is_known(type));
    BOOST_TEST(size_of(type) > 0u);
    dtype back{};
    BOOST_TEST(from_string(to_string(type), back));
    BOOST_TEST((back == type));
    dtype packed{};
    BOOST_TEST(dlpack::to_dtype(dlpack::from_dtype(type), packed));
    BOOST_TEST((packed == type));
  }
  BOOST_TEST(!is_known(static_cast<dtype>(0)));
  BOOST_TEST(size_of(static_cast<dtype>(99)) == 0u);
}

BOOST_AUTO_TEST_CASE(bfloat16_rounds_to_nearest_even_and_keeps_nan) {
  BOOST_TEST(static_cast<float>(bfloat16{1.0f}) == 1.0f);
  // 1 + 2^-8 lies half-way between two neighbours: the even one is 1.
  BOOST_TEST(static_cast<float>(bfloat16{1.00390625f}) == 1.0f);
  BOOST_TEST(static_cast<float>(bfloat16{1.01171875f}) == 1.015625f);
  BOOST_TEST(std::isinf(
    static_cast<float>(bfloat16{std::numeric_limits<float>::infinity()})));
  auto nan = std::bit_cast<float>(0x7f800001u);
  BOOST_TEST(std::isnan(static_cast<float>(bfloat16{nan})));
  BOOST_TEST(std::signbit(static_cast<float>(bfloat16{-0.0f})));
}

BOOST_AUTO_TEST_CASE(bytes_that_cannot_be_counted_are_refused) {
  // 2^63 - 1 elements can, their bytes cannot.
  BOOST_CHECK_THROW((troupe::tensor{dtype::int64, {INT64_MAX}}),
                    std::exception);
  BOOST_TEST(!troupe::tensor::from_buffer(dtype::int64, {INT64_MAX}, buffer{}));
}

BOOST_AUTO_TEST_CASE(element_counts_refuse_what_does_not_fit) {
  BOOST_TEST(element_count({}).value() == 1);
  BOOST_TEST(element_count({2, 0, 3}).value() == 0);
  BOOST_TEST(!element_count({-1, 2}));
  BOOST_TEST(!element_count({INT64_MAX, 2}));
}

BOOST_AUTO_TEST_CASE(rows_share_the_bytes) {
  auto x = counting({4, 3});
  auto middle = x.rows(1, 3);
  BOOST_TEST((middle.extents() == shape{2, 3}));
  BOOST_TEST(middle.values<float>()[0] == 3.0f);
  middle.values<float>()[0] = 42;
  BOOST_TEST(x.values<float>()[3] == 42.0f);
  BOOST_TEST(x.rows(2, 2).size() == 0);
}

BOOST_AUTO_TEST_CASE(what_would_read_past_the_end_throws) {
  auto says = [](const char* what) {
    return
      [=](const std::exception& x) { return x.what() == std::string{what}; };
  };
  troupe::tensor small{dtype::uint8, {3}};
  BOOST_CHECK_EXCEPTION(static_cast<void>(small.values<float>()),
                        std::invalid_argument,
                        says("uint8[3] has no elements of float32"));
  auto x = counting({4, 3});
  for (auto [begin, end] : {std::pair{-1, 2}, {3, 2}, {2, 5}})
    BOOST_CHECK_THROW(static_cast<void>(x.rows(begin, end)), std::out_of_range);
  std::vector<float> two{1, 2};
  BOOST_CHECK_EXCEPTION(static_cast<void>(
                          troupe::tensor::copy_of(std::span<const float>{two},
                                                  shape{3})),
                        std::invalid_argument,
                        says("2 elements do not make float32[3]"));
}

BOOST_AUTO_TEST_CASE(a_buffer_of_the_wrong_size_is_refused) {
  BOOST_TEST(
    !troupe::tensor::from_buffer(dtype::float32, {2, 2}, buffer::allocate(15)));
  BOOST_TEST(!troupe::tensor::from_buffer(static_cast<dtype>(77), {1},
                                          buffer::allocate(1)));
  BOOST_TEST(!troupe::tensor::from_buffer(dtype::float64, {INT64_MAX},
                                          buffer::allocate(8)));
}

BOOST_AUTO_TEST_CASE(dlpack_round_trip_shares_memory_and_frees_once) {
  auto x = counting({2, 3});
  auto back = troupe::tensor::from_dlpack(x.to_dlpack());
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST(back->same_elements(x));
  BOOST_TEST(back->bytes().data() == x.bytes().data());
  auto* unused = x.to_dlpack();
  unused->deleter(unused);
}

BOOST_AUTO_TEST_CASE(dlpack_asks_no_order_of_no_elements) {
  auto* managed = counting({3, 0}).to_dlpack();
  managed->dl_tensor.strides[0] = 1;
  managed->dl_tensor.strides[1] = 1;
  auto back = troupe::tensor::from_dlpack(managed);
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST((back->extents() == shape{3, 0}));
}

BOOST_AUTO_TEST_CASE(dlpack_refuses_what_is_not_dense) {
  auto* managed = counting({2, 3}).to_dlpack();
  managed->dl_tensor.strides[0] = 1;
  managed->dl_tensor.strides[1] = 2;
  auto back = troupe::tensor::from_dlpack(managed);
  BOOST_REQUIRE(!back.has_value());
  BOOST_TEST((back.error().code() == errc::invalid));
}

BOOST_AUTO_TEST_SUITE_END()
