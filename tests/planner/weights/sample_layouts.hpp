// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/why.hpp"
#include "troupe/core/weight_layout.hpp"
#include "troupe/planner/weights/layout_builders.hpp"
#include "troupe/planner/weights/shared_layout.hpp"

namespace troupe::test {

/// A box of known good borders.
inline box make_box(const std::vector<std::int64_t>& begin,
                    const std::vector<std::int64_t>& end) {
  auto out = box::make(begin, end);
  BOOST_REQUIRE_MESSAGE(out, why(out));
  return *out;
}

template <class T>
T good(result<T> x) {
  BOOST_REQUIRE_MESSAGE(x, why(x));
  return std::move(*x);
}

/// Layouts with one tensor `w` of `extents` on each rank.
inline weight_layout single_tensor(
  const std::string& model, const shape& extents,
  const std::vector<std::pair<std::size_t, planner::weights::slice>>& parts,
  dtype type = dtype::float32) {
  namespace weights = planner::weights;
  weight_layout out{model, {}};
  std::int32_t next = 0;
  for (const auto& [dim, part] : parts) {
    auto& rank = out.ranks.emplace_back();
    rank.rank = rank_id{next};
    rank.device = device_id{next++};
    rank.tensors.push_back(
      good(weights::sliced_tensor("w", {"w", extents}, type, dim,
                                  weights::even_part(extents.at(dim), part))));
  }
  return out;
}

/// Random pairs of layouts: frameworks' ways of storing a small model, and ones
/// that no framework has.
class random_layouts {
public:
  explicit random_layouts(std::uint64_t seed) : random_(seed) {
    // nop
  }

  /// The tensors of a model.
  void choose_model();

  /// A layout of them on at most 16 ranks. A `source` holds every element
  /// somewhere, a destination holds what it likes.
  [[nodiscard]] weight_layout make(const std::string& model, bool source);

  std::int64_t pick(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>{least, most}(random_);
  }

private:
  using tensors = std::vector<planner::weights::logical_tensor>;

  [[nodiscard]] std::vector<stored_tensor>
  transformer_rank(std::int64_t tp, std::int64_t tp_count, std::int64_t pp,
                   std::int64_t pp_count, std::int64_t ep,
                   std::int64_t ep_count, dtype type);
  void add_parallel(weight_layout& out);
  void add_flat(weight_layout& out);
  void add_wild(weight_layout& out, bool source);
  void cut_wild(const box& where, int depth, std::vector<box>& out);
  [[nodiscard]] stored_tensor wild_tensor(const std::string& logical,
                                          const box& where, dtype type);
  dtype pick_type();
  void seat_ranks(weight_layout& out);

  std::mt19937_64 random_;
  int style_ = 0;
  std::int64_t layers_ = 1;
  std::int64_t hidden_ = 8;
  std::int64_t heads_ = 4;
  std::int64_t kv_heads_ = 2;
  std::int64_t head_dim_ = 2;
  std::int64_t ffn_ = 8;
  std::int64_t vocab_ = 13;
  std::int64_t experts_ = 0;
  bool tied_ = false;
  int next_name_ = 0;
};

} // namespace troupe::test
