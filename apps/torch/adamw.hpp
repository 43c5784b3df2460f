// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "troupe/apps/torch/arena.hpp"

namespace troupe::torch {

struct adamw_settings {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.01;
};

/// AdamW (Loshchilov and Hutter 2019, algorithm 2) over a whole arena at once.
/// The learning rate comes with each step: schedules live outside.
class adamw {
public:
  /// `parameters` must outlive this object and train. Throws
  /// std::invalid_argument otherwise.
  adamw(arena& parameters, const adamw_settings& settings);
  ~adamw();

  adamw(const adamw&) = delete;
  adamw& operator=(const adamw&) = delete;

  /// One update from the gradients that lie in the arena.
  void step(double learning_rate);

  /// Steps taken.
  [[nodiscard]] std::int64_t steps() const noexcept;

  /// The state, for checkpoints: running means of gradients and of their
  /// squares, laid out as the arena's flat values.
  [[nodiscard]] const at::Tensor& first_moments() const noexcept;
  [[nodiscard]] const at::Tensor& second_moments() const noexcept;

  /// Their memory, on the parameters' device.
  [[nodiscard]] device_block& first_block() noexcept;
  [[nodiscard]] device_block& second_block() noexcept;

  /// Sets the count after the moments have been read back.
  void resume_at(std::int64_t steps) noexcept;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

/// Scales all gradients so that their common Euclidean norm is at most `limit`.
/// Returns the norm before. A norm that is not finite throws
/// std::runtime_error: stepping on would ruin the parameters for good.
double clip_gradients(arena& parameters, double limit);

/// Learning rate at `position`, in steps from 0: rises in a straight line over
/// `warmup` steps, then falls in a straight line to `floor * peak` at step
/// `end`, where it stays. `end` of 0 means no decay.
struct learning_rate_schedule {
  double peak = 1e-3;
  double warmup = 0;
  double end = 0;
  double floor = 0.1;

  [[nodiscard]] double at(double position) const noexcept;
};

} // namespace troupe::torch
