// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/apps/torch/device_block.hpp"
#include "troupe/apps/torch/device_stream.hpp"

namespace troupe::torch {

/// What a model's memory is and was, in bytes.
struct offload_figures {
  /// Of all blocks: parameters, gradients, optimizer state.
  std::uint64_t blocks = 0;
  /// On the device for this model now: its pool there, or its blocks where
  /// memory is not pooled.
  std::uint64_t on_device = 0;
  /// The most that this has been at the end of a function.
  std::uint64_t most_on_device = 0;
  /// What the last offload gave back to the device.
  std::uint64_t given_back = 0;
  /// What it left there.
  std::uint64_t left_behind = 0;
  std::int64_t offloads = 0;
};

/// The memory hooks of a module made of libtorch tensors, and the frame around
/// its functions: runs them on the model's stream, refuses them while the
/// memory is away, and holds the model to its share of the device.
///
/// Offload moves the blocks to host memory and gives all the pool holds back to
/// the device; that the bytes are back is checked against the allocator's own
/// figures. After a load the parameters may lie elsewhere: a sync asks
/// `module::parameters()` anew and so notices. What others read in place (CUDA
/// IPC) must be let go before an offload.
///
/// Threads: the worker's own.
class offloader {
public:
  /// What an offload may leave behind: some libraries keep a little for each
  /// stream. More is a tensor that outlives its function.
  static constexpr std::uint64_t residue_max = std::uint64_t{64} << 20;

  /// `model` stands in messages. `limit` is the most bytes of the device that
  /// the model may hold (`worker_context::device_bytes_max`); 0: any. `stream` must outlive this object.
  offloader(std::string model, device_stream& stream, std::uint64_t limit);

  /// What moves; must outlive this object. Throws std::runtime_error if all
  /// blocks together are more than the limit.
  void add(device_block& block);

  /// Calls `f` on the stream. Throws std::logic_error that names the function
  /// while the memory is away, std::runtime_error if the model holds more than
  /// its limit at the end, and what `f` throws.
  template <class F>
  auto run(std::string_view function, F&& f) {
    require(function);
    if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
      stream_.run(f);
      check_limit(function);
    } else {
      auto result = stream_.run(f);
      check_limit(function);
      return result;
    }
  }

  /// Throws std::logic_error that names the function while the memory is away.
  void require(std::string_view function) const;

  [[nodiscard]] bool offloaded() const noexcept { return away_; }

  /// Does nothing if the memory is away. Throws std::runtime_error if more than
  /// `residue_max` stays behind; the blocks are away then.
  void offload();

  /// Brings the blocks back; does nothing if they are there. If the device has
  /// no room it throws, and may be called again.
  void onload();

  [[nodiscard]] offload_figures figures() const;

private:
  /// At the end of a function. A pool gives nothing back but in an offload, so
  /// what it holds then is the most that it held; what it merely caches counts,
  /// because no neighbour can have it.
  void check_limit(std::string_view function);

  [[nodiscard]] std::uint64_t block_bytes() const noexcept;

  /// What the device holds for the model.
  [[nodiscard]] std::uint64_t held() const;

  std::string model_;
  device_stream& stream_;
  std::uint64_t limit_;
  std::vector<std::reference_wrapper<device_block>> blocks_;
  bool away_ = false;
  offload_figures figures_;
};

} // namespace troupe::torch
