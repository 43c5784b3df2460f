// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "troupe/core/error.hpp"
#include "troupe/core/ids.hpp"
#include "troupe/planner/parallel_sizes.hpp"

namespace troupe::planner {

/// The way a framework numbers its ranks. Inside one pipeline stage both count
/// tensor fastest, then context, then data; they differ in where the stage
/// stands:
///   megatron  tp-cp-ep-dp-pp: a stage is one block of consecutive ranks
///             (Megatron-Core `parallel_state`, default `order`). Experts are
///             cut from the data copies, a step of tensor x context apart, as
///             in Megatron-Core's one rank generator; with an expert tensor
///             size given they are cut from the whole stage, context folded
///             in, as in its separate generator for experts (since the MoE
///             parallel folding of November 2024). Without context both agree;
///   vllm      ranks reshaped to [data, pipeline, context, tensor]: a stage
///             is spread over the data copies (vLLM `parallel_state`).
enum class rank_order : std::uint8_t { megatron, vllm };

/// `"megatron"` or `"vllm"`.
[[nodiscard]] std::string_view to_string(rank_order x) noexcept;

/// Inverse of `to_string(rank_order)`; false for an unknown name.
[[nodiscard]] bool from_string(std::string_view name, rank_order& x) noexcept;

/// A direction in which ranks are numbered. The stage of a pipeline is cut in
/// two independent ways: dense layers see tensor x context x data, expert
/// layers see expert_tensor x expert x expert_data.
enum class dimension : std::uint8_t {
  tensor,
  pipeline,
  data,
  context,
  expert,
  /// Ranks that share one expert's matrices (Megatron: `tensor` by default;
  /// vLLM: 1).
  expert_tensor,
  /// Ranks that hold copies of the same experts.
  expert_data,
};

inline constexpr std::size_t num_dimension = 7;

/// `"tp"`, `"pp"`, `"dp"`, `"cp"`, `"ep"`, `"etp"`, `"edp"`.
[[nodiscard]] std::string_view short_name(dimension x) noexcept;

using rank_group = std::vector<rank_id>;
using rank_groups = std::vector<rank_group>;

/// What a user gives for a world of known size; the data size follows from it.
struct layout_request {
  std::int32_t tensor = 1;
  std::int32_t pipeline = 1;
  std::int32_t context = 1;
  /// 0: as the framework does unasked. Megatron makes expert groups of one
  /// rank, vLLM one group of all ranks of a pipeline stage.
  std::int32_t expert = 0;
  /// 0: as the framework does unasked (see `dimension::expert_tensor`). Given,
  /// Megatron's experts fold over context too (see `rank_order`).
  std::int32_t expert_tensor = 0;
};

/// The numbering of the ranks of one replica (or of one job): an immutable
/// value of a few words; every question is answered by arithmetic.
class parallel_layout {
public:
  /// Coordinates by dimension; `at(dimension)` reads one.
  struct coordinates {
    std::array<std::int32_t, num_dimension> values{};

    [[nodiscard]] std::int32_t at(dimension x) const noexcept {
      return values[static_cast<std::size_t>(x)];
    }

    std::int32_t& at(dimension x) noexcept {
      return values[static_cast<std::size_t>(x)];
    }

    bool operator==(const coordinates&) const = default;
  };

  /// Fails with `errc::invalid` if a size is below 1, the product overflows a
  /// rank id, or the experts do not divide what they are cut from: the data
  /// copies (Megatron unasked) or the stage. `sizes.expert` and
  /// `expert_tensor` may be 0, see `layout_request`.
  [[nodiscard]] static result<parallel_layout>
  make(const parallel_sizes& sizes, rank_order order,
       std::int32_t expert_tensor = 0);

  /// As `make`, with the data size derived: world / (tp * pp * cp). Fails with
  /// `errc::invalid` if that leaves a remainder.
  [[nodiscard]] static result<parallel_layout>
  make_for_world(std::int64_t world, const layout_request& request,
                 rank_order order);

  [[nodiscard]] std::int32_t world() const noexcept;

  [[nodiscard]] rank_order order() const noexcept { return order_; }

  /// All sizes; `expert` is what was given or derived.
  [[nodiscard]] parallel_sizes sizes() const noexcept;

  [[nodiscard]] std::int32_t size(dimension x) const noexcept {
    return size_[static_cast<std::size_t>(x)];
  }

  [[nodiscard]] bool contains(rank_id rank) const noexcept {
    return rank.value() >= 0 && rank.value() < world();
  }

  // -- one rank; it must be contained ----------------------------------------

  [[nodiscard]] coordinates coordinates_of(rank_id rank) const noexcept;

  /// The rank at the tensor, context, data and pipeline coordinates of `x`;
  /// the expert ones are not read. Fails with `errc::invalid` outside of the
  /// sizes.
  [[nodiscard]] result<rank_id> rank_at(const coordinates& x) const;

  /// The rank at the expert_tensor, expert, expert_data and pipeline
  /// coordinates of `x`.
  [[nodiscard]] result<rank_id> rank_at_expert(const coordinates& x) const;

  /// The ranks that differ from `rank` in `x` only (expert dimensions: in `x`
  /// only among the expert ones), in ascending order, `rank` included.
  [[nodiscard]] rank_group group_of(dimension x, rank_id rank) const;

  [[nodiscard]] rank_id first(dimension x, rank_id rank) const noexcept;
  [[nodiscard]] rank_id last(dimension x, rank_id rank) const noexcept;

  /// The neighbours along `x`; the group is a ring.
  [[nodiscard]] rank_id next(dimension x, rank_id rank) const noexcept;
  [[nodiscard]] rank_id previous(dimension x, rank_id rank) const noexcept;

  /// The rank whose data the group of `x` broadcasts: its first (Megatron's
  /// and vLLM's `get_*_src_rank`).
  [[nodiscard]] rank_id source(dimension x, rank_id rank) const noexcept {
    return first(x, rank);
  }

  [[nodiscard]] bool is_pipeline_first(rank_id rank) const noexcept;
  [[nodiscard]] bool is_pipeline_last(rank_id rank) const noexcept;

  // -- all ranks --------------------------------------------------------------

  /// All groups along `x`, ordered by their first rank; they partition the
  /// ranks. O(world).
  [[nodiscard]] rank_groups groups(dimension x) const;

  /// Groups along several dimensions at once, e.g. {data, context} for
  /// gradients or {tensor, pipeline} for a model-parallel group. Either dense
  /// dimensions or expert ones, pipeline with both: anything else fails with
  /// `errc::invalid`. O(world * log world).
  [[nodiscard]] result<rank_groups>
  groups(std::initializer_list<dimension> xs) const;

  /// Ranks that share the embedding: the first and last stage of each
  /// pipeline; groups of one rank if there is one stage.
  [[nodiscard]] rank_groups embedding_groups() const;

  bool operator==(const parallel_layout&) const = default;

private:
  parallel_layout() = default;

  /// Where a rank stands: its pipeline stage and its place inside it.
  struct stage_position {
    std::int32_t stage;
    std::int32_t offset;
  };

  [[nodiscard]] stage_position position_of(rank_id rank) const noexcept;
  [[nodiscard]] rank_id rank_at(stage_position x) const noexcept;
  [[nodiscard]] std::int32_t coordinate(dimension x,
                                        stage_position at) const noexcept;
  [[nodiscard]] rank_id with(dimension x, stage_position at,
                             std::int32_t value) const noexcept;
  /// Where the rank at `offset` of a stage stands when experts are counted
  /// right after their tensor ranks, and the way back.
  [[nodiscard]] std::int32_t to_expert(std::int32_t offset) const noexcept;
  [[nodiscard]] std::int32_t from_expert(std::int32_t offset) const noexcept;

  [[nodiscard]] std::int32_t& size_slot(dimension x) noexcept {
    return size_[static_cast<std::size_t>(x)];
  }

  rank_order order_ = rank_order::megatron;
  std::array<std::int32_t, num_dimension> size_{1, 1, 1, 1, 1, 1, 1};
  /// Context ranks counted before the experts; 1 if they are folded in.
  std::int32_t context_inside_ = 1;
  /// Step inside a stage, for expert dimensions in the order of `to_expert`;
  /// unused for `pipeline`.
  std::array<std::int32_t, num_dimension> stride_{1, 1, 1, 1, 1, 1, 1};
};

/// The groups of one dimension under their short name.
struct named_groups {
  std::string_view name;
  rank_groups groups;
};

/// Worlds beyond this are refused by `all_groups`, which lists every rank five
/// times.
inline constexpr std::int64_t max_listed_world = std::int64_t{1} << 24;

/// Groups of `"tp"`, `"pp"`, `"dp"`, `"cp"`, `"ep"`, in this order: what
/// `troupe plan --groups` prints and communicators are created from. Fails
/// with `errc::invalid` as `make_for_world` does. O(world).
[[nodiscard]] result<std::vector<named_groups>>
all_groups(std::int64_t world, const layout_request& request, rank_order order);

/// Holds the layout of a process. Like vLLM's `parallel_state`: a second
/// initialization with equal sizes changes nothing, one with other sizes is an
/// error. Not thread safe; a value, not a global.
class parallel_state {
public:
  /// Fails with `errc::invalid` if a layout is held already.
  result<void> initialize(std::int64_t world, const layout_request& request,
                          rank_order order);

  /// Initializes, or checks that what is held has these sizes.
  result<void> ensure_initialized(std::int64_t world,
                                  const layout_request& request,
                                  rank_order order);

  [[nodiscard]] bool is_initialized() const noexcept {
    return layout_.has_value();
  }

  /// Fails with `errc::invalid` before `initialize`. The pointer is never null
  /// and lives until `reset`.
  [[nodiscard]] result<const parallel_layout*> layout() const;

  /// Forgets the layout; another one may be initialized.
  void reset() noexcept { layout_.reset(); }

private:
  std::optional<parallel_layout> layout_;
};

} // namespace troupe::planner
