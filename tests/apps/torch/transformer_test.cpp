// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/transformer.hpp"

#include <stdexcept>
#include <string_view>
#include <utility>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <boost/test/unit_test.hpp>

#include "troupe/apps/torch/tensor_bridge.hpp"

using namespace troupe;
using namespace troupe::torch;

namespace {

constexpr transformer_config small{11, 8, 2, 16, 4};

/// Tokens 2, 3, ... in rows of `columns`.
troupe::tensor counting(std::int64_t rows, std::int64_t columns) {
  troupe::tensor x{dtype::int64, {rows, columns}};
  std::int64_t next = 0;
  for (auto& value : x.values<std::int64_t>())
    value = 2 + next++ * 7 % 9;
  return x;
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  BOOST_REQUIRE((a.sizes() == b.sizes()));
  return a.sub(b).abs().max().item<double>();
}

} // namespace

BOOST_AUTO_TEST_SUITE(torch_transformer)

BOOST_AUTO_TEST_CASE(the_cache_gives_the_logits_of_the_whole_sequence) {
  transformer model{small, 1};
  auto tokens = to_torch(counting(3, 8));
  at::NoGradGuard no_grad;
  auto whole = model.logits(tokens);
  kv_cache cache{small, 8, {0, 0, 0}};
  auto next = model.next_logits(cache, tokens.narrow(1, 0, 5));
  BOOST_TEST(largest_difference(next, whole.select(1, 4)) < 1e-5);
  for (std::int64_t i = 5; i < 8; ++i) {
    next = model.next_logits(cache, tokens.narrow(1, i, 1));
    BOOST_TEST(largest_difference(next, whole.select(1, i)) < 1e-5);
  }
  BOOST_TEST(cache.length() == 8);
}

BOOST_AUTO_TEST_CASE(a_late_start_gives_the_same_logits_and_gradients) {
  transformer model{small, 1};
  auto tokens = to_torch(counting(3, 8));
  model.logits(tokens).narrow(1, 5, 3).square().sum().backward();
  auto expected = model.parameters().flat_gradients().clone();
  model.parameters().zero_gradients();
  auto late = model.logits(tokens, {}, 5);
  late.square().sum().backward();
  BOOST_TEST(largest_difference(model.logits(tokens).narrow(1, 5, 3), late)
             < 1e-5);
  BOOST_TEST(largest_difference(model.parameters().flat_gradients(), expected)
             < 1e-3);
}

BOOST_AUTO_TEST_CASE(left_padding_changes_nothing) {
  transformer model{small, 1};
  at::NoGradGuard no_grad;
  auto plain = counting(1, 5);
  troupe::tensor padded{dtype::int64, {2, 8}};
  for (auto& value : padded.values<std::int64_t>())
    value = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    padded.values<std::int64_t>()[3 + i] = plain.values<std::int64_t>()[i];
    padded.values<std::int64_t>()[8 + 2 + i] = 3;
  }
  const std::vector<std::int64_t> padding{3, 2};
  auto expected = model.logits(to_torch(plain))[0];
  auto tokens = to_torch(padded);
  auto whole = model.logits(tokens, padding)[0].narrow(0, 3, 5);
  BOOST_TEST(largest_difference(whole, expected) < 1e-5);
  kv_cache cache{small, 8, padding};
  model.next_logits(cache, tokens.narrow(1, 0, 6));
  model.next_logits(cache, tokens.narrow(1, 6, 1));
  auto last = model.next_logits(cache, tokens.narrow(1, 7, 1));
  BOOST_TEST(largest_difference(last[0], expected[4]) < 1e-5);
}

BOOST_AUTO_TEST_CASE(a_cache_may_be_filled_in_any_portions) {
  transformer model{small, 1};
  at::NoGradGuard no_grad;
  auto tokens = to_torch(counting(3, 8));
  using counts = std::vector<std::int64_t>;
  // Portions of one token begin inside the padding, at its end, and behind it.
  for (const auto& padding :
       {counts{0, 0, 0}, counts{3, 0, 2}, counts{1, 4, 5}})
    for (const auto& portions :
         {counts{1, 1, 1, 1, 1, 1, 1, 1}, counts{3, 1, 1, 3}, counts{5, 2, 1},
          counts{1, 6, 1}}) {
      auto whole = model.logits(tokens, padding);
      kv_cache cache{small, 8, padding};
      std::int64_t end = 0;
      for (auto portion : portions) {
        auto next = model.next_logits(cache, tokens.narrow(1, end, portion));
        end += portion;
        BOOST_TEST(largest_difference(next, whole.select(1, end - 1)) < 1e-5);
      }
      BOOST_TEST(cache.length() == 8);
    }
}

BOOST_AUTO_TEST_CASE(repeated_rows_keep_their_padding) {
  transformer model{small, 1};
  at::NoGradGuard no_grad;
  auto tokens = to_torch(counting(2, 8));
  const std::vector<std::int64_t> padding{0, 3};
  auto whole = model.logits(tokens, padding);
  kv_cache cache{small, 8, padding};
  model.next_logits(cache, tokens.narrow(1, 0, 5));
  // What was made for the rows before is made anew.
  model.next_logits(cache, tokens.narrow(1, 5, 1));
  cache.repeat_rows(2);
  for (std::int64_t i : {6, 7}) {
    auto next = model.next_logits(cache,
                                  tokens.narrow(1, i, 1).repeat_interleave(2,
                                                                           0));
    auto expected = whole.select(1, i).repeat_interleave(2, 0);
    BOOST_TEST(largest_difference(next, expected) < 1e-5);
  }
}

BOOST_AUTO_TEST_CASE(tokens_that_were_drawn_are_taken_as_they_are) {
  transformer model{small, 1};
  auto tokens = to_torch(counting(2, 5));
  kv_cache checked{small, 8, {0, 1}};
  kv_cache drawn{small, 8, {0, 1}};
  auto first = model.next_logits(checked, tokens);
  BOOST_TEST(model.next_logits_of_drawn(drawn, tokens).equal(first));
}

BOOST_AUTO_TEST_CASE(no_position_sees_a_later_one) {
  transformer model{small, 1};
  at::NoGradGuard no_grad;
  auto tokens = to_torch(counting(1, 8));
  auto changed = tokens.clone();
  changed[0][6].fill_(10);
  auto before = model.logits(tokens).narrow(1, 0, 6);
  auto after = model.logits(changed).narrow(1, 0, 6);
  BOOST_TEST(largest_difference(before, after) < 1e-6);
}

BOOST_AUTO_TEST_CASE(repeated_rows_continue_alike) {
  transformer model{small, 1};
  auto tokens = to_torch(counting(2, 5));
  kv_cache cache{small, 8, {0, 1}};
  model.next_logits(cache, tokens.narrow(1, 0, 4));
  cache.repeat_rows(3);
  BOOST_TEST(cache.rows() == 6);
  auto next = model.next_logits(cache,
                                tokens.narrow(1, 4, 1).repeat_interleave(3, 0));
  BOOST_TEST(largest_difference(next[0], next[2]) < 1e-6);
  BOOST_TEST(largest_difference(next[3], next[5]) < 1e-6);
  BOOST_TEST(largest_difference(next[0], next[3]) > 1e-3);
}

BOOST_AUTO_TEST_CASE(initial_weights_follow_from_the_seed) {
  transformer a{small, 1};
  transformer b{small, 1};
  transformer c{small, 2};
  const auto& x = a.parameters().flat_values();
  BOOST_TEST(x.equal(b.parameters().flat_values()));
  BOOST_TEST(!x.equal(c.parameters().flat_values()));
}

BOOST_AUTO_TEST_CASE(parameters_carry_hugging_face_names) {
  transformer model{small, 1};
  auto list = model.parameters().parameters();
  BOOST_TEST(list.size() == 2u + 2 * 16 + 3);
  BOOST_TEST(
    (model.parameters().at("model.layers.1.self_attn.q_proj.weight").sizes()
     == at::IntArrayRef{16, 16}));
  BOOST_TEST((model.parameters().at("model.layers.0.mlp.up_proj.weight").sizes()
              == at::IntArrayRef{64, 16}));
}

BOOST_AUTO_TEST_CASE(impossible_sizes_are_refused) {
  BOOST_CHECK_THROW((transformer{{11, 8, 2, 15, 4}, 1}), std::invalid_argument);
  BOOST_CHECK_THROW((transformer{{11, 8, 0, 16, 4}, 1}), std::invalid_argument);
  transformer model{small, 1};
  BOOST_CHECK_THROW(model.logits(to_torch(counting(1, 9))),
                    std::invalid_argument);
  kv_cache cache{small, 4, {0}};
  BOOST_CHECK_THROW(model.next_logits(cache, to_torch(counting(1, 5))),
                    std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_token_outside_the_vocabulary_is_refused_by_row_and_id) {
  transformer model{small, 1};
  auto refused = [](auto f, std::string_view row, std::string_view id) {
    BOOST_CHECK_EXCEPTION(f(), std::invalid_argument,
                          [&](const std::invalid_argument& e) {
                            std::string_view text = e.what();
                            BOOST_TEST_MESSAGE(text);
                            return text.find(row) != text.npos
                                   && text.find(id) != text.npos
                                   && text.find("0 to 10") != text.npos;
                          });
  };
  for (auto [id, words] : {std::pair{11, "token 11 at position 2"},
                           std::pair{-1, "token -1 at position 2"}}) {
    auto tokens = counting(3, 4);
    tokens.values<std::int64_t>()[1 * 4 + 2] = id;
    refused([&] { static_cast<void>(model.logits(to_torch(tokens))); }, "row 1",
            words);
    kv_cache cache{small, 8, {0, 0, 0}};
    refused([&] { model.next_logits(cache, to_torch(tokens)); }, "row 1",
            words);
    BOOST_TEST(cache.length() == 0);
  }
  auto highest = counting(3, 4);
  highest.values<std::int64_t>()[6] = 10;
  highest.values<std::int64_t>()[7] = 0;
  BOOST_TEST(model.logits(to_torch(highest)).size(1) == 4);
}

BOOST_AUTO_TEST_CASE(padding_that_cannot_be_is_refused) {
  transformer model{small, 1};
  auto tokens = to_torch(counting(2, 4));
  // It would ask for positions behind the last.
  const std::vector<std::int64_t> negative{0, -6};
  BOOST_CHECK_THROW(static_cast<void>(model.logits(tokens, negative)),
                    std::invalid_argument);
  BOOST_CHECK_THROW((kv_cache{small, 8, negative}), std::invalid_argument);
  const std::vector<std::int64_t> too_few{1};
  BOOST_CHECK_THROW(static_cast<void>(model.logits(tokens, too_few)),
                    std::invalid_argument);
}

BOOST_AUTO_TEST_SUITE_END()
