// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "troupe/apps/torch/fwd.hpp"

namespace troupe::torch {

/// `loss.backward()` on the calling thread. libtorch has one thread a CUDA
/// device for the backward passes of the whole process: models that share a
/// device would wait for each other there, though each has its own stream.
/// (libtorch 1.13 cannot be told; on the CPU it never left the thread.)
void backward(const at::Tensor& loss);

/// As long as it lives, this thread's backward passes stay on it; then as
/// before. `State` is libtorch's c10::AutogradState, of any version.
template <class State>
class single_threaded_autograd {
public:
  single_threaded_autograd() {
    if constexpr (has_switch)
      before_ = exchange(State::get_tls_state(), false);
  }

  single_threaded_autograd(const single_threaded_autograd&) = delete;
  single_threaded_autograd& operator=(const single_threaded_autograd&) = delete;

  ~single_threaded_autograd() {
    if constexpr (has_switch)
      exchange(State::get_tls_state(), before_);
  }

  /// Since libtorch 2.0.
  static constexpr bool has_switch = requires(State & x) {
    x.set_multithreading_enabled(false);
  };

private:
  template <class S>
  static bool exchange(S& state, bool enabled) {
    auto before = state.get_multithreading_enabled();
    state.set_multithreading_enabled(enabled);
    return before;
  }

  bool before_ = true;
};

} // namespace troupe::torch
