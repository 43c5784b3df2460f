// SPDX-License-Identifier: Apache-2.0
#include "troupe/apps/torch/attention.hpp"

#include <limits>

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>

#include "troupe/apps/torch/device.hpp"

namespace troupe::torch {

namespace {

/// begin, begin + 1, ... below end.
at::Tensor count(std::int64_t begin, std::int64_t end, dlpack::device where) {
  return at::arange(begin, end,
                    at::TensorOptions(at::kLong).device(torch_device(where)));
}

} // namespace

at::Tensor attention_mask(std::int64_t first, std::int64_t queries,
                          const at::Tensor& padding, dlpack::device where) {
  auto query = count(first, first + queries, where).unsqueeze(1);
  auto key = count(0, first + queries, where);
  auto hidden = key.gt(query).unsqueeze(0).unsqueeze(0);
  if (padding.defined())
    hidden = key.lt(padding.view({-1, 1, 1, 1}))
               .logical_and(key.ne(query))
               .logical_or_(hidden);
  return at::zeros(hidden.sizes(), hidden.options().dtype(at::kFloat))
    .masked_fill_(hidden, -std::numeric_limits<double>::infinity());
}

at::Tensor position_ids(std::int64_t first, std::int64_t queries,
                        const at::Tensor& padding, dlpack::device where) {
  auto ids = count(first, first + queries, where);
  return padding.defined() ? ids.sub(padding.unsqueeze(1)).clamp_min(0) : ids;
}

} // namespace troupe::torch
