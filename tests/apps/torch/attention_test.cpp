// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/attention.hpp"

#include <algorithm>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>
#include <boost/test/unit_test.hpp>

#include "troupe/apps/torch/tensor_bridge.hpp"

using namespace troupe;
using namespace troupe::torch;

namespace {

using counts = std::vector<std::int64_t>;

/// By the book, number by number; `padding` has one count a row.
troupe::tensor mask_of(std::int64_t first, std::int64_t queries,
                       const counts& padding) {
  auto keys = first + queries;
  troupe::tensor mask{dtype::float32, {std::ssize(padding), 1, queries, keys}};
  auto* out = mask.values<float>().data();
  for (auto pads : padding)
    for (std::int64_t i = first; i < keys; ++i)
      for (std::int64_t j = 0; j < keys; ++j)
        *out++ = j == i || (j < i && j >= pads)
                   ? 0.0f
                   : -std::numeric_limits<float>::infinity();
  return mask;
}

troupe::tensor positions_of(std::int64_t first, std::int64_t queries,
                            const counts& padding) {
  troupe::tensor ids{dtype::int64, {std::ssize(padding), queries}};
  auto* out = ids.values<std::int64_t>().data();
  for (auto pads : padding)
    for (std::int64_t i = 0; i < queries; ++i)
      *out++ = std::max<std::int64_t>(0, first + i - pads);
  return ids;
}

bool same(const at::Tensor& a, const troupe::tensor& b) {
  return to_host(a).same_elements(b);
}

} // namespace

BOOST_AUTO_TEST_SUITE(torch_attention)

BOOST_AUTO_TEST_CASE(masks_and_positions_are_right_to_the_bit) {
  std::mt19937_64 random{5};
  auto below = [&](std::int64_t end) {
    return static_cast<std::int64_t>(random()
                                     % static_cast<std::uint64_t>(end));
  };
  for (int trial = 0; trial < 200; ++trial) {
    auto first = below(2) * below(9);
    auto queries = 1 + below(9);
    counts padding(static_cast<std::size_t>(1 + below(5)));
    // Rows of nothing but padding, too.
    for (auto& pads : padding)
      pads = below(first + queries + 2);
    auto resident = to_torch(
      troupe::tensor::copy_of(std::span<const std::int64_t>{padding},
                              {std::ssize(padding)}));
    BOOST_TEST(same(attention_mask(first, queries, resident, {}),
                    mask_of(first, queries, padding)));
    BOOST_TEST(same(position_ids(first, queries, resident, {}),
                    positions_of(first, queries, padding)));
  }
}

BOOST_AUTO_TEST_CASE(without_padding_all_rows_share_one) {
  for (std::int64_t first : {0, 1, 7})
    for (std::int64_t queries : {1, 2, 6}) {
      BOOST_TEST(same(attention_mask(first, queries, {}, {}),
                      mask_of(first, queries, {0})));
      auto ids = position_ids(first, queries, {}, {});
      BOOST_TEST(ids.dim() == 1);
      BOOST_TEST(same(ids.unsqueeze(0), positions_of(first, queries, {0})));
    }
}

BOOST_AUTO_TEST_SUITE_END()
