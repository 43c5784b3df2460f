// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/checkpoint.hpp"

#include <stdexcept>

#include <ATen/core/Tensor.h>
#include <boost/test/unit_test.hpp>

using namespace troupe;
using namespace troupe::torch;

BOOST_AUTO_TEST_SUITE(torch_checkpoint)

BOOST_AUTO_TEST_CASE(parameters_of_both_types_come_back) {
  for (auto type : {dtype::float32, dtype::bfloat16}) {
    arena x{{{"a", {3}}, {"b", {2, 2}}}, {{}, type, false}};
    x[0].fill_(1.5);
    x[1].fill_(-2);
    batch saved;
    save_parameters(saved, x);
    BOOST_TEST((saved.get("parameter/b")->type() == type));
    x.flat_values().zero_();
    // What was saved is a copy.
    load_parameters(saved, x);
    BOOST_TEST(x[0].sum().item<float>() == 4.5f);
    BOOST_TEST(x[1].sum().item<float>() == -8.0f);
  }
}

BOOST_AUTO_TEST_CASE(parameters_of_another_type_are_refused_and_nothing_moves) {
  arena rounded{{{"a", {3}}}, {{}, dtype::bfloat16, false}};
  arena exact{{{"a", {3}}}, {{}, dtype::float32, false}};
  exact[0].fill_(7);
  batch saved;
  save_parameters(saved, rounded);
  BOOST_CHECK_THROW(load_parameters(saved, exact), std::runtime_error);
  BOOST_TEST(exact[0].sum().item<float>() == 21.0f);
}

BOOST_AUTO_TEST_CASE(an_optimizer_goes_on_where_it_was) {
  arena x{{{"w", {4}}}};
  adamw first{x, {}};
  x[0].mutable_grad().fill_(0.5);
  first.step(0.1);
  first.step(0.1);
  batch saved;
  save_optimizer(saved, "optimizer", first);
  adamw second{x, {}};
  load_optimizer(saved, "optimizer", second);
  BOOST_TEST(second.steps() == 2);
  BOOST_TEST(second.first_moments().equal(first.first_moments()));
  BOOST_TEST(second.second_moments().equal(first.second_moments()));
  BOOST_TEST(second.first_moments().abs().max().item<float>() > 0.0f);
  arena wider{{{"w", {40}}}};
  adamw other{wider, {}};
  BOOST_CHECK_THROW(load_optimizer(saved, "optimizer", other),
                    std::runtime_error);
  BOOST_CHECK_THROW(load_optimizer(saved, "another", second),
                    std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()
