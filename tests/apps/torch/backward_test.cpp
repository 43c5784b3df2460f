// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/backward.hpp"

#include <stdexcept>
#include <thread>

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <boost/test/unit_test.hpp>
#include <c10/core/AutogradState.h>

#include "troupe/apps/torch/losses.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"
#include "troupe/apps/torch/transformer.hpp"

using namespace troupe;
using namespace troupe::torch;

namespace {

/// Has the switch, wherever libtorch's own has none.
struct switched_state {
  static switched_state& get_tls_state() {
    thread_local switched_state state;
    return state;
  }

  [[nodiscard]] bool get_multithreading_enabled() const { return enabled; }

  void set_multithreading_enabled(bool x) { enabled = x; }

  bool enabled = true;
};

struct old_state {};

/// Whether libtorch may leave this thread, as far as it can be told.
template <class State>
bool may_leave() {
  if constexpr (single_threaded_autograd<State>::has_switch)
    return State::get_tls_state().get_multithreading_enabled();
  else
    return false;
}

} // namespace

BOOST_AUTO_TEST_SUITE(torch_backward)

BOOST_AUTO_TEST_CASE(the_switch_is_off_inside_and_as_before_outside) {
  auto& state = switched_state::get_tls_state();
  for (bool before : {true, false}) {
    state.enabled = before;
    {
      single_threaded_autograd<switched_state> here;
      BOOST_TEST(!state.enabled);
    }
    BOOST_TEST(state.enabled == before);
    try {
      single_threaded_autograd<switched_state> here;
      throw std::runtime_error{"a node failed"};
    } catch (const std::runtime_error&) {
      BOOST_TEST(state.enabled == before);
    }
  }
  state.enabled = true;
  BOOST_TEST(single_threaded_autograd<switched_state>::has_switch);
  BOOST_TEST(!single_threaded_autograd<old_state>::has_switch);
  single_threaded_autograd<old_state> nothing_to_switch;
}

BOOST_AUTO_TEST_CASE(a_pass_stays_on_its_thread) {
  auto x = at::ones({3});
  x.set_requires_grad(true);
  auto y = x.mul(2);
  std::thread::id where;
  bool inside = true;
  auto before = may_leave<c10::AutogradState>();
  y.register_hook([&](const at::Tensor&) {
    where = std::this_thread::get_id();
    inside = may_leave<c10::AutogradState>();
  });
  backward(y.sum());
  BOOST_TEST((where == std::this_thread::get_id()));
  BOOST_TEST(!inside);
  BOOST_TEST(may_leave<c10::AutogradState>() == before);
  BOOST_TEST(x.grad().sum().item<float>() == 6.0f);
}

BOOST_AUTO_TEST_CASE(gradients_are_bit_for_bit_those_of_a_plain_pass) {
  constexpr transformer_config small{11, 8, 2, 16, 4};
  transformer model{small, 1};
  troupe::tensor ids{dtype::int64, {6, 8}};
  std::int64_t next = 0;
  for (auto& id : ids.values<std::int64_t>())
    id = 2 + next++ * 7 % 9;
  auto tokens = to_torch(ids);
  auto loss = [&] {
    return cross_entropy_sum(model.logits(tokens), tokens,
                             tokens.ne(-1).to(at::kFloat));
  };
  loss().backward();
  auto expected = model.parameters().flat_gradients().clone();
  model.parameters().zero_gradients();
  backward(loss());
  BOOST_TEST(model.parameters().flat_gradients().equal(expected));
  BOOST_TEST(expected.abs().sum().item<float>() > 0.0f);
}

BOOST_AUTO_TEST_SUITE_END()
