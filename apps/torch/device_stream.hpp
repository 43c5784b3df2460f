// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "troupe/core/dlpack.hpp"

namespace troupe::torch {

/// Bytes of device memory that a stream's pool has.
struct pool_figures {
  /// Taken from the device.
  std::uint64_t reserved = 0;
  /// Of these: handed to tensors that live.
  std::uint64_t in_use = 0;
};

/// Where a worker's libtorch work goes. On a CUDA device: a stream of its own,
/// and a pool of device memory of its own, so that models in one process
/// neither wait for each other nor hold each other's memory. On the CPU:
/// nothing.
///
/// All that a module does with tensors is done inside `run`. At its end the
/// stream is synchronized: what was to be written is written, for every other
/// stream and process too, and an error of a kernel is thrown here.
///
/// Threads: the worker's own.
class device_stream {
public:
  /// What the pool still has goes back to the device. From one that failed
  /// nothing can be freed: it stays until the process ends, and the log says so.
  virtual ~device_stream();

  [[nodiscard]] virtual dlpack::device device() const noexcept = 0;

  /// Nothing where memory is not pooled: on the CPU.
  [[nodiscard]] virtual std::optional<pool_figures> pool() const = 0;

  /// Gives what no tensor uses back to the device. Not inside `run`; waits for
  /// what other streams of the device `run` in this process.
  virtual void release() = 0;

  /// Calls `f` on the stream and waits for the work it began. Inside another
  /// `run` of the same stream it just calls. Throws what `f` throws, and
  /// std::runtime_error (c10::Error) if the device failed.
  template <class F>
  auto run(F&& f) {
    scope here{*this};
    if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
      f();
      here.finish();
    } else {
      auto result = f();
      here.finish();
      return result;
    }
  }

private:
  /// This thread's work goes to the stream from here on. If it throws nothing
  /// has changed, and `leave` is not called.
  virtual void enter() = 0;

  /// It goes where it went before.
  virtual void leave() noexcept = 0;

  /// Waits for the stream; throws if the device failed.
  virtual void synchronize() = 0;

  class scope {
  public:
    explicit scope(device_stream& on) : on_(on) {
      if (on_.depth_ == 0)
        on_.enter();
      ++on_.depth_;
    }

    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;

    ~scope() {
      if (--on_.depth_ == 0)
        on_.leave();
    }

    void finish() {
      if (on_.depth_ == 1)
        on_.synchronize();
    }

  private:
    device_stream& on_;
  };

  int depth_ = 0;
};

/// For a worker on `where`. Throws std::runtime_error that says what to do if
/// this build cannot use it.
[[nodiscard]] std::unique_ptr<device_stream>
make_device_stream(dlpack::device where);

/// Waits for what this thread has begun on its current stream of `where`:
/// before somebody who knows nothing of streams (a communicator) reads it.
void synchronize(dlpack::device where);

} // namespace troupe::torch
