// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/tensor_bridge.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <boost/test/unit_test.hpp>

using namespace troupe;
using troupe::torch::from_torch;
using troupe::torch::to_torch;

BOOST_AUTO_TEST_SUITE(torch_tensor_bridge)

BOOST_AUTO_TEST_CASE(our_tensor_and_its_torch_tensor_share_bytes) {
  tensor x{dtype::float32, {2, 3}};
  for (auto& value : x.values<float>())
    value = 1;
  auto y = to_torch(x);
  BOOST_TEST(y.data_ptr() == static_cast<void*>(x.bytes().data()));
  BOOST_TEST((y.sizes() == at::IntArrayRef{2, 3}));
  y.fill_(7);
  BOOST_TEST(x.values<float>()[5] == 7.0f);
}

BOOST_AUTO_TEST_CASE(a_torch_tensor_outlives_the_tensor_it_came_from) {
  at::Tensor y;
  {
    tensor x{dtype::int64, {4}};
    for (auto& value : x.values<std::int64_t>())
      value = 5;
    y = to_torch(x);
  }
  BOOST_TEST(y.sum().item<std::int64_t>() == 20);
}

BOOST_AUTO_TEST_CASE(a_tensor_outlives_the_torch_tensor_it_came_from) {
  result<tensor> x;
  {
    auto y = at::arange(6, at::kFloat).view({2, 3});
    x = from_torch(y);
    BOOST_REQUIRE(x.has_value());
    BOOST_TEST(static_cast<void*>(x->bytes().data()) == y.data_ptr());
  }
  BOOST_TEST((x->extents() == shape{2, 3}));
  BOOST_TEST(x->values<float>()[4] == 4.0f);
}

BOOST_AUTO_TEST_CASE(every_dtype_crosses_both_ways) {
  for (auto type :
       {dtype::float32, dtype::bfloat16, dtype::float16, dtype::float64,
        dtype::int64, dtype::int32, dtype::uint8, dtype::boolean}) {
    tensor x{type, {3, 2}};
    for (auto& byte : x.bytes())
      byte = std::byte{1};
    auto back = from_torch(to_torch(x));
    BOOST_REQUIRE(back.has_value());
    BOOST_TEST((back->type() == type));
    BOOST_TEST(back->same_elements(x));
    BOOST_TEST(back->bytes().data() == x.bytes().data());
  }
}

BOOST_AUTO_TEST_CASE(scalars_and_empty_tensors_cross) {
  for (auto extents : {shape{}, shape{0}, shape{3, 0}}) {
    tensor x{dtype::float32, extents};
    auto back = from_torch(to_torch(x));
    BOOST_REQUIRE(back.has_value());
    BOOST_TEST((back->extents() == extents));
  }
}

BOOST_AUTO_TEST_CASE(a_transposed_tensor_is_refused_with_advice) {
  auto refused = from_torch(at::ones({2, 3}).t());
  BOOST_REQUIRE(!refused.has_value());
  BOOST_TEST((refused.error().code() == errc::invalid));
  BOOST_TEST(refused.error().message().find("contiguous()")
             != std::string::npos);
  BOOST_TEST(from_torch(at::ones({2, 3}).t().contiguous()).has_value());
}

BOOST_AUTO_TEST_CASE(undefined_tensors_and_foreign_dtypes_are_refused) {
  BOOST_TEST(!from_torch(at::Tensor{}).has_value());
  BOOST_TEST(!from_torch(at::zeros({2}, at::kComplexFloat)).has_value());
}

BOOST_AUTO_TEST_CASE(a_parameter_crosses_without_its_gradient) {
  auto y = at::ones({2});
  y.set_requires_grad(true);
  auto x = from_torch(y);
  BOOST_REQUIRE(x.has_value());
  BOOST_TEST(!to_torch(*x).requires_grad());
}

BOOST_AUTO_TEST_SUITE_END()
