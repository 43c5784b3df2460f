// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "troupe/core/deadline.hpp"
#include "troupe/core/error.hpp"

namespace troupe::comm {

/// One direction between two ranks: what `push` puts in at one end, `pull`
/// takes out at the other, in order.
///
/// A link has a sending and a receiving end; each end belongs to one thread.
/// Both ends call with the same sequence of sizes. A failed transfer kills the
/// link, like a communicator: both ends fail from then on.
class link {
public:
  virtual ~link() = default;

  /// `"inproc"`, `"gloo"`, `"shm"`, ...: for logs and plans.
  [[nodiscard]] virtual std::string_view backend() const noexcept = 0;

  /// Sends `data`. Returns when the memory may be changed again.
  [[nodiscard]] virtual result<void> push(std::span<const std::byte> data,
                                          deadline until) = 0;

  /// Fills `data` with the next bytes pushed, which must be as many.
  [[nodiscard]] virtual result<void> pull(std::span<std::byte> data,
                                          deadline until) = 0;

  /// Ends every wait on both ends that it can reach. Callable from any thread.
  virtual void abort() noexcept = 0;
};

using link_ptr = std::shared_ptr<link>;

} // namespace troupe::comm
