// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/model/parameter_list.hpp"
#include "troupe/apps/torch/device_block.hpp"
#include "troupe/apps/torch/fwd.hpp"
#include "troupe/core/shape.hpp"

namespace troupe::torch {

/// One parameter to make room for.
struct parameter_spec {
  std::string name;
  shape extents;
};

struct arena_settings {
  dlpack::device device = {};
  /// Of the parameters: float32 or bfloat16. What trains keeps float32.
  dtype type = dtype::float32;
  /// Without it there are no gradients.
  bool trains = true;
};

/// All parameters of a model in one allocation, and all their gradients in a
/// second one. A weight sync and a gradient all-reduce then see one long array
/// instead of hundreds of small tensors, and an optimizer step is a handful of
/// operations on flat tensors. On the CPU parameters lie in shared memory where
/// the system has it (`comm::shm::arena`), so that a sync hands them to another
/// process without a copy on this side.
///
/// Every parameter starts at a multiple of `buffer::alignment` bytes; the gaps
/// are zero in both allocations and stay so. Memory moves only by offload
/// (offload.hpp). Used by one thread at a time, inside `device_stream::run` if
/// it is on a CUDA device.
class arena {
public:
  /// Parameters are zero. Names must be unique; throws std::invalid_argument.
  explicit arena(std::vector<parameter_spec> specs,
                 const arena_settings& settings = {});
  ~arena();

  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;

  /// Number of parameters.
  [[nodiscard]] std::size_t size() const noexcept;

  [[nodiscard]] const arena_settings& settings() const noexcept;

  /// Parameter `index`: a leaf. If the arena trains, it requires a gradient,
  /// which accumulates in the gradient allocation.
  [[nodiscard]] const at::Tensor& operator[](std::size_t index) const;

  /// By name; throws std::out_of_range that holds the name.
  [[nodiscard]] const at::Tensor& at(std::string_view name) const;

  /// Parameters `first` to `first + count - 1` in `type`: themselves if they
  /// have it, else parts of one new array, so that many small parameters cost
  /// one kernel. Gradients of such parts reach the gradient allocation together,
  /// too. Views that nobody may write to; they go before an offload.
  [[nodiscard]] std::vector<at::Tensor> in_type(dtype type, std::size_t first,
                                                std::size_t count) const;

  /// The elements of parameter `index`, as `all_values`.
  [[nodiscard]] std::span<float> values(std::size_t index) const;

  /// Everything, gaps included, without autograd.
  [[nodiscard]] const at::Tensor& flat_values() const noexcept;
  /// Undefined if the arena does not train.
  [[nodiscard]] const at::Tensor& flat_gradients() const noexcept;

  /// The same as floats. Throws std::logic_error unless they are float32 and
  /// in this process's memory.
  [[nodiscard]] std::span<float> all_values() const;
  [[nodiscard]] std::span<float> all_gradients() const;

  /// The two allocations; that of the gradients is null if there are none. An
  /// offload ends the gradients: they are zero after it, as before each step.
  [[nodiscard]] device_block& value_block() noexcept;
  [[nodiscard]] device_block* gradient_block() noexcept;

  void zero_gradients();

  /// Views for `module::parameters()`, in the order of the specs.
  [[nodiscard]] parameter_list parameters() const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace troupe::torch
