// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/arena.hpp"

#include <cstdint>
#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <boost/test/unit_test.hpp>

#include "troupe/comm/shm/arena.hpp"
#include "troupe/comm/shm/factory.hpp"
#include "troupe/core/buffer.hpp"

using namespace troupe;
using troupe::torch::arena;

BOOST_AUTO_TEST_SUITE(torch_arena)

BOOST_AUTO_TEST_CASE(parameters_are_aligned_views_of_one_allocation) {
  arena x{{{"a", {3}}, {"b", {2, 5}}}};
  auto list = x.parameters();
  BOOST_REQUIRE(list.size() == 2u);
  BOOST_TEST(list[1].name == "b");
  BOOST_TEST((list[1].extents == shape{2, 5}));
  BOOST_TEST(list[1].memory.size() == 40u);
  auto all = std::as_writable_bytes(x.all_values());
  for (const auto& p : list) {
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(p.memory.data())
                 % buffer::alignment
               == 0u);
    BOOST_TEST(
      (p.memory.data() >= all.data()
       && p.memory.data() + p.memory.size() <= all.data() + all.size()));
  }
  x[1].detach().fill_(4);
  BOOST_TEST(reinterpret_cast<float*>(list[1].memory.data())[9] == 4.0f);
  BOOST_TEST(x.at("b").data_ptr() == static_cast<void*>(list[1].memory.data()));
}

BOOST_AUTO_TEST_CASE(other_processes_may_read_the_parameters) {
  arena x{{{"a", {3}}, {"b", {2, 5}}}};
  if (!comm::shm::probe().usable)
    return;
  for (const auto& p : x.parameters()) {
    BOOST_REQUIRE(p.arena);
    BOOST_TEST(p.arena->contains(p.memory));
  }
  BOOST_TEST(x.flat_values().sum().item<float>() == 0.0f);
}

BOOST_AUTO_TEST_CASE(gradients_accumulate_in_the_gradient_allocation) {
  arena x{{{"a", {2}}, {"b", {2}}}};
  for (int pass = 1; pass <= 2; ++pass) {
    x[0].sum().mul(2).add(x[1].sum(), 3).backward();
    BOOST_TEST(x.all_gradients()[0] == 2.0f * static_cast<float>(pass));
    BOOST_TEST(x.flat_gradients().sum().item<float>()
               == 10.0f * static_cast<float>(pass));
  }
  x.zero_gradients();
  BOOST_TEST(x[1].grad().sum().item<float>() == 0.0f);
}

BOOST_AUTO_TEST_CASE(parameters_of_another_type_are_rounded_together) {
  // The second is behind a gap, the fourth is not among those asked for.
  arena x{{{"a", {16}}, {"b", {2, 3}}, {"c", {4}}, {"d", {2}}}};
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i].detach().fill_(static_cast<double>(i) + 1.001);
  auto same = x.in_type(dtype::float32, 1, 2);
  BOOST_REQUIRE(same.size() == 2u);
  BOOST_TEST(same[0].is_same(x[1]));
  BOOST_TEST(same[1].is_same(x[2]));
  for (int pass = 1; pass <= 2; ++pass) {
    auto rounded = x.in_type(dtype::bfloat16, 1, 2);
    BOOST_REQUIRE(rounded.size() == 2u);
    BOOST_TEST((rounded[0].scalar_type() == at::kBFloat16));
    BOOST_TEST((rounded[0].sizes() == at::IntArrayRef{2, 3}));
    BOOST_TEST(rounded[0].equal(x[1].to(at::kBFloat16)));
    BOOST_TEST(rounded[1].equal(x[2].to(at::kBFloat16)));
    // One array: the copy was one.
    BOOST_TEST(rounded[0].storage().data() == rounded[1].storage().data());
    rounded[0].sum().mul(2).add(rounded[1].sum(), 3).backward();
    auto times = static_cast<float>(pass);
    BOOST_TEST(x[0].grad().abs().sum().item<float>() == 0.0f);
    BOOST_TEST(x[1].grad().eq(2 * times).all().item<bool>());
    BOOST_TEST(x[2].grad().eq(3 * times).all().item<bool>());
    BOOST_TEST(x[3].grad().abs().sum().item<float>() == 0.0f);
    BOOST_TEST(x.flat_gradients().sum().item<float>() == 24 * times);
  }
  arena frozen{{{"a", {3}}}, {{}, dtype::float32, false}};
  BOOST_TEST(!frozen.in_type(dtype::bfloat16, 0, 1)[0].requires_grad());
}

BOOST_AUTO_TEST_CASE(names_are_unique_and_known) {
  BOOST_CHECK_THROW((arena{{{"a", {1}}, {"a", {1}}}}), std::invalid_argument);
  BOOST_CHECK_THROW((arena{{{"a", {-1}}}}), std::invalid_argument);
  arena x{{{"a", {1}}}};
  BOOST_CHECK_THROW(static_cast<void>(x.at("b")), std::out_of_range);
}

BOOST_AUTO_TEST_SUITE_END()
