// SPDX-License-Identifier: Apache-2.0
#include "troupe/planner/parallel_layout.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include <fmt/format.h>

namespace troupe::planner {

namespace {

constexpr std::array<std::string_view, num_dimension> short_names{"tp", "pp",
                                                                  "dp", "cp",
                                                                  "ep", "etp",
                                                                  "edp"};

constexpr std::array<std::string_view, num_dimension>
  long_names{"tensor", "pipeline",      "data",       "context",
             "expert", "expert tensor", "expert data"};

constexpr std::size_t index_of(dimension x) noexcept {
  return static_cast<std::size_t>(x);
}

constexpr bool is_expert(dimension x) noexcept {
  return x == dimension::expert || x == dimension::expert_tensor
         || x == dimension::expert_data;
}

result<void> check_size(dimension x, std::int32_t size) {
  if (size >= 1)
    return {};
  return fail(errc::invalid,
              fmt::format("the {} parallel size must be at least 1, got {}",
                          long_names[index_of(x)], size));
}

/// The product, or nothing if it is no valid number of ranks.
std::optional<std::int32_t>
product_of(std::initializer_list<std::int32_t> sizes) {
  std::int64_t product = 1;
  for (auto size : sizes) {
    // Both factors fit in 31 bits, so the product fits in 62.
    product *= size;
    if (product > std::numeric_limits<std::int32_t>::max())
      return std::nullopt;
  }
  return static_cast<std::int32_t>(product);
}

/// Counts the second digit of `x` before the first: x = low + L * (a + A * (b +
/// B * high)) becomes low + L * (b + B * (a + A * high)).
std::int32_t swap_digits(std::int32_t x, std::int32_t low_size,
                         std::int32_t a_size, std::int32_t b_size) noexcept {
  auto low = x % low_size;
  auto rest = x / low_size;
  auto a = rest % a_size;
  rest /= a_size;
  auto b = rest % b_size;
  auto high = rest / b_size;
  return low + low_size * (b + b_size * (a + a_size * high));
}

} // namespace

std::string_view to_string(rank_order x) noexcept {
  return x == rank_order::megatron ? "megatron" : "vllm";
}

bool from_string(std::string_view name, rank_order& x) noexcept {
  for (auto candidate : {rank_order::megatron, rank_order::vllm})
    if (to_string(candidate) == name) {
      x = candidate;
      return true;
    }
  return false;
}

std::string_view short_name(dimension x) noexcept {
  return index_of(x) < num_dimension ? short_names[index_of(x)] : "unknown";
}

// -- construction -------------------------------------------------------------

result<parallel_layout> parallel_layout::make(const parallel_sizes& sizes,
                                              rank_order order,
                                              std::int32_t expert_tensor) {
  parallel_layout x;
  x.order_ = order;
  x.size_slot(dimension::tensor) = sizes.tensor;
  x.size_slot(dimension::pipeline) = sizes.pipeline;
  x.size_slot(dimension::data) = sizes.data;
  x.size_slot(dimension::context) = sizes.context;
  for (auto dim : {dimension::tensor, dimension::pipeline, dimension::data,
                   dimension::context})
    if (auto ok = check_size(dim, x.size(dim)); !ok)
      return fail(ok.error());
  if (!product_of({sizes.tensor, sizes.pipeline, sizes.context, sizes.data}))
    return fail(errc::invalid,
                fmt::format("tensor ({}) x pipeline ({}) x context ({}) x "
                            "data ({}) is more ranks than can be numbered",
                            sizes.tensor, sizes.pipeline, sizes.context,
                            sizes.data));
  auto stage = *product_of({sizes.tensor, sizes.context, sizes.data});
  if (order == rank_order::megatron && expert_tensor == 0)
    x.context_inside_ = sizes.context;
  if (expert_tensor == 0)
    expert_tensor = order == rank_order::megatron ? sizes.tensor : 1;
  if (auto ok = check_size(dimension::expert_tensor, expert_tensor); !ok)
    return fail(ok.error());
  auto expert = sizes.expert;
  if (expert == 0)
    expert = order == rank_order::megatron || stage % expert_tensor != 0
               ? 1
               : stage / expert_tensor;
  if (auto ok = check_size(dimension::expert, expert); !ok)
    return fail(ok.error());
  if (x.context_inside_ > 1 && sizes.data % expert != 0)
    return fail(
      errc::invalid,
      fmt::format("{} data copies are not divisible by expert ({}) in the "
                  "order tp-cp-ep-dp-pp; choose an expert size that divides "
                  "{}, or give the expert tensor size to fold context ({}) "
                  "into the experts",
                  sizes.data, expert, sizes.data, sizes.context));
  auto block = product_of({expert_tensor, expert});
  if (!block || stage % *block != 0)
    return fail(
      errc::invalid,
      fmt::format("a pipeline stage of {} ranks (tensor {} x context {} x "
                  "data {}) is not divisible by expert tensor ({}) x expert "
                  "({}); choose an expert size that divides {}",
                  stage, sizes.tensor, sizes.context, sizes.data, expert_tensor,
                  expert,
                  stage % expert_tensor == 0 ? stage / expert_tensor : stage));
  x.size_slot(dimension::expert) = expert;
  x.size_slot(dimension::expert_tensor) = expert_tensor;
  x.size_slot(dimension::expert_data) = stage / *block;
  auto stride = [&x](dimension dim, std::int32_t value) {
    x.stride_[index_of(dim)] = value;
  };
  stride(dimension::context, sizes.tensor);
  stride(dimension::data, sizes.tensor * sizes.context);
  stride(dimension::expert, expert_tensor);
  stride(dimension::expert_data, *block);
  return x;
}

result<parallel_layout> parallel_layout::make_for_world(
  std::int64_t world, const layout_request& request, rank_order order) {
  if (world < 1 || world > std::numeric_limits<std::int32_t>::max())
    return fail(errc::invalid,
                fmt::format("world_size must be between 1 and {}, got {}",
                            std::numeric_limits<std::int32_t>::max(), world));
  parallel_sizes sizes;
  sizes.tensor = request.tensor;
  sizes.pipeline = request.pipeline;
  sizes.context = request.context;
  sizes.expert = request.expert;
  for (auto [dim, size] : {std::pair{dimension::tensor, sizes.tensor},
                           std::pair{dimension::pipeline, sizes.pipeline},
                           std::pair{dimension::context, sizes.context}})
    if (auto ok = check_size(dim, size); !ok)
      return fail(ok.error());
  auto model = product_of({sizes.tensor, sizes.pipeline, sizes.context});
  if (!model || world % *model != 0)
    return fail(errc::invalid,
                fmt::format("world_size ({}) is not divisible by "
                            "tensor_model_parallel_size ({}) x "
                            "pipeline_model_parallel_size ({}) x "
                            "context_parallel_size ({})",
                            world, sizes.tensor, sizes.pipeline,
                            sizes.context));
  sizes.data = static_cast<std::int32_t>(world / *model);
  return make(sizes, order, request.expert_tensor);
}

// -- sizes --------------------------------------------------------------------

std::int32_t parallel_layout::world() const noexcept {
  return size(dimension::tensor) * size(dimension::pipeline)
         * size(dimension::data) * size(dimension::context);
}

parallel_sizes parallel_layout::sizes() const noexcept {
  parallel_sizes x;
  x.tensor = size(dimension::tensor);
  x.pipeline = size(dimension::pipeline);
  x.data = size(dimension::data);
  x.context = size(dimension::context);
  x.expert = size(dimension::expert);
  return x;
}

// -- one rank -----------------------------------------------------------------

parallel_layout::stage_position
parallel_layout::position_of(rank_id rank) const noexcept {
  auto value = rank.value();
  auto copy = stride_[index_of(dimension::data)];
  auto stages = size(dimension::pipeline);
  if (order_ == rank_order::vllm)
    return {value / copy % stages,
            value / (copy * stages) * copy + value % copy};
  auto stage = copy * size(dimension::data);
  return {value / stage, value % stage};
}

rank_id parallel_layout::rank_at(stage_position x) const noexcept {
  auto copy = stride_[index_of(dimension::data)];
  if (order_ == rank_order::vllm) {
    auto row = x.offset / copy * size(dimension::pipeline) + x.stage;
    return rank_id{row * copy + x.offset % copy};
  }
  return rank_id{x.stage * copy * size(dimension::data) + x.offset};
}

std::int32_t parallel_layout::coordinate(dimension x,
                                         stage_position at) const noexcept {
  if (x == dimension::pipeline)
    return at.stage;
  auto offset = is_expert(x) ? to_expert(at.offset) : at.offset;
  return offset / stride_[index_of(x)] % size(x);
}

std::int32_t parallel_layout::to_expert(std::int32_t offset) const noexcept {
  return swap_digits(offset, size(dimension::expert_tensor), context_inside_,
                     size(dimension::expert));
}

std::int32_t parallel_layout::from_expert(std::int32_t offset) const noexcept {
  return swap_digits(offset, size(dimension::expert_tensor),
                     size(dimension::expert), context_inside_);
}

rank_id parallel_layout::with(dimension x, stage_position at,
                              std::int32_t value) const noexcept {
  auto step = (value - coordinate(x, at)) * stride_[index_of(x)];
  if (x == dimension::pipeline)
    at.stage = value;
  else if (is_expert(x))
    at.offset = from_expert(to_expert(at.offset) + step);
  else
    at.offset += step;
  return rank_at(at);
}

parallel_layout::coordinates
parallel_layout::coordinates_of(rank_id rank) const noexcept {
  auto at = position_of(rank);
  coordinates x;
  for (std::size_t i = 0; i < num_dimension; ++i)
    x.values[i] = coordinate(static_cast<dimension>(i), at);
  return x;
}

namespace {

result<void> check_coordinates(const parallel_layout& layout,
                               const parallel_layout::coordinates& x,
                               std::initializer_list<dimension> dims) {
  for (auto dim : dims)
    if (x.at(dim) < 0 || x.at(dim) >= layout.size(dim))
      return fail(errc::invalid,
                  fmt::format("the {} coordinate {} is outside of the {} "
                              "parallel size {}",
                              long_names[index_of(dim)], x.at(dim),
                              long_names[index_of(dim)], layout.size(dim)));
  return {};
}

} // namespace

result<rank_id> parallel_layout::rank_at(const coordinates& x) const {
  if (auto ok = check_coordinates(*this, x,
                                  {dimension::tensor, dimension::context,
                                   dimension::data, dimension::pipeline});
      !ok)
    return fail(ok.error());
  stage_position at{x.at(dimension::pipeline), 0};
  for (auto dim : {dimension::tensor, dimension::context, dimension::data})
    at.offset += x.at(dim) * stride_[index_of(dim)];
  return rank_at(at);
}

result<rank_id> parallel_layout::rank_at_expert(const coordinates& x) const {
  if (auto ok = check_coordinates(*this, x,
                                  {dimension::expert_tensor, dimension::expert,
                                   dimension::expert_data,
                                   dimension::pipeline});
      !ok)
    return fail(ok.error());
  stage_position at{x.at(dimension::pipeline), 0};
  for (auto dim :
       {dimension::expert_tensor, dimension::expert, dimension::expert_data})
    at.offset += x.at(dim) * stride_[index_of(dim)];
  at.offset = from_expert(at.offset);
  return rank_at(at);
}

rank_group parallel_layout::group_of(dimension x, rank_id rank) const {
  auto at = position_of(rank);
  rank_group group;
  group.reserve(static_cast<std::size_t>(size(x)));
  for (std::int32_t i = 0; i < size(x); ++i)
    group.push_back(with(x, at, i));
  return group;
}

rank_id parallel_layout::first(dimension x, rank_id rank) const noexcept {
  return with(x, position_of(rank), 0);
}

rank_id parallel_layout::last(dimension x, rank_id rank) const noexcept {
  return with(x, position_of(rank), size(x) - 1);
}

rank_id parallel_layout::next(dimension x, rank_id rank) const noexcept {
  auto at = position_of(rank);
  return with(x, at, (coordinate(x, at) + 1) % size(x));
}

rank_id parallel_layout::previous(dimension x, rank_id rank) const noexcept {
  auto at = position_of(rank);
  return with(x, at, (coordinate(x, at) + size(x) - 1) % size(x));
}

bool parallel_layout::is_pipeline_first(rank_id rank) const noexcept {
  return position_of(rank).stage == 0;
}

bool parallel_layout::is_pipeline_last(rank_id rank) const noexcept {
  return position_of(rank).stage == size(dimension::pipeline) - 1;
}

// -- all ranks ----------------------------------------------------------------

rank_groups parallel_layout::groups(dimension x) const {
  rank_groups all;
  all.reserve(static_cast<std::size_t>(world() / size(x)));
  for (rank_id rank; rank.value() < world(); rank = rank.next())
    if (coordinate(x, position_of(rank)) == 0)
      all.push_back(group_of(x, rank));
  return all;
}

result<rank_groups>
parallel_layout::groups(std::initializer_list<dimension> xs) const {
  auto dense = std::any_of(xs.begin(), xs.end(), [](dimension x) {
    return x != dimension::pipeline && !is_expert(x);
  });
  auto expert = std::any_of(xs.begin(), xs.end(), is_expert);
  if (dense && expert)
    return fail(errc::invalid, "dense and expert dimensions cut a pipeline "
                               "stage in different ways: a group cannot run "
                               "along both");
  rank_groups all;
  std::vector<std::int32_t> group_at(static_cast<std::size_t>(world()), -1);
  for (rank_id rank; rank.value() < world(); rank = rank.next()) {
    // The group is known by the rank that has coordinate 0 everywhere.
    auto home = rank;
    for (auto x : xs)
      home = first(x, home);
    auto& slot = group_at[static_cast<std::size_t>(home.value())];
    if (slot < 0) {
      slot = static_cast<std::int32_t>(all.size());
      all.emplace_back();
    }
    all[static_cast<std::size_t>(slot)].push_back(rank);
  }
  return all;
}

rank_groups parallel_layout::embedding_groups() const {
  rank_groups all;
  for (rank_id rank; rank.value() < world(); rank = rank.next())
    if (is_pipeline_first(rank)) {
      rank_group group{rank};
      if (size(dimension::pipeline) > 1)
        group.push_back(last(dimension::pipeline, rank));
      all.push_back(std::move(group));
    }
  return all;
}

result<std::vector<named_groups>> all_groups(std::int64_t world,
                                             const layout_request& request,
                                             rank_order order) {
  if (world > max_listed_world)
    return fail(errc::invalid,
                fmt::format("world_size ({}) is beyond {}, the largest whose "
                            "groups can be listed",
                            world, max_listed_world));
  auto layout = parallel_layout::make_for_world(world, request, order);
  if (!layout)
    return fail(layout.error());
  std::vector<named_groups> all;
  for (auto dim : {dimension::tensor, dimension::pipeline, dimension::data,
                   dimension::context, dimension::expert})
    all.push_back({short_name(dim), layout->groups(dim)});
  return all;
}

// -- state --------------------------------------------------------------------

result<void> parallel_state::initialize(std::int64_t world,
                                        const layout_request& request,
                                        rank_order order) {
  if (layout_)
    return fail(errc::invalid,
                "tensor model parallel group is already initialized");
  auto layout = parallel_layout::make_for_world(world, request, order);
  if (!layout)
    return fail(layout.error());
  layout_ = *layout;
  return {};
}

result<void> parallel_state::ensure_initialized(std::int64_t world,
                                                const layout_request& request,
                                                rank_order order) {
  if (!layout_)
    return initialize(world, request, order);
  struct check {
    dimension dim;
    std::string_view group;
    std::string_view getter;
    std::string_view argument;
    std::int32_t wanted;
  };
  // The sentences are vLLM's, which its users search for.
  const std::array<check, 3> checks{{
    {dimension::tensor, "tensor parallel",
     "get_tensor_model_parallel_world_size()", "tensor_model_parallel_size",
     request.tensor},
    {dimension::pipeline, "pipeline parallel",
     "get_pipeline_model_parallel_world_size()", "pipeline_model_parallel_size",
     request.pipeline},
    {dimension::context, "context parallel",
     "get_context_parallel_world_size()", "context_parallel_size",
     request.context},
  }};
  for (const auto& x : checks)
    if (layout_->size(x.dim) != x.wanted)
      return fail(errc::invalid,
                  fmt::format("{} group already initialized, but of "
                              "unexpected size: {}={} vs. {}={}",
                              x.group, x.getter, layout_->size(x.dim),
                              x.argument, x.wanted));
  auto wanted = parallel_layout::make_for_world(world, request, order);
  if (!wanted)
    return fail(wanted.error());
  if (wanted->world() != layout_->world())
    return fail(errc::invalid,
                fmt::format("world group already initialized with a different "
                            "world size: {} vs. {}",
                            layout_->world(), world));
  for (auto dim : {dimension::expert, dimension::expert_tensor})
    if (wanted->size(dim) != layout_->size(dim))
      return fail(errc::invalid,
                  fmt::format("{} parallel group already initialized, but of "
                              "unexpected size: {} vs. {}",
                              long_names[index_of(dim)], layout_->size(dim),
                              wanted->size(dim)));
  if (order != layout_->order())
    return fail(errc::invalid,
                fmt::format("parallel groups already initialized in another "
                            "order: {} vs. {}",
                            to_string(layout_->order()), to_string(order)));
  if (*wanted != *layout_)
    return fail(errc::invalid,
                "expert parallel groups already initialized otherwise: with "
                "an expert tensor size given they fold over context, without "
                "one they do not");
  return {};
}

result<const parallel_layout*> parallel_state::layout() const {
  if (!layout_)
    return fail(errc::invalid,
                "tensor model parallel group is not initialized");
  return &*layout_;
}

} // namespace troupe::planner
