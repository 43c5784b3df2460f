// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/collectives.hpp"

#include <chrono>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>
#include <boost/test/unit_test.hpp>

#include "apps/support/ranks.hpp"
#include "troupe/apps/torch/losses.hpp"
#include "troupe/apps/torch/tensor_bridge.hpp"
#include "troupe/apps/torch/transformer.hpp"
#include "troupe/core/exception.hpp"

using namespace troupe;
using namespace troupe::torch;
using troupe::test::run_ranks;

namespace {

constexpr transformer_config small{11, 8, 2, 16, 4};

deadline soon() {
  return deadline::after(std::chrono::seconds{20});
}

/// Gradients of the mean loss a token over rows [begin, end) of ten, where row
/// i counts i % 3 + 1 tokens; `total` is the number of all ranks' tokens.
void backward(transformer& model, std::int64_t begin, std::int64_t end,
              double total) {
  troupe::tensor tokens{dtype::int64, {10, 8}};
  troupe::tensor mask{dtype::float32, {10, 7}};
  for (std::size_t i = 0; i < 80; ++i)
    tokens.values<std::int64_t>()[i] = static_cast<std::int64_t>(i * 7 % 11);
  for (std::size_t i = 0; i < 70; ++i)
    mask.values<float>()[i] = i % 7 <= i / 7 % 3 ? 1.0f : 0.0f;
  auto x = to_torch(tokens).narrow(0, begin, end - begin);
  cross_entropy_sum(model.logits(x.narrow(1, 0, 7)), x.narrow(1, 1, 7),
                    to_torch(mask).narrow(0, begin, end - begin))
    .div(total)
    .backward();
}

} // namespace

BOOST_AUTO_TEST_SUITE(torch_collectives)

BOOST_AUTO_TEST_CASE(gradients_of_two_ranks_equal_those_of_one) {
  transformer whole{small, 1};
  backward(whole, 0, 10, 19);
  auto expected = whole.parameters().flat_gradients();
  std::vector<at::Tensor> found(2);
  run_ranks(2, [&](std::int32_t rank, const comm::communicator_ptr& group) {
    transformer model{small, 1};
    // Rows and tokens are spread unevenly.
    if (rank == 0)
      backward(model, 0, 3, 19);
    else
      backward(model, 3, 10, 19);
    all_reduce_gradients(model.parameters(), group.get(), soon());
    found[static_cast<std::size_t>(rank)] = model.parameters()
                                              .flat_gradients()
                                              .clone();
  });
  BOOST_TEST(found[0].equal(found[1]));
  auto difference = found[0].sub(expected).abs().max().item<double>();
  BOOST_TEST(difference < 1e-6);
  BOOST_TEST(expected.abs().max().item<double>() > 1e-2);
}

BOOST_AUTO_TEST_CASE(without_a_group_nothing_changes) {
  std::vector<float> x{1, 2};
  all_reduce_sum(x, nullptr, soon());
  BOOST_TEST(x[1] == 2.0f);
  BOOST_TEST(all_reduce_max(3, nullptr, soon()) == 3.0f);
}

BOOST_AUTO_TEST_CASE(rank_0_hands_out_its_parameters) {
  std::vector<at::Tensor> found(2);
  std::vector<float> highest(2);
  run_ranks(2, [&](std::int32_t rank, const comm::communicator_ptr& group) {
    transformer model{small, static_cast<std::uint64_t>(rank)};
    broadcast_parameters(model.parameters(), group.get(), soon());
    auto i = static_cast<std::size_t>(rank);
    highest[i] = all_reduce_max(static_cast<float>(rank), group.get(), soon());
    found[i] = model.parameters().flat_values().clone();
  });
  BOOST_TEST(highest[0] == 1.0f);
  BOOST_TEST(highest[1] == 1.0f);
  BOOST_TEST(found[0].equal(found[1]));
  BOOST_TEST(found[0].equal(transformer{small, 0}.parameters().flat_values()));
}

BOOST_AUTO_TEST_CASE(a_dead_group_is_an_exception_that_says_so) {
  auto group = comm::inproc::make_group(2);
  group[0]->abort();
  std::vector<float> x{1};
  BOOST_CHECK_EXCEPTION(all_reduce_sum(x, group[0].get(), soon()),
                        troupe::exception, [](const troupe::exception& e) {
                          return e.why().code() == errc::aborted
                                 && std::string_view{e.what()}.find(
                                      "all-reduce")
                                      == 0;
                        });
}

BOOST_AUTO_TEST_SUITE_END()
